import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type pg from "pg"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { connect, withClient } from "../support.js"
import { dataConflict, outcome, protocols } from "./support.js"

const sessions = 10

let cluster: Cluster
let clients: ReadonlyArray<pg.Client>
beforeAll(async () => {
  cluster = await startCluster()
  clients = await Promise.all(Array.from({ length: sessions }, () => connect(cluster)))
})
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()))
  await cluster.stop()
})
beforeEach(async () => {
  await clients[0]!.query("DROP TABLE IF EXISTS counter")
  await clients[0]!.query("CREATE TABLE counter (id int PRIMARY KEY, n int)")
  await clients[0]!.query("INSERT INTO counter SELECT id, 0 FROM generate_series(1, 5) AS id")
})

/** Every session does it so often, each time until it commits. Gives how often it was lost. */
const race = async (rounds: number, body: (client: pg.Client, session: number) => Promise<void>): Promise<number> => {
  let losses = 0
  const take = async (client: pg.Client, session: number): Promise<void> => {
    for (let done = 0; done < rounds;) {
      await client.query("BEGIN")
      await body(client, session)
      const ended = await outcome(client, "simple", "COMMIT")
      if (ended === "COMMIT") done++
      else {
        expect(ended).toBe(dataConflict)
        losses++
      }
    }
  }
  await Promise.all(clients.map(take))
  return losses
}

const counts = () =>
  withClient(cluster, async (client) =>
    (await client.query({ text: "SELECT n FROM counter ORDER BY id", rowMode: "array" })).rows.flat()
  )

describe("ten sessions that add 1 at the same time", () => {
  it.each(protocols)("are counted each time they commit, by the %s protocol", async (protocol) => {
    const losses = await race(30, async (client) => {
      expect(await outcome(client, protocol, "UPDATE counter SET n = n + 1 WHERE id = 1")).toBe("UPDATE 1")
    })
    expect(await counts()).toEqual([300, 0, 0, 0, 0])
    expect(losses).toBeGreaterThan(0)
  })

  it("are counted if they write what they have read", async () => {
    await race(30, async (client) => {
      const { rows } = await client.query("SELECT n FROM counter WHERE id = 1")
      expect(await outcome(client, "extended", "UPDATE counter SET n = $1 WHERE id = 1", [rows[0].n + 1])).toBe(
        "UPDATE 1"
      )
    })
    expect(await counts()).toEqual([300, 0, 0, 0, 0])
  })

  it("are counted if they want to know what it is now", async () => {
    await race(30, async (client) => {
      const { rows: before } = await client.query("SELECT n FROM counter WHERE id = 1")
      const { rows: after } = await client.query("UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n")
      expect(after[0].n).toBe(before[0].n + 1)
    })
    expect(await counts()).toEqual([300, 0, 0, 0, 0])
  })

  it("are counted in each of several rows, taken in opposite orders", async () => {
    await race(10, async (client, session) => {
      const ids = [1, 2, 3, 4, 5]
      for (const id of session % 2 === 0 ? ids : ids.toReversed()) {
        expect(await outcome(client, "extended", "UPDATE counter SET n = n + 1 WHERE id = $1", [id])).toBe("UPDATE 1")
      }
    })
    expect(await counts()).toEqual([100, 100, 100, 100, 100])
  })
})
