import { once } from "node:events"
import { connect as connectTcp, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls"
import { setTimeout as delay } from "node:timers/promises"
import { DsqlSigner } from "@aws-sdk/dsql-signer"
import pg from "pg"
import type { Cluster, Identity } from "../../src/local/cluster.js"
import { type Message, MessageFramer } from "../../src/local/framing.js"
import { errorFields } from "../../src/local/wire.js"
import { dialling } from "./dialling.js"

export { dialling } from "./dialling.js"

export interface TokenOptions {
  readonly action?: "DbConnect" | "DbConnectAdmin"
  readonly host?: string
  readonly region?: string
  readonly identity?: Identity
  readonly expiresIn?: number
}

/** A token of the real signer, by default one that the cluster accepts for `admin`. */
export const signToken = (cluster: Cluster, options: TokenOptions = {}): Promise<string> => {
  const signer = new DsqlSigner({
    hostname: options.host ?? cluster.endpoint,
    region: options.region ?? cluster.region,
    credentials: credentialsOf(options.identity ?? cluster),

    expiresIn: options.expiresIn ?? 900
  })
  return options.action === "DbConnect" ? signer.getDbConnectAuthToken() : signer.getDbConnectAdminAuthToken()
}

export const credentialsOf = ({ accessKeyId, secretAccessKey, sessionToken }: Identity) => ({
  accessKeyId,
  secretAccessKey,
  ...(sessionToken === undefined ? {} : { sessionToken })
})

export type Negotiation = "direct" | "postgres"

export interface ClientOptions extends TokenOptions {
  readonly password?: string
  readonly user?: string
  readonly database?: string
  readonly options?: string
  readonly applicationName?: string
  readonly servername?: string
  readonly ca?: string
  readonly negotiation?: Negotiation
}

/** A node-postgres client, not connected yet. */
export const makeClient = async (cluster: Cluster, options: ClientOptions = {}): Promise<pg.Client> => {
  const config = {
    host: options.servername ?? cluster.endpoint,
    port: cluster.port,
    user: options.user ?? cluster.user,
    database: options.database ?? cluster.database,
    password: options.password ?? (await signToken(cluster, options)),
    options: options.options,
    application_name: options.applicationName,
    ssl: { ca: options.ca ?? cluster.ca },
    sslnegotiation: options.negotiation ?? "direct",
    stream: () => dialling(cluster)
  }
  const client = new pg.Client(config)
  client.on("error", () => {})
  return client
}

export const connect = async (cluster: Cluster, options: ClientOptions = {}): Promise<pg.Client> => {
  const client = await makeClient(cluster, options)
  await client.connect()
  return client
}

/** Resolves when the connection of a client has ended, for whatever reason. */
export const ended = (client: pg.Client): Promise<void> => new Promise((resolve) => client.once("end", () => resolve()))

/** Runs `use` with a client that is ended afterwards. */
export const withClient = async <A>(
  cluster: Cluster,
  use: (client: pg.Client) => Promise<A>,
  options: ClientOptions = {}
): Promise<A> => {
  const client = await connect(cluster, options)
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** What a login that must fail was answered. */
export const refusal = async (
  cluster: Cluster,
  options: ClientOptions = {}
): Promise<{ severity: unknown; code: unknown; message: string; hint: unknown }> => {
  const client = await makeClient(cluster, options)
  try {
    await client.connect()
  } catch (error) {
    const { severity, code, message, hint } = error as pg.DatabaseError
    return { severity, code, message, hint }
  }
  await client.end()
  throw new Error("was not refused")
}

/** Polls until `check` gives something true, within a bound. */
export const eventually = async (check: () => boolean | Promise<boolean>, within = 10_000): Promise<void> => {
  const deadline = Date.now() + within
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`did not become true within ${within} ms: ${check.toString()}`)
    await delay(10)
  }
}

/** The messages a server sends, one after the other; it ends when the server closes. */
export class Incoming {
  readonly #socket: Duplex
  readonly #framer = new MessageFramer("123CDEGHIKNRSTVWZcdnstv", () => 1 << 30)
  #queue: Array<Message> = []
  #closed = false

  constructor(socket: Duplex) {
    this.#socket = socket
    socket.on("data", (chunk: Buffer) => {
      this.#queue.push(...this.#framer.push(chunk))
      socket.emit("incoming")
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      this.#closed = true
      socket.emit("incoming")
    })
  }

  async next(): Promise<Message | undefined> {
    while (this.#queue.length === 0 && !this.#closed) await once(this.#socket, "incoming")
    return this.#queue.shift()
  }

  /** All up to the first message of `type`, or to the end. */
  async until(type: string): Promise<Array<Message>> {
    const messages: Array<Message> = []
    for (;;) {
      const message = await this.next()
      if (message === undefined) return messages
      messages.push(message)
      if (message.type === type) return messages
    }
  }

  /** The fields of the ErrorResponse that comes before the end, and whether the server closed behind it. */
  async lastError(): Promise<ReadonlyMap<string, string> | undefined> {
    const error = (await this.until("E")).at(-1)
    while ((await this.next()) !== undefined);
    return error?.type === "E" ? errorFields(error.raw.subarray(5)) : undefined
  }
}

export const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
export const gssRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30])

export const dialTcp = async (cluster: Cluster): Promise<Socket> => {
  const socket = connectTcp(cluster.port, cluster.hostaddr)
  await once(socket, "connect")
  return socket.on("error", () => {})
}

/** TLS without PostgreSQL above it. `servername: ""` sends no SNI. */
export const dialTls = async (cluster: Cluster, options: ConnectionOptions = {}): Promise<TLSSocket> => {
  const socket = connectTls({
    host: cluster.hostaddr,
    port: cluster.port,
    servername: cluster.endpoint,
    ca: cluster.ca,
    ALPNProtocols: ["postgresql"],
    ...options
  })
  await once(socket, "secureConnect")
  return socket.on("error", () => {})
}

/** A raw session that is logged in, with what comes in behind the first ReadyForQuery. */
export const rawSession = async (cluster: Cluster): Promise<{ socket: TLSSocket; incoming: Incoming }> => {
  const socket = await dialTls(cluster)
  const incoming = new Incoming(socket)
  socket.write(startup({ user: "admin", database: "postgres" }))
  await incoming.until("R")
  socket.write(frame("p", `${await signToken(cluster)}\0`))
  await incoming.until("Z")
  return { socket, incoming }
}

export const frame = (type: string, body: string | Buffer): Buffer => {
  const bytes = Buffer.from(body)
  const header = Buffer.alloc(5)
  header.write(type, "latin1")
  header.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([header, bytes])
}

export const startup = (parameters: Record<string, string>, version = 3 << 16): Buffer => {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [name, value])
  const body = Buffer.from(`${pairs.map((text) => `${text}\0`).join("")}\0`)
  const header = Buffer.alloc(8)
  header.writeInt32BE(body.length + 8)
  header.writeInt32BE(version, 4)
  return Buffer.concat([header, body])
}

export const query = (sql: string): Buffer => frame("Q", `${sql}\0`)
