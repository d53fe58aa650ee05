import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { ask, protocols } from "../../conformance/session.js"
import { bind, execute, openThroughGateway, parse, readable, sync } from "../protocol.js"
import { connect, query, withClient } from "../support.js"

let cluster: Cluster
let client: pg.Client
beforeAll(async () => {
  cluster = await startCluster({ rules: "service" })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  client = await connect(cluster)
})
afterEach(() => client.end())

const truncate = { sqlstate: "0A000", message: "unsupported statement: Truncate" }
const severalDdl = { sqlstate: "0A000", message: "multiple ddl statements not supported in a transaction" }
const mixed = { sqlstate: "0A000", message: "ddl and dml are not supported in the same transaction" }
const aborted = {
  sqlstate: "25P02",
  message: "current transaction is aborted, commands ignored until end of transaction block"
}

/** Runs texts one after the other; gives the tags, or errors, of all. */
const run = async (protocol: (typeof protocols)[number], ...texts: ReadonlyArray<string>) => {
  const outcomes: Array<unknown> = []
  for (const sql of texts) {
    const { error, results } = await ask(client, sql, protocol)
    outcomes.push(...results.map(({ tag }) => tag), ...(error === undefined ? [] : [error]))
  }
  return outcomes
}

describe.each(protocols)("over the %s protocol", (protocol) => {
  it("a refusal outside of a block leaves the session as it was", async () => {
    expect(await run(protocol, "TRUNCATE t", "SELECT 1")).toEqual([truncate, "SELECT 1"])
  })

  it("a refusal aborts the block, and then everything is aborted, whatever it is", async () => {
    expect(await run(protocol, "BEGIN", "TRUNCATE t", "SELECT 1", "TRUNCATE t", "SAVEPOINT s", "COMMIT")).toEqual([
      "BEGIN",
      truncate,
      aborted,
      aborted,
      aborted,
      "ROLLBACK"
    ])
  })

  it("a transaction takes one DDL statement and no DML beside it, and the next one begins anew", async () => {
    expect(await run(protocol, "BEGIN", "CREATE TABLE a (i int)", "CREATE TABLE b (i int)", "ROLLBACK")).toEqual([
      "BEGIN",
      "CREATE TABLE",
      severalDdl,
      "ROLLBACK"
    ])
    expect(await run(protocol, "BEGIN", "CREATE TABLE a (i int)", "COMMIT", "CREATE TABLE b (i int)")).toEqual([
      "BEGIN",
      "CREATE TABLE",
      "COMMIT",
      "CREATE TABLE"
    ])
    expect(await run(protocol, "BEGIN", "INSERT INTO a VALUES (1)", "DROP TABLE b", "END")).toEqual([
      "BEGIN",
      "INSERT 0 1",
      mixed,
      "ROLLBACK"
    ])
    expect(await run(protocol, "START TRANSACTION", "DROP TABLE b", "DELETE FROM a", "ABORT")).toEqual([
      "START TRANSACTION",
      "DROP TABLE",
      mixed,
      "ROLLBACK"
    ])
    expect(await run(protocol, "BEGIN", "DROP TABLE b", "SELECT 1", "COMMIT")).toEqual([
      "BEGIN",
      "DROP TABLE",
      "SELECT 1",
      "COMMIT"
    ])
  })

  it("a query that writes is DML", async () => {
    await run(protocol, "CREATE TABLE a (i int)")
    const writes = "WITH w AS (INSERT INTO a VALUES (1) RETURNING i) SELECT * FROM w"
    expect(await run(protocol, "BEGIN", writes, "CREATE TABLE b (i int)")).toEqual(["BEGIN", "SELECT 1", mixed])
  })
})

describe("several statements in one query", () => {
  it("run up to the one that is refused", async () => {
    await run("simple", "CREATE TABLE a (i int)")
    expect(await run("simple", "BEGIN; INSERT INTO a VALUES (1); COMMIT; SELECT 1; TRUNCATE a; SELECT 2")).toEqual([
      "BEGIN",
      "INSERT 0 1",
      "COMMIT",
      "SELECT 1",
      truncate
    ])
    expect(await run("simple", "SELECT * FROM a")).toEqual(["SELECT 1"])
  })

  it("are one transaction, but for what they end", async () => {
    expect(await run("simple", "CREATE TABLE a (i int); DROP TABLE a")).toEqual(["CREATE TABLE", severalDdl])
    expect(await run("simple", "CREATE TABLE a (i int); COMMIT; DROP TABLE a")).toEqual([
      "CREATE TABLE",
      "COMMIT",
      "DROP TABLE"
    ])
    expect(await run("simple", "CREATE TABLE a (i int); BEGIN; DROP TABLE a; COMMIT")).toEqual([
      "CREATE TABLE",
      "BEGIN",
      severalDdl
    ])
  })

  it("are none of them run if one cannot be read", async () => {
    const [error] = await run("simple", "CREATE TABLE a (i int); TRUNCATE a; SELEC 1")
    expect(error).toEqual({ sqlstate: "42601", message: 'syntax error at or near "SELEC"' })
  })

  it("with a BEGIN that is never reached leave no block behind", async () => {
    expect(await run("simple", "SELECT 1/0; BEGIN")).toEqual([{ sqlstate: "22012", message: "division by zero" }])
    expect(await run("simple", "CREATE TABLE a (i int)", "CREATE TABLE b (i int)")).toEqual([
      "CREATE TABLE",
      "CREATE TABLE"
    ])
  })
})

describe("a pipeline", () => {
  const steps = (sql: string, name = ""): ReadonlyArray<Buffer> => [
    parse(sql, name),
    bind([], { statement: name }),
    execute()
  ]

  it("is one transaction up to its Sync, and skipped behind a refusal", async () => {
    const { session } = await openThroughGateway(cluster)
    const sent = [...steps("CREATE TABLE a (i int)"), ...steps("DROP TABLE a"), ...steps("SELECT 1"), sync]
    await session.send([Buffer.concat(sent)])
    const answers = readable(await session.untilReady())
    expect(answers.map((line) => line.slice(0, 1)).join("")).toBe("12C12EZ")
    expect(answers[5]).toContain(severalDdl.message)
    await session.send([Buffer.concat([...steps("CREATE TABLE a (i int)"), sync, ...steps("DROP TABLE a"), sync])])
    let bytes = await session.untilReady()
    while (readable(bytes).filter((line) => line.startsWith("Z")).length < 2) {
      bytes = Buffer.concat([bytes, await session.untilReady()])
    }
    expect(
      readable(bytes)
        .map((line) => line.slice(0, 1))
        .join("")
    ).toBe("12CZ12CZ")
    session.socket.destroy()
  })

  it("runs a statement that was prepared long before by the rules of the block it is run in", async () => {
    const { session } = await openThroughGateway(cluster)
    await session.send([Buffer.concat([parse("CREATE TABLE b (i int)", "ddl"), sync])])
    await session.untilReady()
    await session.send([query("BEGIN; CREATE TABLE a (i int)")])
    await session.untilReady()
    await session.send([Buffer.concat([bind([], { statement: "ddl" }), execute(), sync])])
    const answers = readable(await session.untilReady())
    expect(answers.map((line) => line.slice(0, 1)).join("")).toBe("2EZ")
    expect(answers[1]).toContain(severalDdl.message)
    session.socket.destroy()
  })
})

it("answers a refusal with nothing of how it is made", async () => {
  const error: unknown = await client.query("TRUNCATE t").catch((error: unknown) => error)
  const { code, detail, file, hint, message, position, routine, severity, where } = error as pg.DatabaseError
  expect({ code, detail, file, hint, message, position, routine, severity, where }).toEqual({
    severity: "ERROR",
    code: truncate.sqlstate,
    message: truncate.message
  })
})

describe("what is taken otherwise than by PostgreSQL", () => {
  it("shows by nothing but what it does", async () => {
    await client.query("CREATE TABLE priced (id int PRIMARY KEY, cents numeric, é numeric(4), note text)")
    await client.query("INSERT INTO priced VALUES (1, 1.23456789, 7)")
    expect((await client.query("SELECT cents, 1.23456789::numeric AS cast, é FROM priced")).rows).toEqual([
      { cents: "1.234568", cast: "1.23456789", é: "7" }
    ])
    await expect(client.query("INSERT INTO priced VALUES (2, 1e12)")).rejects.toMatchObject({ code: "22003" })
  })

  it.each(protocols)("has errors at the places of the client's text, over the %s protocol", async (protocol) => {
    const sql = "CREATE TABLE t (ä numeric, b numeric, c nothing)"
    const { message, position } = await client
      .query({ text: sql, ...(protocol === "simple" ? {} : { queryMode: "extended" }) })
      .then(() => ({ message: "taken", position: "" }))
      .catch((error: pg.DatabaseError) => error)
    expect([message, position]).toEqual(['type "nothing" does not exist', String(sql.indexOf("nothing") + 1)])
  })

  it.each(protocols)("drops columns that are in no primary key, over the %s protocol", async (protocol) => {
    await run(protocol, 'CREATE TABLE "T" (id int PRIMARY KEY, "it\'s" int, b int GENERATED ALWAYS AS (id) STORED)')
    expect(
      await run(
        protocol,
        `ALTER TABLE "T" DROP COLUMN "it's", /* ; */ DROP COLUMN IF EXISTS nothing -- end`,
        "SELECT 1"
      )
    ).toEqual(["ALTER TABLE", "SELECT 1"])
    expect(await run(protocol, 'ALTER TABLE "T" DROP b, DROP id')).toEqual([
      { sqlstate: "0A000", message: "cannot drop primary key column id" }
    ])
    const missing = await client.query('ALTER TABLE "T" DROP COLUMN missing').catch((error: unknown) => error)
    expect(missing).toMatchObject({ code: "42703", message: 'column "missing" of relation "T" does not exist' })
    expect((missing as pg.DatabaseError).where).toBeUndefined()
    expect((missing as pg.DatabaseError).internalQuery).toBeUndefined()
  })

  it("is none of it where the rules are off", async () => {
    const lenient = await startCluster({ rules: "off" })
    try {
      await withClient(lenient, async (client) => {
        await client.query(
          "BEGIN; CREATE TEMP TABLE a (n numeric, s serial); SAVEPOINT x; INSERT INTO a VALUES (1.23456789)"
        )
        expect((await client.query("SELECT n FROM a")).rows).toEqual([{ n: "1.23456789" }])
        await client.query(
          "ALTER TABLE a ADD PRIMARY KEY (s); ALTER TABLE a DROP COLUMN s; SET LOCAL work_mem = '4MB'; COMMIT"
        )
      })
    } finally {
      await lenient.stop()
    }
  })
})
