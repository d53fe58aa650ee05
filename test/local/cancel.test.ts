import { SqlClient } from "@effect/sql"
import { Effect, Fiber, Redacted } from "effect"
import { DsqlAuth, DsqlLayer } from "effect-dsql"
import { once } from "node:events"
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net"
import { pipeline } from "node:stream"
import { connect as connectTls } from "node:tls"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connectDirectly, openThroughGateway, readable } from "./protocol.js"
import {
  connect,
  dialTcp,
  dialTls,
  eventually,
  gssRequest,
  Incoming,
  makeClient,
  query,
  sslRequest
} from "./support.js"

const clusters = new Map<string, Running>()
beforeAll(async () => {
  for (const cancel of ["ignored", "postgres"] as const) {
    const cluster = await startCluster({
      cancel: cancel === "ignored" ? undefined : cancel,
      lockProbe: 60_000,
      rules: "off"
    })
    clusters.set(cancel, { cluster, observer: await connectDirectly(cluster, "observer") })
  }
})
afterAll(async () => {
  for (const { cluster, observer } of clusters.values()) {
    await observer.end()
    await cluster.stop()
  }
})

/** Every way to get as far as a start-up packet. */
const openings: Readonly<Record<string, (cluster: Cluster) => Promise<Socket>>> = {
  "in the clear": dialTcp,
  "in the clear, where encryption was declined": async (cluster) => {
    const socket = await dialTcp(cluster)
    socket.write(gssRequest)
    await once(socket, "data")
    return socket
  },
  "within TLS": dialTls,
  "within TLS that was asked for": async (cluster) => {
    const socket = await dialTcp(cluster)
    socket.write(sslRequest)
    await once(socket, "data")
    const secure = connectTls({ socket, servername: cluster.endpoint, ca: cluster.ca })
    await once(secure, "secureConnect")
    return secure
  }
}

/** Sends a CancelRequest and waits until the server closes, which is all it answers. */
const sendCancel = async (socket: Socket, key: Buffer): Promise<void> => {
  const incoming = new Incoming(socket)
  socket.write(Buffer.concat([Buffer.from([0, 0, 0, key.length + 8, 0x04, 0xd2, 0x16, 0x2e]), key]))
  expect(await incoming.until("")).toEqual([])
}

interface Running {
  readonly cluster: Cluster
  readonly observer: pg.Client
}

/** Waits until a session of ours waits for the lock that the observer holds. */
const untilItWaits = ({ observer }: Running) =>
  eventually(async () => {
    const { rows } = await observer.query("SELECT FROM pg_stat_activity WHERE wait_event = 'advisory'")
    return rows.length === 1
  })

const waitForLock = "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)"

/** Gives `use` a session that waits for a lock, and its key; then it gets the lock. */
const whileWaiting = async (running: Running, use: (key: Buffer) => Promise<void>): Promise<string> => {
  await running.observer.query("SELECT pg_advisory_lock(1)")
  const { greeting, session } = await openThroughGateway(running.cluster)
  await session.send([query(waitForLock)])
  await untilItWaits(running)
  // The last but ReadyForQuery: process id and secret key.
  await use(greeting.subarray(-14, -6))
  await running.observer.query("SELECT pg_advisory_unlock(1)")
  const answer = await session.untilReady()
  session.socket.destroy()
  return readable(answer).join("\n")
}

const cancelled = "C57014\0Mcanceling statement due to user request"

describe.each(Object.entries(openings))("a CancelRequest %s", (_, open) => {
  it("has no effect by default", async () => {
    const running = clusters.get("ignored")!
    const answer = await whileWaiting(running, async (key) => sendCancel(await open(running.cluster), key))
    expect(answer).toContain("SELECT 1")
  })

  it("cancels with the setting `postgres`", async () => {
    const running = clusters.get("postgres")!
    const answer = await whileWaiting(running, async (key) => sendCancel(await open(running.cluster), key))
    expect(answer).toContain(cancelled)
  })

  it("cancels nothing with a wrong key", async () => {
    const running = clusters.get("postgres")!
    const answer = await whileWaiting(running, async (key) => {
      const wrong = Buffer.from(key)
      wrong.writeInt32BE(key.readInt32BE(4) ^ 1, 4)
      for (const other of [wrong, key.subarray(0, 4), Buffer.concat([key, key])]) {
        await sendCancel(await open(running.cluster), other)
      }
    })
    expect(answer).toContain("SELECT 1")
  })
})

describe("node-postgres", () => {
  /** What becomes of a statement that is cancelled while it waits. */
  const outcome = async (running: Running): Promise<unknown> => {
    await running.observer.query("SELECT pg_advisory_lock(1)")
    const client = await connect(running.cluster)
    const statement = new pg.Query(waitForLock)
    const ended = new Promise((resolve) => statement.once("error", resolve).once("end", () => resolve("done")))
    client.query(statement)
    await untilItWaits(running)
    // Neither is in its types.
    const other = (await makeClient(running.cluster)) as unknown as {
      readonly connection: NodeJS.EventEmitter
      readonly cancel: (client: pg.Client, query: unknown) => void
    }
    other.cancel(client, statement)
    await new Promise((resolve) => other.connection.on("error", () => {}).once("end", resolve))
    await running.observer.query("SELECT pg_advisory_unlock(1)")
    const result = await ended
    await client.end()
    return result
  }

  it("cancels nothing by default", async () => {
    expect(await outcome(clusters.get("ignored")!)).toBe("done")
  })

  it("cancels with the setting `postgres`", async () => {
    expect(await outcome(clusters.get("postgres")!)).toMatchObject({ code: "57014" })
  })
})

/** A proxy in front of a cluster that counts the connections it is asked for. */
const startProxy = async (cluster: Cluster) => {
  let count = 0
  const server = createServer((socket) => {
    count++
    const upstream = connectTcp(cluster.port, cluster.hostaddr)
    pipeline(socket, upstream, socket, () => {})
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return { port: (server.address() as AddressInfo).port, count: () => count, close: () => server.close() }
}

it("our own client interrupts a statement without any, by the end of its connection", async () => {
  const running = clusters.get("postgres")!
  const { accessKeyId, ca, endpoint, hostaddr, secretAccessKey } = running.cluster
  const proxy = await startProxy(running.cluster)
  const credentials = DsqlAuth.layerStatic({ accessKeyId, secretAccessKey: Redacted.make(secretAccessKey) })
  const client = DsqlLayer.layer(
    { host: endpoint, hostaddr, port: proxy.port, tls: { ca }, pool: { max: 1 } },
    { credentials }
  )
  await running.observer.query("SELECT pg_advisory_lock(1)")
  const program = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const waiting = yield* Effect.fork(sql.unsafe(waitForLock))
    yield* Effect.promise(() => untilItWaits(running))
    yield* Fiber.interrupt(waiting)
    yield* sql`SELECT 1`
  })
  await Effect.runPromise(Effect.provide(program, client))
  await running.observer.query("SELECT pg_advisory_unlock(1)")
  expect(proxy.count()).toBe(2)
  proxy.close()
})
