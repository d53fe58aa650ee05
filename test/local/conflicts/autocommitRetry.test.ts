import type pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { connectDirectly } from "../protocol.js"
import { connect, eventually } from "../support.js"
import { outcome, protocols } from "./support.js"

let cluster: Cluster
let alone: pg.Client
let observer: pg.Client
beforeAll(async () => {
  // So slow that each attempt can be seen. It gives up after ten of them.
  cluster = await startCluster({ rules: "off", lockProbe: 300 })
  alone = await connect(cluster)
  observer = await connectDirectly(cluster, "observer")
  await alone.query("CREATE TABLE item (id int PRIMARY KEY, n int)")
  await alone.query("INSERT INTO item VALUES (1, 0)")
})
afterAll(async () => {
  await alone.end()
  await observer.end()
  await cluster.stop()
})
beforeEach(async () => {
  await alone.query("UPDATE item SET n = 0")
})

/** When the statement began that the client alone runs now and that waits for a lock; `undefined` while there is none. */
const waitingSince = async (): Promise<string | undefined> => {
  const { rows } = await observer.query(`
    SELECT query_start::text AS since FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%n = n + 1%'`)
  return rows[0]?.since
}

describe.each(protocols)("a statement outside of transactions, by the %s protocol,", (protocol) => {
  it("is tried again as long as the transaction that has its row is at work, and is done when its client vanishes", async () => {
    const busy = await connect(cluster)
    await busy.query("BEGIN")
    expect(await outcome(busy, protocol, "UPDATE item SET n = 5 WHERE id = 1")).toBe("UPDATE 1")
    const sleeping = outcome(busy, protocol, "SELECT pg_sleep(60)").catch(() => "gone")
    const ending = outcome(alone, protocol, "UPDATE item SET n = n + 1 WHERE id = 1")
    try {
      let first: string | undefined
      await eventually(async () => (first = await waitingSince()) !== undefined)
      await eventually(async () => ![undefined, first].includes(await waitingSince()))
    } finally {
      busy.on("error", () => {})
      // It is not in its types.
      ;(busy as unknown as { readonly connection: pg.Connection }).connection.stream.destroy()
    }
    expect(await sleeping).toBe("gone")
    expect(await ending).toBe("UPDATE 1")
    expect((await alone.query("SELECT n FROM item")).rows).toEqual([{ n: 1 }])
  })
})
