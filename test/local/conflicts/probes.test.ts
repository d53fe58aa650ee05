import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { connect } from "../support.js"
import { outcome, type Outcome, type Probe, probes, protocols, type Step } from "./support.js"

let cluster: Cluster
let clients: Readonly<Record<string, pg.Client>>
beforeAll(async () => {
  cluster = await startCluster({ conflicts: "service" })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  clients = { a: await connect(cluster), b: await connect(cluster), setup: await connect(cluster) }
})
afterEach(() => Promise.all(Object.values(clients).map((client) => client.end())))

const twoSessions = probes.filter(({ sessions }) => sessions !== undefined)

/** The recorded order, and those in which the other is first to write or to commit: the recorder gave none of them. */
const ordersOf = ({ order = [] }: Probe): ReadonlyArray<ReadonlyArray<string>> => {
  const swapped = (one: string, other: string) =>
    order.map((step) => (step === one ? other : step === other ? one : step))
  return [order, swapped("a2", "b2"), swapped("a3", "b3")]
}

const expected = ({ message, ok, sqlstate, tag }: Step): Outcome => (ok ? tag! : `ERROR ${sqlstate} ${message}`)

it("holds the two-session probes", () => {
  expect(twoSessions.length).toBe(10)
})

describe.each(protocols)("the recorded answers, by the %s protocol", (protocol) => {
  describe.each(twoSessions.map((probe) => [probe.id, probe] as const))("%s", (_, probe) => {
    it.each(ordersOf(probe))("%s %s %s %s %s %s", async (...order) => {
      for (const sql of probe.setup ?? []) await clients["setup"]!.query(sql)
      const found = new Map<string, Outcome>()
      for (const step of order) {
        const [session = "", place] = step
        const steps: Readonly<Record<string, ReadonlyArray<Step>>> = { ...probe.sessions }
        found.set(step, await outcome(clients[session]!, protocol, steps[session]![Number(place) - 1]!.sql))
      }
      const commits = ["a3", "b3"]
      const before = (["a", "b"] as const).flatMap((session) =>
        probe.sessions![session].map((step, index) => [`${session}${index + 1}`, expected(step)] as const)
      )
      for (const [step, wanted] of before.filter(([step]) => !commits.includes(step))) {
        expect(found.get(step)).toBe(wanted)
      }
      const wanted = [probe.sessions!.a, probe.sessions!.b].map((steps) => expected(steps[2]!))
      // Who loses is not fixed, but the first to commit is not it.
      if (probe.loser === "either") wanted.sort()
      const ended = order.filter((step) => commits.includes(step)).map((step) => found.get(step))
      expect(ended).toEqual(wanted)
    })
  })
})
