/** Unmodified postgres.js. */
import { Readable } from "node:stream"
import { text } from "node:stream/consumers"
import { pipeline } from "node:stream/promises"
import postgres from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { signToken } from "../support.js"

let cluster: Cluster
let sql: postgres.Sql

const notices: Array<string | undefined> = []
const connectTo = (cluster: Cluster, options: postgres.Options<{}> = {}): postgres.Sql =>
  postgres({
    host: cluster.hostaddr,
    port: cluster.port,
    user: cluster.user,
    database: cluster.database,
    password: () => signToken(cluster),
    // It dials an address, so the name to be verified is said here.
    ssl: { servername: cluster.endpoint, ca: cluster.ca },
    max: 4,
    onnotice: ({ message }) => notices.push(message),
    ...options
  })

beforeAll(async () => {
  cluster = await startCluster()
  sql = connectTo(cluster)
  await sql`CREATE TABLE owner (id int PRIMARY KEY, name text NOT NULL, born date, info jsonb)`
})
afterAll(async () => {
  await sql.end()
  await cluster.stop()
})

it("connects with a token as its password, over TLS that it verifies", async () => {
  expect(await sql`SELECT current_user, current_database()`).toEqual([
    { current_user: "admin", current_database: "postgres" }
  ])
  const distrustful = connectTo(cluster, { ssl: { servername: cluster.endpoint } })
  await expect(distrustful`SELECT 1`).rejects.toThrow(/certificate/)
  const misled = connectTo(cluster, { ssl: { servername: "example.org", ca: cluster.ca } })
  await expect(misled`SELECT 1`).rejects.toThrow(/altnames/)
})

it("inserts with parameters and with many rows, and selects", async () => {
  const ana = { id: 1, name: "Ana", born: new Date("1990-02-03"), info: sql.json({ n: [1] }) }
  expect(await sql`INSERT INTO owner ${sql(ana)} RETURNING *`).toEqual([{ ...ana, info: { n: [1] } }])
  const many = await sql`INSERT INTO owner ${sql([2, 3, 4].map((id) => ({ id, name: `owner ${id}` })))}`
  expect([many.command, many.count]).toEqual(["INSERT", 3])
  expect(await sql`SELECT id FROM owner WHERE id IN ${sql([2, 4])} ORDER BY id`).toEqual([{ id: 2 }, { id: 4 }])
})

it("reads and writes values of every usual type", async () => {
  const moment = new Date("2026-11-24T20:30:00.123Z")
  const [row] = await sql`
    SELECT ${"9007199254740993"}::int8 AS big, ${"12345.678900"}::numeric AS exact, ${0.1}::float8 AS float,
      ${true}::bool AS yes, ${Buffer.from([0, 255])}::bytea AS bytes, ${moment}::timestamptz AS moment,
      ${[1, 2]}::int[] AS numbers, ${sql.json({ a: null })}::json AS object, ${null}::text AS nothing`
  expect({ ...row }).toEqual({
    big: "9007199254740993",
    exact: "12345.678900",
    float: 0.1,
    yes: true,
    bytes: Buffer.from([0, 255]),
    moment,
    numbers: [1, 2],
    object: { a: null },
    nothing: null
  })
})

it("commits and rolls back, and pipelines within a transaction", async () => {
  const inserted = await sql.begin((tx) => [
    tx`INSERT INTO owner VALUES (10, 'Jo') RETURNING name`,
    tx`INSERT INTO owner VALUES (11, 'Ka') RETURNING name`
  ])
  expect(inserted.flat()).toEqual([{ name: "Jo" }, { name: "Ka" }])
  const failing = sql.begin(async (tx) => {
    await tx`DELETE FROM owner`
    throw new Error("changed my mind")
  })
  await expect(failing).rejects.toThrow("changed my mind")
  expect(await sql`SELECT count(*)::int AS n FROM owner WHERE id >= 10`).toEqual([{ n: 2 }])
})

it("tells errors by their SQLSTATE, and goes on", async () => {
  await expect(sql`INSERT INTO owner VALUES (10, 'twice')`).rejects.toMatchObject({
    code: "23505",
    constraint_name: "owner_pkey"
  })
  await expect(sql`SELECT * FROM nowhere`).rejects.toMatchObject({ code: "42P01" })
  expect(await sql`SELECT 1 AS one`).toEqual([{ one: 1 }])
})

it("reads through cursors, row by row and in chunks", async () => {
  const sizes: Array<number> = []
  await sql`SELECT n FROM generate_series(1, 25) AS n`.cursor(10, (rows) => void sizes.push(rows.length))
  expect(sizes).toEqual([10, 10, 5])
  let sum = 0
  for await (const [row] of sql`SELECT n FROM generate_series(1, 100) AS n`.cursor()) {
    sum += row!["n"]
    if (row!["n"] === 10) break
  }
  expect(sum).toBe(55)
})

it("prepares, describes and runs many at once", async () => {
  const { columns, types } = await sql`SELECT ${1}::int AS a, ${"x"}::text AS b`.describe()
  expect([columns.map(({ name }) => name), types]).toEqual([
    ["a", "b"],
    [23, 25]
  ])
  const numbers = await Promise.all(Array.from({ length: 50 }, (_, n) => sql`SELECT ${n}::int AS n`))
  expect(numbers.map(([row]) => row!["n"])).toEqual(Array.from({ length: 50 }, (_, n) => n))
  expect(await sql.unsafe("SELECT 1 AS a; SELECT 2 AS a").simple()).toEqual([[{ a: 1 }], [{ a: 2 }]])
})

it("copies in and out", async () => {
  await sql`CREATE TABLE copied (n int, t text)`
  const rows = Array.from({ length: 3_000 }, (_, n) => `${n}\trow ${n}\n`)
  await pipeline(Readable.from(rows), await sql`COPY copied FROM STDIN`.writable())
  expect(await text(await sql`COPY (SELECT * FROM copied ORDER BY n) TO STDOUT`.readable())).toBe(rows.join(""))
})

it("sees notices, and may not listen", async () => {
  await sql`DROP TABLE IF EXISTS nothing`
  expect(notices).toContain('table "nothing" does not exist, skipping')
  await expect(sql`LISTEN news`).rejects.toMatchObject({ code: "0A000" })
})

it("reserves a connection, and connects anew when it is lost", async () => {
  let single!: postgres.Sql
  const closed = new Promise<void>((resolve) => {
    single = connectTo(cluster, { max: 1, onclose: () => resolve() })
  })
  const reserved = await single.reserve()
  await reserved`SET application_name TO reserved`
  const [row] = await reserved`SELECT current_setting('application_name') AS name, pg_backend_pid() AS pid`
  expect(row!["name"]).toBe("reserved")
  reserved.release()
  expect(cluster.dropConnection(row!["pid"])).toBe(true)
  await closed
  expect(await single`SELECT 2 AS two`).toEqual([{ two: 2 }])
  await single.end()
})
