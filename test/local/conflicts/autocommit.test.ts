import type pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { connectDirectly } from "../protocol.js"
import { connect, eventually } from "../support.js"
import { dataConflict, outcome, protocols } from "./support.js"

let cluster: Cluster
let alone: pg.Client
let other: pg.Client
let observer: pg.Client
beforeAll(async () => {
  // The gate is a function in PL/pgSQL.
  cluster = await startCluster({ rules: "off" })
  alone = await connect(cluster)
  other = await connect(cluster)
  observer = await connectDirectly(cluster, "observer")
  await alone.query("CREATE TABLE item (id int PRIMARY KEY, n int)")
  await alone.query("CREATE SEQUENCE gate")
  // Sequences are in no transaction, so this one statement can see that another has been run.
  await alone.query(`
    CREATE FUNCTION pass() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM nextval('gate');
      WHILE (SELECT last_value FROM gate) % 2 = 1 LOOP PERFORM pg_sleep(0.001); END LOOP;
      RETURN 1;
    END $$`)
})
afterAll(async () => {
  await alone.end()
  await other.end()
  await observer.end()
  await cluster.stop()
})
beforeEach(async () => {
  await other.query("ROLLBACK")
  await alone.query("DELETE FROM item")
  await alone.query("INSERT INTO item VALUES (1, 0), (2, 0)")
  await alone.query("SELECT setval('gate', 2)")
})

describe.each(protocols)("a statement outside of transactions, by the %s protocol,", (protocol) => {
  /** Has a statement see what there is now, and runs `meanwhile` before it goes on. */
  const during = async (sql: string, meanwhile: () => Promise<void>): Promise<string> => {
    const ending = outcome(alone, protocol, sql)
    try {
      await eventually(async () => (await observer.query("SELECT last_value FROM gate")).rows[0].last_value % 2 === 1)
      await meanwhile()
    } finally {
      await observer.query("SELECT nextval('gate')")
    }
    return ending
  }

  const seen = "WITH g AS MATERIALIZED (SELECT pass())"

  it.each([
    ["UPDATE item SET n = 5 WHERE id = 1", `${seen} UPDATE item SET n = n + 1 FROM g WHERE id = 1`],
    ["DELETE FROM item WHERE id = 1", `${seen} DELETE FROM item USING g WHERE id = 1`],
    ["UPDATE item SET n = 5 WHERE id = 1", `${seen} SELECT FROM g, item WHERE id = 1 FOR UPDATE OF item`],
    ["DELETE FROM item WHERE id = 1", `${seen} SELECT FROM g, item WHERE id = 1 FOR KEY SHARE OF item`],
    ["SELECT FROM item WHERE id = 1 FOR KEY SHARE", `${seen} DELETE FROM item USING g WHERE id = 1`]
  ])("conflicts at once with %s, committed meanwhile: %s", async (theirs, ours) => {
    // Twice, as a statement whose first run has failed is still known by its name.
    for (const round of [1, 2]) {
      await other.query("BEGIN")
      await other.query("SELECT FROM item")
      const ended = await during(ours, async () => {
        expect(await outcome(other, protocol, theirs)).not.toMatch(/^ERROR/)
        expect(await outcome(other, protocol, "COMMIT")).toBe("COMMIT")
      })
      expect([round, ended]).toEqual([round, dataConflict])
      expect(await outcome(alone, protocol, "UPDATE item SET n = 7 WHERE id = 2")).toBe("UPDATE 1")
      await alone.query("INSERT INTO item VALUES (1, 0) ON CONFLICT DO NOTHING")
    }
  })

  it("makes who has only locked its row lose if it takes long, since what it does cannot be looked at", async () => {
    await other.query("BEGIN")
    await other.query("SELECT FROM item")
    const ended = await during(`${seen} UPDATE item SET n = n + 1 FROM g WHERE id = 1`, async () => {
      expect(await outcome(other, protocol, "SELECT FROM item WHERE id = 1 FOR UPDATE")).toBe("SELECT 1")
      expect(await outcome(other, protocol, "COMMIT")).toBe(dataConflict)
    })
    expect(ended).toBe("UPDATE 1")
  })

  it("takes a row from a transaction that is open, which loses", async () => {
    await other.query("BEGIN")
    expect(await outcome(other, protocol, "UPDATE item SET n = 5 WHERE id = 1")).toBe("UPDATE 1")
    expect(await outcome(alone, protocol, "UPDATE item SET n = 6 WHERE id = 1")).toBe("UPDATE 1")
    expect(await outcome(other, protocol, "COMMIT")).toBe(dataConflict)
    expect((await alone.query("SELECT n FROM item WHERE id = 1")).rows).toEqual([{ n: 6 }])
  })

  it("takes a lock that an open transaction loses to, although it is gone by then", async () => {
    await other.query("BEGIN")
    await other.query("SELECT FROM item")
    expect(await outcome(alone, protocol, "SELECT FROM item WHERE id = 1 FOR UPDATE")).toBe("SELECT 1")
    expect(await outcome(other, protocol, "UPDATE item SET n = 5 WHERE id = 1")).toBe("UPDATE 1")
    expect(await outcome(other, protocol, "COMMIT")).toBe(dataConflict)
  })
})
