import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Duplex } from "node:stream"
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import { connectBackend } from "../../src/local/backend.js"
import { Gate } from "../../src/local/gate.js"
import { relay } from "../../src/local/relay.js"
import { closeWith } from "../../src/local/streams.js"
import { ByteSession, copyData, parse } from "./protocol.js"
import { eventually, frame, query } from "./support.js"

interface Listening {
  readonly path: string
  readonly server: Server
}

const folder = mkdtempSync(join(tmpdir(), "dsql-relay-"))
const clients: Listening = { path: join(folder, "clients"), server: createServer() }
const backends: Listening = {
  path: join(folder, "backends"),
  server: createServer({ allowHalfOpen: true, pauseOnConnect: true })
}
beforeAll(() => Promise.all([clients, backends].map(({ path, server }) => once(server.listen(path), "listening"))))
afterAll(() => {
  for (const { server } of [clients, backends]) server.close()
  rmSync(folder, { recursive: true })
})

const sockets: Array<Socket> = []
afterEach(() => {
  vi.useRealTimers()
  for (const socket of sockets.splice(0)) socket.destroy()
})

const accepted = async ({ server }: Listening): Promise<Socket> => {
  const [socket] = (await once(server, "connection")) as [Socket]
  sockets.push(socket)
  return socket.on("error", () => {})
}

const ready = frame("Z", "I")

/**
 * A relay from left to right between two ends in our hands: that of a client, and that of PostgreSQL, which does not read by
 * itself.
 */
const startRelay = async (gate = new Gate()) => {
  const client = connect({ path: clients.path, allowHalfOpen: true }).on("error", () => {})
  sockets.push(client)
  const left = await accepted(clients)
  const { answer, socket: right } = connectBackend(backends.path, [])
  const postgres = await accepted(backends)
  postgres.write(ready)
  await answer
  postgres.resume()
  await once(postgres, "data")
  postgres.pause()
  relay(left, right, [], gate, { messageSize: 1024 * 1024, oversizedMessage: "close" })
  return { client, left, right, postgres, gate }
}

const large = copyData("x".repeat(100_000))

/** Waits until a number does not change any more. */
const settled = async (number: () => number): Promise<number> => {
  let [last, seen] = [number(), 0]
  await eventually(() => {
    seen = number() === last ? seen + 1 : 0
    last = number()
    return seen === 5
  })
  return last
}

/** PostgreSQL says its last word and goes, whether or not it has read everything. */
const vanish = async (postgres: Socket, right: Socket): Promise<void> => {
  const before = right.bytesRead
  postgres.write(ready)
  await eventually(() => right.bytesRead === before + ready.length)
  postgres.destroy()
  await eventually(() => postgres.closed)
}

describe("relay", () => {
  it("gives a client that closes its side its answers", async () => {
    const { client, gate, postgres } = await startRelay()
    // The second would wait for its Sync.
    const asked = Buffer.concat([query("SELECT 1"), parse("SELECT 2")])
    client.end(asked)
    expect(await new ByteSession(postgres).rest()).toEqual(asked)
    gate.close()
    gate.open()
    postgres.end(ready)
    expect(await new ByteSession(client).rest()).toEqual(ready)
  })

  it("waits for PostgreSQL behind a client that has gone as long as it reads on, and no longer", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    const { client, left, postgres, right } = await startRelay()
    for (let n = 0; n < 10; n++) client.write(large)
    client.end()
    await eventually(() => left.readableEnded && right.writableNeedDrain)
    vi.advanceTimersByTime(20)
    await new ByteSession(postgres).take(5 * large.length)
    postgres.pause()
    await settled(() => right.writableLength)
    vi.advanceTimersByTime(20)
    expect(left.destroyed).toBe(false)
    vi.advanceTimersByTime(20)
    expect(left.destroyed).toBe(true)
  })

  it("reads on from a client only so far", async () => {
    const { client, left } = await startRelay()
    for (let n = 0; n < 100; n++) client.write(large)
    const read = await settled(() => left.bytesRead)
    expect(read).toBeGreaterThan(1_000_000)
    expect(read).toBeLessThan(2_000_000)
  })

  it("passes nothing on while the gate is closed, and everything then", async () => {
    const gate = new Gate()
    gate.close()
    const { client, postgres } = await startRelay(gate)
    const [asked, answered] = [new ByteSession(postgres), new ByteSession(client)]
    const [sent, received] = [query("SELECT 1"), frame("D", "x".repeat(100_000))]
    let passed = 0
    for (const socket of [client, postgres]) socket.on("data", (chunk: Buffer) => (passed += chunk.length))
    client.write(sent)
    postgres.write(received)
    expect(await settled(() => passed)).toBe(0)
    gate.open()
    expect(await asked.take(sent.length)).toEqual(sent)
    expect(await answered.take(received.length)).toEqual(received)
  })

  it("keeps the end of a session back while the gate is closed", async () => {
    const { client, gate, postgres, right } = await startRelay()
    const answered = new ByteSession(client)
    postgres.write(ready)
    expect(await answered.take(ready.length)).toEqual(ready)
    gate.close()
    postgres.end()
    await eventually(() => right.destroyed)
    client.write(query("SELECT 1"))
    await settled(() => client.bytesWritten)
    expect(client.readableEnded).toBe(false)
    gate.open()
    await once(client, "end")
  })

  it("gives what PostgreSQL said before it went, while it is written to", async () => {
    const { client, postgres, right } = await startRelay()
    right.pause()
    await vanish(postgres, right)
    right.write(large)
    right.cork()
    for (const bytes of [large, large]) right.write(bytes)
    right.uncork()
    await settled(() => right.writableLength)
    right.resume()
    expect(await new ByteSession(client).rest()).toEqual(ready)
  })

  it("gives what PostgreSQL said before it went without reading on, to a client that reads late", async () => {
    const { client, left, postgres, right } = await startRelay()
    client.write(large)
    const row = frame("D", "x".repeat(50_000))
    let rows = 0
    for (; !left.writableNeedDrain; rows++) {
      postgres.write(row)
      await settled(() => left.bytesWritten)
    }
    await vanish(postgres, right)
    const expected = Buffer.concat([...Array.from({ length: rows }, () => row), ready])
    expect(await new ByteSession(client).rest()).toEqual(expected)
  })
})

describe("closeWith", () => {
  it("waits for a peer that reads slowly, but not for one that does not close", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    let written = (): void => {}
    const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => void (written = done) })
    closeWith(stream, Buffer.from("last words"))
    vi.advanceTimersByTime(60_000)
    expect(stream.destroyed).toBe(false)
    written()
    await once(stream, "finish")
    expect(stream.destroyed).toBe(false)
    vi.advanceTimersByTime(60_000)
    expect(stream.destroyed).toBe(true)
  })
})
