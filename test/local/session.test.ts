import { once } from "node:events"
import { setTimeout as delay } from "node:timers/promises"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connect, eventually, frame, query, rawSession, withClient } from "./support.js"

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

  it("passes on COPY as it comes, and a pipeline as it was sent", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(query("CREATE TABLE copied (n int, t text)"))
    await incoming.until("Z")
    socket.write(query("COPY copied FROM STDIN"))
    expect((await incoming.next())?.type).toBe("G")
    const row = Buffer.from(`1\t${"x".repeat(999)}\n`)
    for (let n = 0; n < 20_000; n++) if (!socket.write(frame("d", row))) await once(socket, "drain")
    socket.write(frame("c", ""))
    expect((await incoming.until("Z")).map(({ raw }) => raw.toString("latin1"))[0]).toContain("COPY 20000")
    socket.write(query("COPY copied FROM STDIN"))
    socket.write(frame("f", "no more\0"))
    expect(typesOf(await incoming.until("Z"))).toBe("GEZ")

    const step = [frame("P", "\0SELECT 1\0\0\0"), frame("B", "\0\0\0\0\0\0\0\0"), frame("E", "\0\0\0\0\0")]
    socket.write(Buffer.concat([...step, ...step, frame("S", "")]))
    expect(typesOf(await incoming.until("Z"))).toBe("12DC12DCZ")
    socket.write(Buffer.concat([...step, frame("H", "")]))
    expect(typesOf(await incoming.until("C"))).toBe("12DC")
    socket.write(frame("S", ""))
    await incoming.until("Z")
    socket.write(query("DROP TABLE copied"))
    await incoming.until("Z")
    socket.write(frame("X", ""))
    expect(await incoming.until("")).toEqual([])
  })

  it("starts with what the client sent ahead of the answers", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(Buffer.concat([query("SELECT 1"), query("SELECT 2"), frame("X", "")]))
    expect(typesOf(await incoming.until(""))).toBe("TDCZTDCZ")
  })

  it("refuses a message above the limit, and one of no known type", async () => {
    const tooLong = frame("Q", "")
    tooLong.writeInt32BE(10 * 1024 * 1024 + 1, 1)
    for (const [bytes, message] of [
      [tooLong, "invalid message length"],
      [frame("Q", "").fill(0, 1, 5), "invalid message length"],
      [frame("!", ""), "invalid frontend message type 33"]
    ] as const) {
      const { incoming, socket } = await rawSession(cluster)
      socket.write(bytes)
      const error = await incoming.lastError()
      expect([error?.get("S"), error?.get("C"), error?.get("M")]).toEqual(["FATAL", "08P01", message])
    }
  })

  it("accepts a message of exactly the limit", async () => {
    const { incoming, socket } = await rawSession(cluster)
    const head = "SELECT length('"
    const tail = "')\0"
    const filling = 10 * 1024 * 1024 - 4 - head.length - tail.length
    socket.write(query(`${head}${"x".repeat(filling)}')`))
    const [, row] = await incoming.until("Z")
    expect(row?.raw.toString("latin1")).toContain(String(filling))
  })
})

/** How many sessions of ours wait for `event`, seen from another one. */
const waiting = (event: string) =>
  withClient(cluster, async (client) => {
    const { rows } = await client.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = $1 AND usename = 'admin'", [
      event
    ])
    return rows.length
  })

describe("back-pressure", () => {
  it("stops reading from PostgreSQL while the client does not read", async () => {
    const { incoming, socket } = await rawSession(cluster)
    const before = process.memoryUsage.rss()
    socket.pause()

    socket.write(query("SELECT repeat('x', 1000000) FROM generate_series(1, 300)"))
    // The backend comes to a halt: seen often in a row, because it also waits for moments on its way.
    let seen = 0
    await eventually(async () => {
      seen = (await waiting("ClientWrite")) === 1 ? seen + 1 : 0
      return seen === 30
    })

    expect(process.memoryUsage.rss() - before).toBeLessThan(150_000_000)

    socket.resume()
    const rows = (await incoming.until("Z")).filter(({ type }) => type === "D")
    expect(rows.length).toBe(300)
  })

  it("stops reading from the client while PostgreSQL does not read", async () => {
    const holder = await connect(cluster)
    await holder.query("SELECT pg_advisory_lock(1)")
    const { incoming, socket } = await rawSession(cluster)
    socket.write(query("SELECT pg_advisory_lock(1)"))
    await eventually(async () => (await waiting("advisory")) === 1)
    const large = query(`SELECT length('${"x".repeat(1_000_000)}')`)
    for (let n = 0; n < 100; n++) socket.write(large)
    let left = Number.POSITIVE_INFINITY
    await eventually(async () => {
      const earlier = left
      await delay(200)
      left = socket.writableLength
      return left === earlier
    })
    expect(left).toBeGreaterThan(50_000_000)
    await holder.end()
    for (let n = 0; n <= 100; n++) expect(typesOf(await incoming.until("Z"))).toBe("TDCZ")
    socket.destroy()
  })
})

describe("a client that goes away", () => {
  const backends = (marker: string) =>
    withClient(cluster, async (client) => {
      const { rows } = await client.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'admin' AND query LIKE $1", [
        `${marker}%`
      ])
      return rows.length
    })

  it("takes its sleeping backend with it", async () => {
    const client = await connect(cluster)
    const failed = client.query("/* sleeper */ SELECT pg_sleep(60)").catch((error: Error) => error)
    await eventually(async () => (await backends("/* sleeper */")) === 1)
    const left = performance.now()
    ;(client as unknown as { connection: { stream: { destroy: () => void } } }).connection.stream.destroy()
    await eventually(async () => (await backends("/* sleeper */")) === 0)
    expect(performance.now() - left).toBeLessThan(1_000)
    expect(await failed).toBeInstanceOf(Error)
  })

  it("gives up its locks, also with more statements in its pipeline", async () => {
    await withClient(cluster, (client) => client.query("CREATE TABLE locked (n int); INSERT INTO locked VALUES (1)"))
    const { socket } = await rawSession(cluster)
    socket.write(query("BEGIN; UPDATE locked SET n = 2"))
    for (let n = 0; n < 5; n++) socket.write(query("/* pipelined */ SELECT pg_sleep(60)"))
    await eventually(async () => (await backends("/* pipelined */")) === 1)
    socket.destroy()
    await withClient(cluster, async (client) => {
      await client.query("SET statement_timeout = '5s'")
      expect((await client.query("UPDATE locked SET n = n + 10 RETURNING n")).rows).toEqual([{ n: 11 }])
    })
  })

  it("may be dropped by the cluster, which goes on", async () => {
    const client = await connect(cluster)
    const ended = new Promise<void>((resolve) => client.once("end", () => resolve()))
    expect(cluster.connectionCount()).toBe(1)
    cluster.dropConnections()
    await ended
    await eventually(() => cluster.connectionCount() === 0)
    await withClient(cluster, (other) => other.query("SELECT 1"))
  })
})

describe("a backend that dies", () => {
  it("ends the session with PostgreSQL's words", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(query("SELECT pg_terminate_backend(pg_backend_pid())"))
    expect((await incoming.lastError())?.get("C")).toBe("57P01")
  })
})
