import * as fc from "effect/FastCheck"
import type { Socket } from "node:net"
import type pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { clientMessageTypes } from "../../src/local/batches.js"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { MessageFramer } from "../../src/local/framing.js"
import { connectDirectly, openDirectly, openThroughGateway, readable, terminate } from "./protocol.js"
import { preparation, scripts } from "./scripts.js"
import { dialTcp, dialTls, eventually, gssRequest, query, sslRequest, startup, withClient } from "./support.js"

/** The same cases in every run; change it to look further. */
const seed = 20261124

let cluster: Cluster
/** One that takes temporary tables, so that each session can have a table of its own. */
let lenient: Cluster
let observer: pg.Client
beforeAll(async () => {
  // Every session makes a table of its own, which PostgreSQL tells no other session.
  const lenientOptions = { rules: "off", schemaConflicts: "off" } as const
  ;[cluster, lenient] = await Promise.all([startCluster(), startCluster(lenientOptions)])
  observer = await connectDirectly(cluster, "observer")
})
afterAll(async () => {
  await observer.end()
  await Promise.all([cluster.stop(), lenient.stop()])
})

const concurrently = async <A>(cases: ReadonlyArray<A>, run: (one: A) => Promise<void>): Promise<void> => {
  const rest = [...cases]
  const next = async (): Promise<void> => {
    for (let one = rest.pop(); one !== undefined; one = rest.pop()) await run(one)
  }
  await Promise.all(Array.from({ length: 8 }, next))
}

const hello = startup({ user: "admin", database: "postgres" })

/** How far a client comes before it talks nonsense. */
const stages: Readonly<Record<string, () => Promise<Socket>>> = {
  "before TLS": () => dialTcp(cluster),
  "while asking for TLS": () => dialTcp(cluster).then(after(sslRequest)),
  "while asking for TLS after GSS": () => dialTcp(cluster).then(after(gssRequest)),
  "in a TLS handshake": () => dialTcp(cluster).then(after(Buffer.from([0x16, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]))),
  "within TLS": () => dialTls(cluster),
  "behind its start-up packet": () => dialTls(cluster).then(after(hello)),
  "in its session": async () => (await openThroughGateway(cluster)).session.socket as Socket
}

const after =
  (bytes: Buffer) =>
  <A extends Socket>(socket: A): A => {
    socket.write(bytes)
    return socket
  }

const length32 = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }))
const packet = fc.tuple(length32, fc.uint8Array({ maxLength: 60 })).map(([length, body]) => {
  const header = Buffer.alloc(4)
  header.writeInt32BE(length)
  return Buffer.concat([header, body])
})
const typed = fc
  .tuple(fc.constantFrom(...clientMessageTypes, "p", "!"), packet)
  .map(([type, rest]) => Buffer.concat([Buffer.from(type), rest]))
const nonsense = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      packet,
      typed
    ),
    { minLength: 1, maxLength: 5 }
  )
  .map((parts) => Buffer.concat(parts))

describe("nonsense", () => {
  it.for(Object.entries(stages))(
    "%s is answered or ends the connection, and leaves nothing behind",
    async ([, open]) => {
      const cases = fc.sample(fc.tuple(nonsense, fc.constantFrom("end", "destroy")), { seed, numRuns: 40 })
      await concurrently(cases, async ([bytes, how]) => {
        const socket = (await open()).on("error", () => {}).resume()
        const closed = new Promise((resolve) => socket.once("close", resolve))
        if (how === "end") socket.end(bytes)
        else socket.write(bytes, () => socket.destroy())
        await closed
      })
      await eventually(() => cluster.connectionCount() === 0)
      await eventually(async () => {
        const { rows } = await observer.query("SELECT FROM pg_stat_activity WHERE usename = 'admin'")
        return rows.length === 1
      })
      await withClient(cluster, (client) => client.query("SELECT 1"))
    }
  )
})

const messages = Object.entries(scripts).flatMap(([name, script]) => (name.includes("notifications") ? [] : script))

/** Messages in any order, with wrong bytes in some places. What is not whole at the end is left out. */
const almostRight = fc
  .tuple(
    fc.array(fc.constantFrom(...messages), { minLength: 1, maxLength: 12 }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })
  )
  .map(([list, changes]) => {
    const bytes = Buffer.concat(list)
    for (const [place, byte] of changes) bytes[place % bytes.length] = byte
    const framer = new MessageFramer(clientMessageTypes, () => 10_000)
    const whole = framer.push(bytes).map(({ raw }) => raw)
    return Buffer.concat(framer.problem?._tag === "InvalidType" ? [bytes] : [...whole, terminate])
  })

it("messages that are almost right are answered as PostgreSQL answers them", { timeout: 60_000 }, async () => {
  const answer = async (open: typeof openDirectly, bytes: Buffer): Promise<Array<string>> => {
    const { session } = await open(lenient)
    await session.send([query(preparation.replace("CREATE", "CREATE TEMP"))])
    await session.untilReady()
    await session.send([bytes])
    // The oid of the temporary table is another one in each session.
    return readable(await session.rest()).map((line) => (line.startsWith("T") ? line.slice(0, 4) : line))
  }
  await concurrently(fc.sample(almostRight, { seed, numRuns: 200 }), async (bytes) => {
    const [found, expected] = await Promise.all([answer(openThroughGateway, bytes), answer(openDirectly, bytes)])
    expect({ asked: bytes.toString("latin1"), found }).toEqual({ asked: bytes.toString("latin1"), found: expected })
  })
})
