/** What `effect-dsql local` can be told while it runs: one command a line. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { serverWords } from "../core/faults.js"
import { type DsqlStatementError, fromServerError } from "../Errors.js"
import type { DropMoment, DsqlLocalError, FaultOptions, LocalCluster } from "../Local.js"

export class CommandError extends Data.TaggedError("CommandError")<{ readonly message: string }> {}

/** What a command answers beside that it is done. */
export type Answer = Readonly<Record<string, unknown>>

interface Words {
  readonly choice: string | undefined
  readonly duration: Duration.Duration | undefined
  /** As many as were asked for, or one. */
  readonly count: FaultOptions
  readonly hasCount: boolean
}

interface LocalCommand {
  readonly takes: ReadonlyArray<"choice" | "duration" | "count">
  readonly choices?: ReadonlyArray<string>
  readonly usage: string
  readonly does: string
  readonly run: (cluster: LocalCluster, words: Words) => Effect.Effect<Answer, CommandError | DsqlLocalError>
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

const durationOf = (word: string): Duration.Duration | undefined => {
  const [, amount, unit] = /^\+?(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(word) ?? []
  return amount === undefined ? undefined : Duration.millis(Number(amount) * units[unit!]!)
}

const countOf = (word: string): FaultOptions | undefined => {
  if (word === "all") return { times: Infinity }
  const [, amount, percent] = /^(\d+)(%?)$/.exec(word) ?? []
  if (amount === undefined) return undefined
  return percent === "%" ? { times: Infinity, probability: Number(amount) / 100 } : { times: Number(amount) }
}

const done = (effect: Effect.Effect<void, DsqlLocalError>): Effect.Effect<Answer, DsqlLocalError> =>
  Effect.as(effect, {})

const codes = ["OC000", "OC001", "XX000"] as const
const refusals = { "53300": "TooManyConnections", "53400": "RateExceeded", "waking-up": "ClusterWaking" } as const

const errorNamed = (cluster: LocalCluster, name: keyof typeof serverWords): DsqlStatementError =>
  fromServerError(serverWords[name], {
    host: cluster.endpoint,
    address: `${cluster.hostaddr}:${cluster.port}`,
    user: cluster.user
  })

const failing =
  (step: "COMMIT" | "statement", usual: (typeof codes)[number]): LocalCommand["run"] =>
  (cluster, { choice = usual, count }) =>
    done(cluster.failNext(step, errorNamed(cluster, choice as (typeof codes)[number]), count))

const amount = "[COUNT | PERCENT% | all]"

const commands: Readonly<Record<string, LocalCommand>> = {
  "fail-commits": {
    takes: ["count", "choice"],
    choices: codes,
    usage: `${amount} [${codes.join(" | ")}]`,
    does: "fails the next COMMITs, by default one, with OC000",
    run: failing("COMMIT", "OC000")
  },
  "fail-statements": {
    takes: ["count", "choice"],
    choices: codes,
    usage: `${amount} [${codes.join(" | ")}]`,
    does: "fails the next statements, by default one, with OC001",
    run: failing("statement", "OC001")
  },
  "drop-at-commit": {
    takes: ["choice", "count"],
    choices: ["before", "during", "after"],
    usage: `before | during | after ${amount}`,
    does: "breaks the connection at the next COMMIT: with it undone, on its way, or done",
    run: (cluster, { choice = "after", count }) => done(cluster.dropAtCommit(choice as DropMoment, count))
  },
  "refuse-logins": {
    takes: ["choice", "count"],
    choices: Object.keys(refusals),
    usage: `${Object.keys(refusals).join(" | ")} ${amount}`,
    does: "refuses the next logins, by default one",
    run: (cluster, { choice = "53300", count }) =>
      done(cluster.failNext("connect", errorNamed(cluster, refusals[choice as keyof typeof refusals]), count))
  },
  delay: {
    takes: ["duration", "count"],
    usage: `DURATION ${amount}`,
    does: "lets statements wait, by default all from now on",
    run: (cluster, { count, duration, hasCount }) =>
      done(cluster.delayNext("statement", duration ?? 0, hasCount ? count : { times: Infinity }))
  },
  clock: {
    takes: ["duration"],
    usage: "+DURATION",
    does: "moves the session clock ahead, by which connections, transactions and jobs age",
    run: ({ sessionClock }, { duration }) =>
      Effect.zipRight(
        sessionClock.advance(duration ?? 0),
        Effect.map(sessionClock.now, (now) => ({ clock: now.toISOString() }))
      )
  },
  inactivate: {
    takes: [],
    usage: "",
    does: "puts the cluster to sleep; the next login wakes it up",
    run: (cluster) => done(cluster.inactivate)
  },
  "drop-connections": {
    takes: [],
    usage: "",
    does: "closes all connections",
    run: (cluster) => done(cluster.dropConnections)
  },
  pause: {
    takes: [],
    usage: "",
    does: "leaves clients without an answer until resume",
    run: (cluster) => done(cluster.pause)
  },
  resume: { takes: [], usage: "", does: "ends a pause", run: (cluster) => done(cluster.resume) },
  restart: {
    takes: [],
    usage: "",
    does: "crashes the server and brings it back",
    run: (cluster) => done(cluster.restart)
  },
  clear: {
    takes: [],
    usage: "",
    does: "forgets what has not gone wrong yet, delays too",
    run: (cluster) => done(cluster.clearFaults)
  },
  status: {
    takes: [],
    usage: "",
    does: "tells the clock, the connections, and what is still to go wrong",
    run: ({ connectionCount, loginCount, pendingFaults, sessionClock }) =>
      Effect.map(
        Effect.all([sessionClock.now, connectionCount, loginCount, pendingFaults]),
        ([now, connections, logins, faults]) => ({
          clock: now.toISOString(),
          connections,
          logins,
          // JSON has no Infinity.
          faults: faults.map(({ times, ...fault }) => ({ ...fault, times: times === Infinity ? "all" : times }))
        })
      )
  },
  help: {
    takes: [],
    usage: "",
    does: "lists these commands; durations are like 20ms, 10s, 5m, 1h",
    run: () =>
      Effect.sync(() => ({
        help: Object.entries(commands).map(([name, { does, usage }]) => `${`${name} ${usage}`.trimEnd()}: ${does}`)
      }))
  }
}

const wrong = (name: string, command: LocalCommand, what: string) =>
  new CommandError({ message: `${what}. Usage: ${name} ${command.usage}`.trimEnd() })

/** A choice or duration that a command takes must be there unless its usage has it in brackets. */
const read = (name: string, command: LocalCommand, words: ReadonlyArray<string>): Effect.Effect<Words, CommandError> =>
  Effect.suspend(() => {
    const { choices = [], takes, usage } = command
    const found: { choice?: string; duration?: Duration.Duration; count?: FaultOptions } = {}
    for (const word of words) {
      const duration = durationOf(word)
      const count = countOf(word)
      if (found.choice === undefined && choices.includes(word)) found.choice = word
      else if (takes.includes("duration") && found.duration === undefined && duration !== undefined)
        found.duration = duration
      else if (takes.includes("count") && found.count === undefined && count !== undefined) found.count = count
      else return Effect.fail(wrong(name, command, `${name} does not take ${JSON.stringify(word)}`))
    }
    const isOptional = usage.startsWith("[")
    const isMissing =
      (takes.includes("choice") && found.choice === undefined) ||
      (takes.includes("duration") && found.duration === undefined)
    if (isMissing && !isOptional) return Effect.fail(wrong(name, command, `${name} wants more`))
    return Effect.succeed({
      choice: found.choice,
      duration: found.duration,
      count: found.count ?? {},
      hasCount: found.count !== undefined
    })
  })

/** Does what a line says. */
export const execute = (cluster: LocalCluster, line: string): Effect.Effect<Answer, CommandError | DsqlLocalError> => {
  const [name = "", ...words] = line.trim().split(/\s+/)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    return Effect.fail(new CommandError({ message: `There is no command ${JSON.stringify(name)}; help lists them.` }))
  }
  return Effect.flatMap(read(name, command, words), (read) => command.run(cluster, read))
}
