import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { connect, withClient } from "../support.js"
import { seeded } from "../../support/random.js"
import { contradictions, type History, runTransaction, schema } from "./history.js"
import { dataConflict, protocols } from "./support.js"

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ conflicts: "service" })
})
afterAll(() => cluster.stop())
afterEach(() => cluster.reset())

const rounds = process.env["DSQL_SOAK"] === undefined ? 60 : 1000

describe("random transactions of eight sessions", () => {
  it.each([1, 2, 3])(
    "are explained by snapshot isolation, whoever loses (seed %i)",
    { timeout: 600_000 },
    async (seed) => {
      await withClient(cluster, async (client) => {
        for (const sql of schema) await client.query(sql)
        await client.query("INSERT INTO item SELECT n, 'start' FROM generate_series(1, 6) AS n")
      })
      const world = { nextId: 1, nextItem: 7 }
      const history: History = { committed: [], failures: new Map(), surprises: [] }
      const session = async (number: number): Promise<void> => {
        const random = seeded(seed * 100 + number)
        const client = await connect(cluster)
        for (let round = 0; round < rounds; round++) {
          await runTransaction(client, protocols[number % protocols.length]!, random, world, history)
        }
        await client.end()
      }
      await Promise.all(Array.from({ length: 8 }, (_, number) => session(number)))
      const final = await withClient(cluster, async (client) => {
        const { rows } = await client.query<{ id: number; token: string }>("TABLE item")
        return new Map(rows.map(({ id, token }) => [id, token]))
      })
      expect(contradictions(history, final)).toEqual([])
      // Or it would have shown nothing.
      expect(history.failures.get(dataConflict)).toBeGreaterThan(rounds)
      expect(history.committed.length).toBeGreaterThan(rounds)
    }
  )
})
