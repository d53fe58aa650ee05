import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connect, frame, query, rawSession, withClient } from "./support.js"

let cluster: Cluster
let admin: pg.Client
beforeAll(async () => {
  cluster = await startCluster({
    rules: "service",
    conflicts: "service",
    limits: { tables: 5, views: 3, sequences: 3 }
  })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  admin = await connect(cluster)
  await admin.query("CREATE TABLE item (id int PRIMARY KEY, name text)")
})
afterEach(() => admin.end())

const run = async (...statements: ReadonlyArray<string>): Promise<void> => {
  for (const sql of statements) await admin.query(sql)
}

const fill = (from: number, to: number): string => `INSERT INTO item SELECT generate_series(${from}, ${to})`

const rows = async (table = "item"): Promise<unknown> =>
  ((await admin.query(`SELECT count(*)::int AS n FROM ${table}`)).rows as Array<{ n: number }>)[0]!.n

describe("the rows of a transaction", () => {
  const tooMany = { severity: "ERROR", code: "54000", message: "transaction row limit exceeded", where: undefined }
  const aborted = { code: "25P02" }

  it("may be 3,000, of one statement", async () => {
    await run(fill(1, 3000))
    await expect(admin.query(fill(3001, 6001))).rejects.toMatchObject(tooMany)
    expect(await rows()).toBe(3000)
  })

  it("may be 3,000 of all statements together, and the one that passes it aborts the block", async () => {
    await run(fill(1, 2000))
    await run(
      "BEGIN",
      "UPDATE item SET name = 'a' WHERE id <= 1000",
      "DELETE FROM item WHERE id > 1000",
      fill(3001, 4000)
    )
    await expect(admin.query("UPDATE item SET name = 'b' WHERE id = 1")).rejects.toMatchObject(tooMany)
    await expect(admin.query("SELECT 1")).rejects.toMatchObject(aborted)
    expect((await admin.query("COMMIT")).command).toBe("ROLLBACK")
    expect(await rows()).toBe(2000)
    await run("BEGIN", "DELETE FROM item", fill(1, 1000), "COMMIT")
    expect(await rows()).toBe(1000)
  })

  it("are counted over the statements of one text", async () => {
    await expect(admin.query(`${fill(1, 3000)}; ${fill(3001, 3001)}`)).rejects.toMatchObject(tooMany)
    expect(await rows()).toBe(0)
  })

  it("are counted where they are written in a query", async () => {
    await run(fill(1, 2000), "CREATE TABLE moved (id int PRIMARY KEY)")
    await expect(
      admin.query("WITH gone AS (DELETE FROM item RETURNING id) INSERT INTO moved SELECT id FROM gone")
    ).rejects.toMatchObject(tooMany)
    await run("WITH gone AS (DELETE FROM item WHERE id <= 1500 RETURNING id) INSERT INTO moved SELECT id FROM gone")
  })

  it("are counted where a conflict updates them, and not where it does nothing", async () => {
    await run(fill(1, 2000))
    await run("BEGIN", `${fill(1, 2000)} ON CONFLICT DO NOTHING`, fill(2001, 5000), "ROLLBACK")
    await run("BEGIN", fill(2001, 3001))
    await expect(admin.query(`${fill(1, 2000)} ON CONFLICT (id) DO UPDATE SET name = 'a'`)).rejects.toMatchObject(
      tooMany
    )
    await run("ROLLBACK")
  })

  it("are counted where a foreign key deletes them", async () => {
    await run("CREATE TABLE part (id int PRIMARY KEY REFERENCES item ON DELETE CASCADE)", fill(1, 1501))
    await run("INSERT INTO part SELECT id FROM item")
    await expect(admin.query("DELETE FROM item")).rejects.toMatchObject(tooMany)
    await run("DELETE FROM item WHERE id <= 1500")
    expect(await rows("part")).toBe(1)
  })

  it("are counted where they are copied in", async () => {
    const copy = async (count: number) => {
      const { incoming, socket } = await rawSession(cluster)
      const lines = Array.from({ length: count }, (_, n) => `${n}\ta\n`).join("")
      socket.write(query("COPY item FROM STDIN"))
      await incoming.until("G")
      socket.write(Buffer.concat([frame("d", lines), frame("c", "")]))
      const answers = await incoming.until("Z")
      socket.destroy()
      return answers.map(({ raw, type }) => (type === "E" ? /M([^\0]*)/.exec(raw.toString("latin1", 5))?.[1] : type))
    }
    expect(await copy(3001)).toEqual([tooMany.message, "Z"])
    expect(await rows()).toBe(0)
    expect(await copy(3000)).toEqual(["C", "Z"])
    expect(await rows()).toBe(3000)
  })

  it("are those that the transaction has written in the end, however often it had to be run", async () => {
    await run(fill(1, 1000))
    await withClient(cluster, async (other) => {
      await run("BEGIN", "UPDATE item SET name = 'a' WHERE id <= 990", fill(1001, 3000))
      // Makes the first give up its locks, and take them again.
      await other.query("BEGIN")
      await other.query("UPDATE item SET name = 'b' WHERE id = 1")
      await other.query("ROLLBACK")
      await run("UPDATE item SET name = 'c' WHERE id > 2990", "COMMIT")
    })
    expect(await rows()).toBe(3000)
  })

  it("are not of concern to what only reads or locks", async () => {
    await run(fill(1, 3000), "CREATE TABLE more (id int PRIMARY KEY)")
    await run("BEGIN", "SELECT * FROM item", "SELECT * FROM item FOR UPDATE", "INSERT INTO more VALUES (1)", "COMMIT")
  })
})

describe("the bytes of a transaction", () => {
  const value = (kibibytes: number): string => `repeat('x', ${kibibytes * 1024})`
  const tooLong = {
    code: "54000",
    message: "transaction size limit 10mb exceeded",
    detail: "Current transaction size 11mb > 10mb",
    where: undefined
  }
  const write = (from: number, to: number): string =>
    `INSERT INTO item SELECT n, ${value(512)} FROM generate_series(${from}, ${to}) n`

  it("may be 10 MiB, which COMMIT finds out", async () => {
    await run("BEGIN", write(1, 19), "COMMIT")
    await run("BEGIN", write(21, 30), write(31, 41), "SELECT 1")
    await expect(admin.query("COMMIT")).rejects.toMatchObject(tooLong)
    await run("ROLLBACK")
    expect(await rows()).toBe(19)
  })

  it("are found out at once by a statement that commits by itself", async () => {
    await expect(admin.query(write(1, 21))).rejects.toMatchObject(tooLong)
    expect(await rows()).toBe(0)
  })
})

describe("a row", () => {
  const random = (kibibytes: number, type = "text") =>
    `(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, ${kibibytes * 32}))::${type}`
  beforeEach(() => run("CREATE TABLE long (a text, b text, c bytea, d jsonb, e json)"))

  it.each([
    ["a", "text", random(1600)],
    ["c", "bytea", random(1600, "bytea")],
    ["d", "jsonb", `to_jsonb(${random(1600)})`],
    ["e", "json", `to_json(${random(1600)})`]
  ])("has values of at most 1 MiB, in column %s of type %s", async (column, type, value) => {
    await expect(admin.query(`INSERT INTO long (${column}) VALUES (${value})`)).rejects.toMatchObject({
      code: "54000",
      message: `datatype limit greater than 1048576 bytes not supported for ${type}`,
      where: undefined
    })
  })

  it("may have values that are longer before they are compressed", () =>
    run("INSERT INTO long (d) VALUES (to_jsonb(repeat('a', 2 * 1024 * 1024)))"))

  it("has at most 2 MiB together", async () => {
    await run(`INSERT INTO long (a, b) VALUES (${random(900)}, ${random(900)})`)
    await expect(admin.query(`UPDATE long SET c = ${random(900, "bytea")}`)).rejects.toMatchObject({
      code: "54000",
      message: "maximum row size exceeded",
      where: undefined
    })
  })
})

describe("a key", () => {
  const tooLong = { code: "54000", message: "key size too large", detail: undefined, hint: undefined, where: undefined }
  const text = (length: number): string => `'${"k".repeat(length)}'`

  it("may be 1,981 bytes long, and no longer", async () => {
    await run("CREATE TABLE key (a text, b text, PRIMARY KEY (a, b))")
    await run(`INSERT INTO key VALUES (${text(1000)}, ${text(981)})`)
    await expect(admin.query(`INSERT INTO key VALUES (${text(1001)}, ${text(981)})`)).rejects.toMatchObject(tooLong)
    await expect(admin.query(`UPDATE key SET b = ${text(982)}`)).rejects.toMatchObject(tooLong)
  })

  it("of an index may not be longer, also where PostgreSQL would not take it", async () => {
    await run("CREATE TABLE key (id int PRIMARY KEY, a text)")
    await run(`INSERT INTO key VALUES (1, ${text(5000)})`, "DELETE FROM key", "CREATE INDEX ASYNC ON key (a)")
    await expect(admin.query(`INSERT INTO key VALUES (1, ${text(1982)})`)).rejects.toMatchObject(tooLong)
    const random = "(SELECT string_agg(gen_random_uuid()::text, '') FROM generate_series(1, 200))"
    await expect(admin.query(`INSERT INTO key VALUES (1, ${random})`)).rejects.toMatchObject(tooLong)
    await run(`INSERT INTO key VALUES (1, ${text(1981)})`)
  })
})

describe("the schema", () => {
  it("has no views with definitions beyond 2 MiB", async () => {
    const view = (length: number): string => `CREATE VIEW v AS SELECT '${"v".repeat(length)}'`
    await run(view(1024 * 1024), "DROP VIEW v")
    await expect(admin.query(view(2 * 1024 * 1024))).rejects.toMatchObject({
      code: "54000",
      message: "view definition too large",
      where: undefined
    })
  })

  const many = (count: number, make: (n: number) => string): Array<string> =>
    Array.from({ length: count }, (_, n) => make(n + 1))
  const columns = (count: number): string => many(count, (n) => `c${n} int`).join(", ")

  const limits: ReadonlyArray<readonly [string, ReadonlyArray<string>, string, string, string]> = [
    ["schemas", many(10, (n) => `CREATE SCHEMA s${n}`), "CREATE SCHEMA s", "54000", "more than 10 schemas not allowed"],
    // Lowered for the test, as are views and sequences.
    [
      "tables",
      many(4, (n) => `CREATE TABLE t${n} (n int)`),
      "CREATE TABLE t (n int)",
      "54000",
      "creating more than 5 tables not allowed"
    ],
    [
      "views",
      many(3, (n) => `CREATE VIEW v${n} AS SELECT 1`),
      "CREATE VIEW v AS SELECT 1",
      "54000",
      "creating more than 3 views not allowed"
    ],
    [
      "sequences",
      many(3, (n) => `CREATE SEQUENCE s${n} CACHE 1`),
      "CREATE SEQUENCE s CACHE 1",
      "54000",
      "creating more than 3 sequences is not allowed"
    ],
    [
      "columns",
      [`CREATE TABLE t (${columns(255)})`],
      "ALTER TABLE t ADD COLUMN c int",
      "54011",
      "tables can have at most 255 columns"
    ],
    ["columns at once", [], `CREATE TABLE t (${columns(256)})`, "54011", "tables can have at most 255 columns"],
    [
      "indexes",
      many(23, (n) => `CREATE INDEX ASYNC i${n} ON item (name)`),
      "CREATE INDEX ASYNC i ON item (name)",
      "54000",
      "more than 24 indexes per table are not allowed"
    ],
    [
      "key columns",
      [`CREATE TABLE t (${columns(9)}, PRIMARY KEY (c1, c2, c3, c4, c5, c6, c7, c8))`],
      "CREATE INDEX ASYNC ON t (c1, c2, c3, c4, c5, c6, c7, c8, c9)",
      "54011",
      "more than 8 column keys in an index are not supported"
    ],
    [
      "key columns at once",
      [],
      `CREATE TABLE t (${columns(9)}, UNIQUE (c1, c2, c3, c4, c5, c6, c7, c8, c9))`,
      "54011",
      "more than 8 column keys in an index are not supported"
    ],
    [
      "statistics",
      many(5, (n) => `CREATE STATISTICS e${n} ON id, name FROM item`),
      "CREATE STATISTICS e ON id, name FROM item",
      "54000",
      "more than 5 extended statistics per table are not allowed"
    ]
  ]
  it.each(limits)("has a limit of %s", async (_, allowed, sql, code, message) => {
    await run(...allowed)
    await expect(admin.query(sql)).rejects.toMatchObject({ code, message, where: undefined })
  })

  it("may be changed again where something is dropped", async () => {
    await run(...many(10, (n) => `CREATE SCHEMA s${n}`), "DROP SCHEMA s1", "CREATE SCHEMA s")
    await run(`CREATE TABLE t (${columns(255)})`, "ALTER TABLE t DROP COLUMN c1", "ALTER TABLE t ADD COLUMN c int")
  })

  it("shows nothing of how rows are counted", async () => {
    const { rows } = await admin.query("SELECT * FROM information_schema.triggers")
    expect(rows).toEqual([])
    expect((await admin.query("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).rows).toEqual([])
  })
})

describe("CREATE INDEX without ASYNC", () => {
  const refused = { code: "0A000", message: "unsupported mode. please use CREATE INDEX ASYNC." }

  it("is refused", async () => {
    await expect(admin.query("CREATE INDEX ON item (name)")).rejects.toMatchObject(refused)
    await expect(admin.query("CREATE INDEX ON nothing (name)")).rejects.toMatchObject(refused)
  })

  it("makes an index at once where that is allowed, but only on an empty table", async () => {
    await run("SET disable_sync_create_index = off", "CREATE UNIQUE INDEX by_name ON item (name)")
    const { rows } = await admin.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_name'::regclass")
    expect(rows).toEqual([{ indisvalid: true }])
    await run("INSERT INTO item VALUES (1, 'a')")
    await expect(admin.query("CREATE INDEX ON item (name)")).rejects.toMatchObject(refused)
    await run("RESET disable_sync_create_index", "DELETE FROM item")
    await expect(admin.query("CREATE INDEX ON item (name)")).rejects.toMatchObject(refused)
  })

  it("makes one where the login allows it", () =>
    withClient(cluster, (client) => client.query("CREATE INDEX ON item (name)"), {
      options: "-c disable_sync_create_index=off"
    }))
})

it("without the service's rules there are no such limits", async () => {
  const free = await startCluster({ rules: "off" })
  try {
    await withClient(free, async (client) => {
      await client.query("CREATE TABLE item (id int, name text)")
      await client.query("INSERT INTO item SELECT generate_series(1, 3001), repeat('x', 10000)")
      await client.query("CREATE INDEX ON item (id)")
      for (let n = 0; n < 11; n++) await client.query(`CREATE SCHEMA s${n}`)
    })
  } finally {
    await free.stop()
  }
})
