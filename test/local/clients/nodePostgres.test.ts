/** Unmodified node-postgres, with its cursor and its COPY streams. */
import pg from "pg"
import { from as copyFrom, to as copyTo } from "pg-copy-streams"
import Cursor from "pg-cursor"
import { once } from "node:events"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { text } from "node:stream/consumers"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { poolConfig } from "./support.js"

let cluster: Cluster
let pool: pg.Pool
beforeAll(async () => {
  cluster = await startCluster()
  pool = new pg.Pool(poolConfig(cluster))
  await pool.query("CREATE TABLE owner (id int PRIMARY KEY, name text NOT NULL, city text, UNIQUE (name))")
})
afterAll(async () => {
  await pool.end()
  await cluster.stop()
})

it("connects with a token as its password, over TLS that it verifies", async () => {
  const { rows } = await pool.query("SELECT current_user, version() LIKE 'PostgreSQL 16%' AS is16")
  expect(rows).toEqual([{ current_user: "admin", is16: true }])
  const { ca: _, ...ssl } = poolConfig(cluster).ssl
  const distrustful = new pg.Client({ ...poolConfig(cluster), ssl })
  await expect(distrustful.connect()).rejects.toThrow(/certificate/)
})

it("inserts with parameters, selects and says what it changed", async () => {
  const insert = "INSERT INTO owner VALUES ($1, $2, $3), ($4, $5, $6) RETURNING id"
  const { command, rowCount, rows } = await pool.query(insert, [1, "Ana", "Lisbon", 2, "Bo", null])
  expect({ command, rowCount, rows }).toEqual({ command: "INSERT", rowCount: 2, rows: [{ id: 1 }, { id: 2 }] })
  expect((await pool.query("SELECT * FROM owner WHERE city = $1", ["Lisbon"])).rows).toEqual([
    { id: 1, name: "Ana", city: "Lisbon" }
  ])
  expect((await pool.query("UPDATE owner SET city = $1 WHERE id > $2", ["Porto", 0])).rowCount).toBe(2)
})

it("reads and writes values of every usual type", async () => {
  const values = {
    big: "9007199254740993",
    exact: "12345.678900",
    float: 0.1,
    yes: true,
    bytes: Buffer.from([0, 1, 255]),
    moment: new Date("2026-11-24T20:30:00.123Z"),
    list: ["a", "b,c", null],
    numbers: [1, 2, 3],
    object: { nested: [1, { two: null }] },
    uuid: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    nothing: null
  }
  const types = "int8 numeric float8 bool bytea timestamptz text[] int[] jsonb uuid text".split(" ")
  const columns = Object.keys(values).map((name, index) => `$${index + 1}::${types[index]} AS ${name}`)
  const { rows } = await pool.query(`SELECT ${columns.join(", ")}`, Object.values(values))
  expect(rows).toEqual([values])
})

it("commits and rolls back", async () => {
  const client = await pool.connect()
  await client.query("BEGIN")
  await client.query("INSERT INTO owner VALUES (3, 'Cy')")
  await client.query("COMMIT")
  await client.query("BEGIN")
  await client.query("DELETE FROM owner")
  await client.query("ROLLBACK")
  expect((await client.query("SELECT name FROM owner WHERE id = 3")).rows).toEqual([{ name: "Cy" }])
  client.release()
})

it("tells errors by their SQLSTATE, and goes on", async () => {
  await expect(pool.query("INSERT INTO owner VALUES (3, 'Di')")).rejects.toMatchObject({
    code: "23505",
    table: "owner",
    constraint: "owner_pkey",
    detail: "Key (id)=(3) already exists."
  })
  await expect(pool.query("INSERT INTO owner VALUES ($1, $2)", [9, null])).rejects.toMatchObject({
    code: "23502",
    column: "name"
  })
  await expect(pool.query("SELEC 1")).rejects.toMatchObject({ code: "42601", position: "1" })
  expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
})

it("prepares statements by name, and runs several at once", async () => {
  const client = await pool.connect()
  const add = (a: number, b: number) =>
    client.query({ name: "add", text: "SELECT $1::int + $2::int AS sum", values: [a, b] })
  expect((await add(1, 2)).rows).toEqual([{ sum: 3 }])
  expect((await add(3, 4)).rows).toEqual([{ sum: 7 }])
  expect((await client.query("SELECT name FROM pg_prepared_statements")).rows).toEqual([{ name: "add" }])
  client.release()
  const sums = await Promise.all(Array.from({ length: 20 }, (_, n) => pool.query("SELECT $1::int AS n", [n])))
  expect(sums.map(({ rows }) => rows[0].n)).toEqual(Array.from({ length: 20 }, (_, n) => n))
})

it("reads through a cursor, chunk by chunk", async () => {
  const client = await pool.connect()
  const cursor = client.query(new Cursor<{ n: number }>("SELECT n FROM generate_series(1, $1::int) AS n", [5]))
  const chunks: Array<ReadonlyArray<number>> = []
  for (let rows = await cursor.read(2); rows.length > 0; rows = await cursor.read(2))
    chunks.push(rows.map(({ n }) => n))
  expect(chunks).toEqual([[1, 2], [3, 4], [5]])
  await cursor.close()
  client.release()
})

it("copies in and out", async () => {
  const client = await pool.connect()
  await client.query("CREATE TABLE copied (n int, t text)")
  const rows = Array.from({ length: 3_000 }, (_, n) => `${n}\trow ${n}\n`)
  const into = client.query(copyFrom("COPY copied FROM STDIN"))
  await pipeline(Readable.from(rows), into)
  expect(into.rowCount).toBe(3_000)
  expect(await text(client.query(copyTo("COPY (SELECT * FROM copied ORDER BY n) TO STDOUT")))).toBe(rows.join(""))
  const wrong = client.query(copyFrom("COPY copied FROM STDIN"))
  await expect(pipeline(Readable.from(["no number\n"]), wrong)).rejects.toMatchObject({ code: "22P02" })
  expect((await client.query("SELECT count(*)::int AS n FROM copied")).rows).toEqual([{ n: 3_000 }])
  client.release()
})

it("sees notices, and may not listen", async () => {
  const client = await pool.connect()
  const notice = once(client, "notice")
  await client.query("DROP TABLE IF EXISTS nothing")
  expect((await notice)[0]).toMatchObject({ message: 'table "nothing" does not exist, skipping', severity: "NOTICE" })
  await expect(client.query("LISTEN news")).rejects.toMatchObject({ code: "0A000" })
  client.release()
})
