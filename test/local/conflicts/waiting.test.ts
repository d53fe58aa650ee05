import type pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { connect } from "../support.js"
import { outcome, protocols } from "./support.js"

let cluster: Cluster
let idle: pg.Client
let client: pg.Client
beforeAll(async () => {
  cluster = await startCluster()
  idle = await connect(cluster)
  client = await connect(cluster)
  await client.query("CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE)")
  await client.query("CREATE TABLE part (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE)")
})
afterAll(async () => {
  await idle.end()
  await client.end()
  await cluster.stop()
})
beforeEach(async () => {
  await client.query("ROLLBACK")
  await client.query("DELETE FROM item")
  await client.query("INSERT INTO item VALUES (1, 'one'), (2, 'two')")
  await client.query("INSERT INTO part VALUES (1, 1)")
})

const statements = [
  "UPDATE item SET name = name",
  "UPDATE item SET id = id + 10 WHERE id = 2",
  "DELETE FROM item",
  "INSERT INTO item VALUES (3, 'three')",
  "INSERT INTO part VALUES (2, 2)",
  "INSERT INTO item VALUES (3, 'drei') ON CONFLICT DO NOTHING",
  "SELECT FROM item FOR UPDATE",
  "SELECT FROM item FOR KEY SHARE",
  "SELECT FROM item",
  "WITH gone AS (DELETE FROM part RETURNING item) UPDATE item SET name = name FROM gone WHERE id = gone.item",
  "ALTER TABLE item ALTER COLUMN name SET DEFAULT 'none'",
  "ALTER TABLE item ADD COLUMN IF NOT EXISTS more text",
  "GRANT SELECT ON item TO admin"
]

describe.each(protocols)(
  "no statement waits for a transaction that holds everything and does nothing, by the %s protocol:",
  (protocol) => {
    const hold = async (): Promise<void> => {
      await outcome(idle, protocol, "ROLLBACK")
      await outcome(idle, protocol, "BEGIN")
      for (const sql of [
        "SELECT FROM part FOR UPDATE",
        "UPDATE item SET name = name || '!'",
        "INSERT INTO item VALUES (3, 'drei')"
      ]) {
        expect(await outcome(idle, protocol, sql)).toMatch(/^(SELECT|UPDATE|INSERT)/)
      }
    }

    // One that waited would do so for ever: nobody ends the other transaction before.
    it.each(statements)("%s", async (sql) => {
      for (const isInBlock of [false, true]) {
        await hold()
        if (isInBlock) await client.query("BEGIN")
        expect(await outcome(client, protocol, sql)).not.toMatch(/^ERROR/)
        if (isInBlock) await client.query("COMMIT")
        await client.query("DELETE FROM item WHERE id NOT IN (1, 2)")
        await client.query("DELETE FROM part WHERE id = 2")
      }
      await idle.query("ROLLBACK")
    })
  }
)

it("PostgreSQL itself lets nobody wait for a lock longer than the probe", async () => {
  expect((await client.query("SHOW lock_timeout")).rows).toEqual([{ lock_timeout: "8ms" }])
})
