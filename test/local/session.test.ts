import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { eventually, frame, query, rawSession, withClient } from "./support.js"

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())
afterEach(async () => {
  cluster.dropConnections()
  await eventually(() => cluster.connectionCount() === 0)
})

const typesOf = (messages: ReadonlyArray<{ type: string }>): string => messages.map(({ type }) => type).join("")

describe("a session", () => {
  it("runs the simple and the extended protocol", async () => {
    await withClient(cluster, async (client) => {
      const both = await client.query("SELECT 1 AS a; SELECT 2 AS a")
      expect((both as unknown as Array<{ rows: unknown }>).map(({ rows }) => rows)).toEqual([[{ a: 1 }], [{ a: 2 }]])
      const named = { name: "add", text: "SELECT $1::int + $2::int AS sum" }
      for (const n of [1, 2]) expect((await client.query({ ...named, values: [n, 1] })).rows).toEqual([{ sum: n + 1 }])
      await expect(client.query("SELECT 1/0")).rejects.toMatchObject({ code: "22012" })
      expect((await client.query("SELECT 'still here' AS a")).rows).toEqual([{ a: "still here" }])
    })
  })

  it("carries large values both ways", async () => {
    await withClient(cluster, async (client) => {
      const value = "ä".repeat(4 * 1024 * 1024)
      const { rows } = await client.query("SELECT $1::text AS value, length($1::text) AS length", [value])
      expect(rows[0].length).toBe(value.length)
      expect(rows[0].value === value).toBe(true)
      const many = await client.query("SELECT n, repeat('x', 1000) AS x FROM generate_series(1, 20000) AS n")
      expect(many.rows.length).toBe(20_000)
    })
  })

  it("starts with what the client sent ahead of the answers", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(Buffer.concat([query("SELECT 1"), query("SELECT 2"), frame("X", "")]))
    expect(typesOf(await incoming.until(""))).toBe("TDCZTDCZ")
  })
})

describe("a backend that dies", () => {
  it("ends the session with PostgreSQL's words", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(query("SELECT pg_terminate_backend(pg_backend_pid())"))
    expect((await incoming.lastError())?.get("C")).toBe("57P01")
  })
})
