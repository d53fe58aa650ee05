import type pg from "pg"
import { afterEach, describe, expect, it } from "vitest"
import { type Cluster, type ClusterOptions, startCluster } from "../../../src/local/cluster.js"
import { connect } from "../support.js"
import { aborted, outcome, type Outcome, protocols, schemaConflict } from "./support.js"

let cluster: Cluster
let changing: pg.Client
let using: pg.Client
const start = async (options: ClusterOptions = {}): Promise<void> => {
  cluster = await startCluster(options)
  changing = await connect(cluster)
  using = await connect(cluster)
  await changing.query("CREATE TABLE item (id int PRIMARY KEY, name text, n int)")
  await changing.query("INSERT INTO item VALUES (1, 'one', 0)")
  await changing.query("CREATE ROLE reader WITH LOGIN")
  // Whoever is told of that is told now.
  await using.query("SELECT 1").catch(() => {})
}
afterEach(async () => {
  await changing.end()
  await using.end()
  await cluster.stop()
})

const change = "CREATE TABLE other (id int PRIMARY KEY)"
const arn = "arn:aws:iam::123456789012:role/reader"
const changes: ReadonlyArray<string> = [
  change,
  "ALTER TABLE item ADD COLUMN more text",
  "GRANT SELECT ON item TO reader",
  "REVOKE SELECT ON item FROM reader",
  `AWS IAM GRANT reader TO '${arn}'`,
  `AWS IAM REVOKE reader FROM '${arn}'`,
  "BEGIN; CREATE VIEW shown AS SELECT 1 AS one; COMMIT",
  "CREATE INDEX ASYNC by_name ON item (name)",
  "DROP TABLE other"
]

describe.each(protocols)(
  "a transaction during which another session changes the schema, by the %s protocol,",
  (protocol) => {
    const run = (client: pg.Client, sql: string): Promise<Outcome> => outcome(client, protocol, sql)

    it("is told at its next statement, whatever it was, and then is aborted", async () => {
      await start()
      for (const sql of changes) {
        expect([sql, await run(using, "BEGIN")]).toEqual([sql, "BEGIN"])
        expect(await run(using, "SELECT id FROM item")).toBe("SELECT 1")
        await changing.query(sql)
        expect([sql, await run(using, "SELECT 1")]).toEqual([sql, schemaConflict])
        expect(await run(using, "SELECT 1")).toBe(aborted)
        expect(await run(using, "COMMIT")).toBe("ROLLBACK")
        // The next one knows of it.
        expect(await run(using, "BEGIN")).toBe("BEGIN")
        expect(await run(using, "UPDATE item SET n = n + 1")).toBe("UPDATE 1")
        expect(await run(using, "COMMIT")).toBe("COMMIT")
      }
    })

    it.each(["SELECT * FROM item", "UPDATE item SET n = 1", "SELECT * FROM item FOR UPDATE"])(
      "is told at COMMIT if that comes next (%s)",
      async (sql) => {
        await start()
        await run(using, "BEGIN")
        await run(using, sql)
        await changing.query(change)
        expect(await run(using, "COMMIT")).toBe(schemaConflict)
        expect(await run(using, "ROLLBACK")).toBe("ROLLBACK")
        expect((await using.query("SELECT n FROM item")).rows).toEqual([{ n: 0 }])
      }
    )

    it("is told also if it only reads", async () => {
      await start()
      await run(using, "BEGIN READ ONLY")
      await run(using, "SELECT * FROM item")
      await changing.query(change)
      expect(await run(using, "SELECT * FROM item")).toBe(schemaConflict)
    })

    it("may roll back without being told", async () => {
      await start()
      await run(using, "BEGIN")
      await run(using, "SELECT * FROM item")
      await changing.query(change)
      expect(await run(using, "ROLLBACK")).toBe("ROLLBACK")
      expect(await run(using, "SELECT * FROM item")).toBe("SELECT 1")
    })

    it("does not keep a change of its own table waiting", async () => {
      await start()
      await run(using, "BEGIN")
      await run(using, "UPDATE item SET n = 1")
      expect(await run(changing, "ALTER TABLE item ADD COLUMN more text")).toBe("ALTER")
      expect(await run(using, "UPDATE item SET n = 2")).toBe(schemaConflict)
      await run(using, "ROLLBACK")
      expect((await using.query("SELECT * FROM item")).rows).toEqual([{ id: 1, name: "one", n: 0, more: null }])
    })

    it("is not told of its own change", async () => {
      await start()
      await run(using, "BEGIN")
      expect(await run(using, change)).toBe("CREATE")
      expect(await run(using, "SELECT * FROM other")).toBe("SELECT 0")
      expect(await run(using, "COMMIT")).toBe("COMMIT")
      expect(await run(using, "SELECT * FROM other")).toBe("SELECT 0")
    })

    it("is not told of one that was rolled back", async () => {
      await start()
      await run(using, "BEGIN")
      await run(using, "SELECT * FROM item")
      await changing.query("BEGIN")
      await changing.query(change)
      await changing.query("ROLLBACK")
      expect(await run(using, "SELECT * FROM item")).toBe("SELECT 1")
      expect(await run(using, "COMMIT")).toBe("COMMIT")
    })
  }
)

describe("by its option, a change of the schema is told to", () => {
  it("open transactions only (transactions, the default)", async () => {
    await start()
    await changing.query(change)
    expect(await outcome(using, "simple", "SELECT * FROM item")).toBe("SELECT 1")
  })

  it.each(["SELECT * FROM item", "UPDATE item SET n = 1", "INSERT INTO other VALUES (1)"])(
    "every session, once, also outside of transactions (sessions): %s",
    async (sql) => {
      await start({ schemaConflicts: "sessions" })
      const third = await connect(cluster)
      await changing.query(change)
      for (const client of [using, third]) {
        expect(await outcome(client, "simple", sql)).toBe(schemaConflict)
        expect(await outcome(client, "simple", "SELECT * FROM item")).toBe("SELECT 1")
      }
      expect(await outcome(changing, "simple", "SELECT * FROM item")).toBe("SELECT 1")
      await third.end()
    }
  )

  it("every session, when it is in a transaction that began after the change (sessions)", async () => {
    await start({ schemaConflicts: "sessions" })
    await changing.query(change)
    expect(await outcome(using, "simple", "BEGIN")).toBe("BEGIN")
    expect(await outcome(using, "simple", "SELECT * FROM item")).toBe(schemaConflict)
    expect(await outcome(using, "simple", "SELECT * FROM item")).toBe(aborted)
    expect(await outcome(using, "simple", "ROLLBACK")).toBe("ROLLBACK")
    expect(await outcome(using, "simple", "BEGIN; SELECT * FROM item; COMMIT")).not.toBe(schemaConflict)
  })

  it("nobody whom it does not concern (off)", async () => {
    await start({ schemaConflicts: "off" })
    await using.query("BEGIN")
    await using.query("SELECT * FROM item")
    await changing.query(change)
    expect(await outcome(using, "simple", "SELECT * FROM item")).toBe("SELECT 1")
    expect(await outcome(using, "simple", "COMMIT")).toBe("COMMIT")
  })
})
