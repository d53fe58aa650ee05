import { createHash } from "node:crypto"
import { once } from "node:events"
import type { Duplex } from "node:stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import {
  connectDirectly,
  copyData,
  copyDone,
  openDirectly,
  openThroughGateway,
  readable,
  terminate
} from "./protocol.js"
import { eventually, query, rawSession } from "./support.js"

const mebibyte = 1024 * 1024

let cluster: Cluster
let observer: pg.Client
let holder: pg.Client
beforeAll(async () => {
  cluster = await startCluster({ lockProbe: 60_000 })
  observer = await connectDirectly(cluster, "observer")
  holder = await connectDirectly(cluster, "holder")
  await holder.query("CREATE TABLE filled (t text)")
})
afterAll(async () => {
  await observer.end()
  await holder.end()
  await cluster.stop()
})

/** Whether a session of ours waits for `event`. */
const isWaiting = async (event: string): Promise<boolean> => {
  const { rows } = await observer.query("SELECT FROM pg_stat_activity WHERE wait_event = $1 AND usename = 'admin'", [
    event
  ])
  return rows.length === 1
}

/** Seen often in a row, because it also happens for moments on the way. */
const standsStill = async (check: () => boolean | Promise<boolean>): Promise<void> => {
  let seen = 0
  await eventually(async () => {
    seen = (await check()) ? seen + 1 : 0
    return seen === 30
  })
}

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

/** How many bytes live Buffers hold, in all of this process: the gateway's and the test's. */
const bufferMemory = (): number => {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

/** What a socket gives until it closes: how much, its hash, and the most memory that was held meanwhile. */
const drain = async (socket: Duplex): Promise<{ length: number; hash: string; memory: number }> => {
  const hash = createHash("sha256")
  const before = bufferMemory()
  let [length, chunks, memory] = [0, 0, 0]
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    length += chunk.length
    hash.update(chunk)
    if (chunks++ % 400 === 0) memory = Math.max(memory, bufferMemory() - before)
  }
  return { length, hash: hash.digest("hex"), memory }
}

describe("large answers", () => {
  it.for([
    ["a row of 64 MiB", `SELECT repeat('x', ${64 * mebibyte}), 'end'`],
    ["a COPY of 40 MB", "COPY (SELECT n, repeat('x', 10000) FROM generate_series(1, 4000) AS n) TO STDOUT"]
  ] as const)("pass unchanged and are kept nowhere: %s", async ([, sql]) => {
    const [direct, gateway] = await Promise.all([openDirectly(cluster), openThroughGateway(cluster)])
    const answers = []
    for (const { session } of [direct, gateway]) {
      session.socket.removeAllListeners("data").pause()
      session.socket.write(Buffer.concat([query(sql), terminate]))
      answers.push(await drain(session.socket))
    }
    const [expected, found] = answers
    expect([found!.length, found!.hash]).toEqual([expected!.length, expected!.hash])
    expect(found!.length).toBeGreaterThan(32 * mebibyte)
    expect(found!.memory).toBeLessThan(16 * mebibyte)
  })
})

describe("back-pressure", () => {
  it("stops reading from PostgreSQL while the client does not read", async () => {
    const { incoming, socket } = await rawSession(cluster)
    const before = bufferMemory()
    socket.pause()
    socket.write(query("SELECT repeat('x', 1000000) FROM generate_series(1, 100)"))
    await standsStill(() => isWaiting("ClientWrite"))
    expect(bufferMemory() - before).toBeLessThan(16 * mebibyte)

    socket.resume()
    expect((await incoming.until("Z")).filter(({ type }) => type === "D").length).toBe(100)
    socket.destroy()
  })

  it("stops reading a COPY while PostgreSQL does not read, and loses nothing", async () => {
    await holder.query("BEGIN; LOCK TABLE filled")
    const { session } = await openThroughGateway(cluster)
    const { socket } = session
    const before = bufferMemory()
    const row = `${"x".repeat(99_999)}\n`
    const copying = (async () => {
      socket.write(query("COPY filled FROM STDIN"))
      for (let n = 0; n < 600; n++) if (!socket.write(copyData(row))) await once(socket, "drain")
      socket.write(Buffer.concat([copyDone, query("SELECT count(*), sum(length(t)) FROM filled"), terminate]))
    })()
    let accepted = 0
    await standsStill(async () => {
      const earlier = accepted
      accepted = (socket as unknown as { bytesWritten: number }).bytesWritten
      return (await isWaiting("relation")) && accepted === earlier
    })
    // What the operating system keeps in its sockets is not ours to choose.
    expect(accepted).toBeLessThan(30 * mebibyte)
    expect(bufferMemory() - before).toBeLessThan(16 * mebibyte)

    await holder.query("ROLLBACK")
    await copying
    const answer = readable(await session.rest())
    expect(answer.filter((line) => /^[CDE]/.test(line))).toEqual([
      "C13 COPY 600\0",
      "D25 \0\x02\0\0\0\x03600\0\0\0\b59999400",
      "C13 SELECT 1\0"
    ])
  })
})
