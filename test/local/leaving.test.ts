import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import type { Socket } from "node:net"
import type pg from "pg"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { bind, connectDirectly, copyData, execute, parse, sync } from "./protocol.js"
import { eventually, type Incoming, query, rawSession } from "./support.js"

let cluster: Cluster
let observer: pg.Client
let holder: pg.Client
beforeAll(async () => {
  cluster = await startCluster({ lockProbe: 60_000 })
  observer = await connectDirectly(cluster, "observer")
  holder = await connectDirectly(cluster, "holder")
  await observer.query("CREATE TABLE kept (n int)")
})
afterAll(async () => {
  await observer.end()
  await holder.end()
  await cluster.stop()
})
afterEach(async () => {
  cluster.resume()
  cluster.dropConnections()
  await holder.query("ROLLBACK")
})

/** What the clients' sessions wait for. */
const waitEvents = async (): Promise<ReadonlyArray<string | null>> => {
  const { rows } = await observer.query<{ wait_event: string | null }>(
    "SELECT wait_event FROM pg_stat_activity WHERE usename = 'admin' AND application_name = ''"
  )
  return rows.map((row) => row.wait_event)
}

const waitFor = (event: string) => eventually(async () => (await waitEvents())[0] === event)

/** Brings a session to where its client leaves it. */
type Begin = (socket: Socket, incoming: Incoming) => Promise<void>

const sleep = async (socket: Socket): Promise<void> => {
  socket.write(query("SELECT pg_sleep(600)"))
  await waitFor("PgSleep")
}

const states: Readonly<Record<string, Begin>> = {
  idle: async () => {},
  "in a transaction": async (socket, incoming) => {
    socket.write(query("BEGIN; INSERT INTO kept VALUES (1)"))
    await incoming.until("Z")
  },
  "in the midst of a statement": sleep,
  "in the midst of the extended protocol": async (socket) => {
    socket.write(Buffer.concat([parse("SELECT pg_sleep(600)"), bind(), execute(), sync]))
    await waitFor("PgSleep")
  },
  "with more statements in its pipeline than PostgreSQL's socket takes": async (socket) => {
    await sleep(socket)
    for (let n = 0; n < 8; n++) socket.write(query(`SELECT '${"x".repeat(100_000)}'`))
  },
  "between two rows of a COPY": async (socket, incoming) => {
    socket.write(Buffer.concat([query("COPY kept FROM STDIN"), copyData("1\n")]))
    await incoming.until("G")
    await waitFor("ClientRead")
  },
  "in a COPY that waits for another session": async (socket) => {
    await holder.query("BEGIN; LOCK TABLE kept")
    socket.write(query("COPY kept FROM STDIN"))
    for (let n = 0; n < 8; n++) socket.write(copyData("1\n".repeat(50_000)))
    await waitFor("relation")
  }
}

/** How a client may go: all of a sudden, or by closing its side first. */
const ways: Readonly<Record<string, (socket: Socket) => void>> = {
  "is gone at once": (socket) => void socket.destroy(),
  "closes its side": (socket) => void socket.end()
}

describe.each(Object.entries(ways))("a client that %s takes its backend with it", (_, leave) => {
  it.for(Object.entries(states))("%s", async ([, begin]) => {
    const { incoming, socket } = await rawSession(cluster)
    await begin(socket, incoming)
    leave(socket)
    await eventually(async () => (await waitEvents()).length === 0)
    await holder.query("ROLLBACK")
    expect((await observer.query("TABLE kept")).rows).toEqual([])
    socket.destroy()
  })

  it("while the network is frozen", async () => {
    const { socket } = await rawSession(cluster)
    await sleep(socket)
    cluster.pause()
    socket.write(query("SELECT 'never read'"))
    leave(socket)
    await eventually(async () => (await waitEvents()).length === 0)
    socket.destroy()
  })
})

it("a client that is gone does not get the rows that were on their way", async () => {
  const { socket } = await rawSession(cluster)
  socket.pause()
  socket.write(query("COPY (SELECT repeat('x', 1000000) FROM generate_series(1, 100000)) TO STDOUT"))
  await waitFor("ClientWrite")
  socket.destroy()
  await eventually(async () => (await waitEvents()).length === 0)
})
