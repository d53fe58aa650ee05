import type pg from "pg"
import { differenceOf } from "./compare.js"
import type { Probe, Step } from "./probes.js"
import { ask, type Protocol, type Reply } from "./session.js"

/** Where probes are run. */
export interface Target {
  readonly connect: () => Promise<pg.Client>
  /** Makes an empty place to work in; sessions of before are of no use any more. */
  readonly prepare: () => Promise<void>
}

/** Runs probes one after the other, each as if it were the first. */
export class Runner {
  readonly #target: Target
  #isClean = false

  constructor(target: Target) {
    this.#target = target
  }

  /** Runs a probe and tells in what it differs from what was recorded; `undefined` if in nothing. */
  async run(probe: Probe, protocol: Protocol): Promise<string | undefined> {
    if (!this.#isClean) await this.#target.prepare()
    this.#isClean = false
    const difference = await runProbe(this.#target, probe, protocol)
    this.#isClean = difference === undefined && !leavesTraces(probe)
    return difference
  }
}

const traceless = /^(?:SELECT|SHOW|EXPLAIN|BEGIN|ROLLBACK)\b/

const leavesTraces = ({ sessions, setup = [], steps = [] }: Probe): boolean =>
  sessions !== undefined || setup.length > 0 || steps.some(({ ok, tag }) => ok && !traceless.test(tag ?? ""))

const runProbe = async (target: Target, probe: Probe, protocol: Protocol): Promise<string | undefined> => {
  const clients: Array<pg.Client> = []
  const connect = async (): Promise<pg.Client> => {
    const client = await target.connect()
    clients.push(client)
    return client
  }
  try {
    const main = await connect()
    for (const sql of probe.setup ?? []) {
      const { error } = await ask(main, sql, "simple")
      if (error !== undefined) return `setup ${sql}: ${error.sqlstate} ${error.message}`
    }
    if (probe.sessions !== undefined)
      return await runSessions(probe, { a: await connect(), b: await connect() }, protocol)
    for (const step of probe.steps ?? []) {
      const difference = differenceOf(probe, step, await ask(main, step.sql, protocol))
      if (difference !== undefined) return difference
    }
    return undefined
  } finally {
    await Promise.all(clients.map((client) => client.end()))
  }
}

/** Runs the steps of two sessions in the order in which they were recorded. */
const runSessions = async (
  probe: Probe,
  clients: Readonly<Record<string, pg.Client>>,
  protocol: Protocol
): Promise<string | undefined> => {
  const sessions: Readonly<Record<string, ReadonlyArray<Step>>> = { ...probe.sessions }
  const ended: Array<readonly [step: Step, reply: Reply]> = []
  for (const place of probe.order ?? []) {
    const session = place.slice(0, 1)
    const steps = sessions[session]!
    const index = Number(place.slice(1)) - 1
    const step = steps[index]!
    const reply = await ask(clients[session]!, step.sql, protocol)
    const isLast = index === steps.length - 1
    if (isLast) ended.push([step, reply])
    const difference = isLast && probe.loser !== undefined ? undefined : differenceOf(probe, step, reply)
    if (difference !== undefined) return difference
  }
  return probe.loser === undefined ? undefined : judgeLosers(probe, ended)
}

/** Who loses was not the same in every recording, but how many do and how they learn of it. */
const judgeLosers = (
  { losers: [least, most] = [1, 1] }: Probe,
  ended: ReadonlyArray<readonly [step: Step, reply: Reply]>
): string | undefined => {
  const lost = ended.find(([step]) => !step.ok)![0]
  const failures = ended.flatMap(([, { error }]) => error ?? [])
  const wrong = failures.find(({ message, sqlstate }) => message !== lost.message || sqlstate !== lost.sqlstate)
  if (wrong !== undefined) return `${wrong.sqlstate} ${wrong.message} instead of ${lost.sqlstate} ${lost.message}`
  return failures.length >= least && failures.length <= most ? undefined : `${failures.length} transactions lose`
}

/** Whether the extended protocol can carry it: several statements in one text it cannot. */
export const protocolsOf = ({ simpleProtocol }: Probe): ReadonlyArray<Protocol> =>
  simpleProtocol === true ? ["simple"] : ["simple", "extended"]
