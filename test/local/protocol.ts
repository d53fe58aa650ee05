/** What clients say, message by message, and the same words to the gateway and to the PostgreSQL behind it. */
import { once } from "node:events"
import { connect } from "node:net"
import { dirname, join } from "node:path"
import type { Duplex } from "node:stream"
import pg from "pg"
import type { Cluster } from "../../src/local/cluster.js"
import { MessageFramer } from "../../src/local/framing.js"
import { dialTls, frame, signToken, startup } from "./support.js"

const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A value with its length in front of it. */
const value = (bytes: string | Buffer | null): Buffer =>
  bytes === null ? int32(-1) : Buffer.concat([int32(Buffer.byteLength(bytes)), Buffer.from(bytes)])

export const parse = (sql: string, name = "", types: ReadonlyArray<number> = []): Buffer =>
  frame("P", Buffer.concat([Buffer.from(`${name}\0${sql}\0`), int16(types.length), ...types.map(int32)]))

export const bind = (
  values: ReadonlyArray<string | Buffer | null> = [],
  names: { readonly portal?: string; readonly statement?: string } = {},
  formats: { readonly values?: ReadonlyArray<number>; readonly results?: ReadonlyArray<number> } = {}
): Buffer =>
  frame(
    "B",
    Buffer.concat([
      Buffer.from(`${names.portal ?? ""}\0${names.statement ?? ""}\0`),
      int16(formats.values?.length ?? 0),
      ...(formats.values ?? []).map(int16),
      int16(values.length),
      ...values.map(value),
      int16(formats.results?.length ?? 0),
      ...(formats.results ?? []).map(int16)
    ])
  )

export const describeStatement = (name = ""): Buffer => frame("D", `S${name}\0`)
export const describePortal = (name = ""): Buffer => frame("D", `P${name}\0`)
export const closeStatement = (name = ""): Buffer => frame("C", `S${name}\0`)
export const closePortal = (name = ""): Buffer => frame("C", `P${name}\0`)
export const execute = (limit = 0, portal = ""): Buffer =>
  frame("E", Buffer.concat([Buffer.from(`${portal}\0`), int32(limit)]))
export const sync = frame("S", "")
export const flush = frame("H", "")
export const copyData = (data: string | Buffer): Buffer => frame("d", data)
export const copyDone = frame("c", "")
export const copyFail = (reason: string): Buffer => frame("f", `${reason}\0`)
export const terminate = frame("X", "")

/** A function by its oid, arguments and result as text. */
export const callFunction = (oid: number, values: ReadonlyArray<string | null>): Buffer =>
  frame("F", Buffer.concat([int32(oid), int16(0), int16(values.length), ...values.map(value), int16(0)]))

/** The bytes of one connection, both ways. */
export class ByteSession {
  readonly socket: Duplex
  #received: Array<Buffer> = []
  #length = 0
  #closed = false

  constructor(socket: Duplex) {
    this.socket = socket
    socket.on("data", (chunk: Buffer) => {
      this.#received.push(chunk)
      this.#length += chunk.length
      socket.emit("incoming")
    })
    socket.on("error", () => {})
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#closed = true
        socket.emit("incoming")
      })
    }
    socket.resume()
  }

  /** Sends each chunk in a TLS record of its own: what waits in a socket is sent as one. */
  async send(chunks: ReadonlyArray<Buffer>): Promise<void> {
    for (const chunk of chunks) await new Promise((resolve) => this.socket.write(chunk, resolve))
  }

  /** The next bytes, at least `length` unless the server closes before. */
  async take(length: number): Promise<Buffer> {
    while (this.#length < length && !this.#closed) await once(this.socket, "incoming")
    const bytes = Buffer.concat(this.#received)
    this.#received = []
    this.#length = 0
    return bytes
  }

  /** Everything until the server closes. */
  rest(): Promise<Buffer> {
    return this.take(Number.POSITIVE_INFINITY)
  }

  /** Everything up to a ReadyForQuery that nothing follows. */
  async untilReady(): Promise<Buffer> {
    let bytes = await this.take(1)
    while (!this.#closed && bytes.toString("latin1", bytes.length - 6, bytes.length - 1) !== "Z\0\0\0\x05") {
      bytes = Buffer.concat([bytes, await this.take(1)])
    }
    return bytes
  }
}

/** Where the PostgreSQL of a cluster listens; whoever may enter the folder is trusted. */
const socketPath = (cluster: Cluster): string => join(dirname(cluster.caFile), ".s.PGSQL.5432")

export interface Greeted {
  readonly session: ByteSession
  /** Authentication, parameters, key and ReadyForQuery. */
  readonly greeting: Buffer
}

const greeted = async (socket: Duplex, hello: Buffer): Promise<Greeted> => {
  const session = new ByteSession(socket)
  socket.write(hello)
  return { session, greeting: await session.untilReady() }
}

const parameters = { user: "admin", database: "postgres", application_name: "bytes" }

/** A session of PostgreSQL itself, past the gateway. */
export const openDirectly = (cluster: Cluster, more: Record<string, string> = {}): Promise<Greeted> =>
  greeted(connect(socketPath(cluster)), startup({ ...parameters, ...more }))

/** node-postgres past the gateway. */
export const connectDirectly = async (cluster: Cluster, name: string): Promise<pg.Client> => {
  const host = dirname(cluster.caFile)
  const client = new pg.Client({ host, port: 5432, user: "admin", database: "postgres", application_name: name })
  await client.connect()
  return client
}

/** The same session through the gateway. */
export const openThroughGateway = async (cluster: Cluster, more: Record<string, string> = {}): Promise<Greeted> => {
  const password = frame("p", `${await signToken(cluster)}\0`)
  const socket = await dialTls(cluster)
  // Or the second part of a message would wait until the first is acknowledged.
  socket.setNoDelay()
  return greeted(socket, Buffer.concat([startup({ ...parameters, ...more }), password]))
}

/** Every way to send bytes in two parts, in one, and one by one. */
export const everyCut = (bytes: Buffer): Array<ReadonlyArray<Buffer>> => [
  [bytes],
  ...Array.from({ length: bytes.length - 1 }, (_, place) => [bytes.subarray(0, place + 1), bytes.subarray(place + 1)]),
  Array.from(bytes, (byte) => Buffer.of(byte))
]

/** Server messages as one readable line each; process ids, which differ between sessions, are left out. */
export const readable = (bytes: Buffer): Array<string> => {
  const messages = new MessageFramer("123ACDEGHIKNRSTVWZcdnstv", () => 1 << 30).push(bytes)
  const rest = bytes.subarray(messages.reduce((length, { raw }) => length + raw.length, 0))
  const bodyStart: Record<string, number> = { A: 9, K: 13 }
  return [
    ...messages.map(({ raw, type }) => `${type}${raw.readInt32BE(1)} ${raw.toString("latin1", bodyStart[type] ?? 5)}`),
    ...(rest.length === 0 ? [] : [`no message: ${rest.toString("latin1")}`])
  ]
}
