/** The client of node-postgres in the place of our own protocol, for who wants to be handed one. */
import * as Redacted from "effect/Redacted"
import { EventEmitter } from "node:events"
import { Socket } from "node:net"
import type * as Pg from "pg"
// @ts-expect-error not from `pg` itself, which has another client in its place where NODE_PG_FORCE_NATIVE is set
import PgClient from "pg/lib/client.js"
import type { Connection } from "../Connection.js"
import type { Request } from "../internal/request.js"
import type { Driver, Login, Server, TransactionStatus } from "../internal/wire.js"

/** The part of a `pg.Client` that its types leave out. */
interface Internals {
  password: unknown
  readonly connection: EventEmitter
  readonly connectionParameters: { password: unknown; query_timeout: unknown }
  readonly readyForQuery: boolean
  getStartupConf: () => Readonly<Record<string, string>>
  readonly getTransactionStatus: () => TransactionStatus | null
}

/** `pg` takes the host for SNI and for the check of the certificate; only the TCP connection goes to the address. */
const socketTo = (address: string): Socket => {
  const socket = new Socket()
  const connect = socket.connect.bind(socket)
  return Object.assign(socket, { connect: (port: number) => connect(port, address) })
}

const makeClient = (
  types: Pg.CustomTypesConfig | undefined,
  server: Server,
  { parameters, token }: Login,
  socket: Socket
) => {
  const { host, keepAlive, negotiation, port, secureContext } = server
  const client: Pg.Client = new PgClient({
    host,
    port,
    user: parameters["user"],
    database: parameters["database"],
    password: Redacted.value(token),
    ssl: { secureContext, rejectUnauthorized: true },
    sslnegotiation: negotiation,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAlive,
    stream: () => socket,
    types
  } as Pg.ClientConfig)
  const internals = client as unknown as Internals
  // Where an option is missing, `pg` reads PGOPTIONS, PGAPPNAME and the like, or its global defaults: the start-up packet
  // holds this and no more, and no timer of the driver's runs.
  internals.getStartupConf = () => parameters
  internals.connectionParameters.query_timeout = 0
  return { client, internals }
}

export class PgDriver extends EventEmitter implements Driver {
  private made: ReturnType<typeof makeClient> | undefined
  private socket: Socket | undefined

  constructor(private readonly types: Pg.CustomTypesConfig | undefined) {
    super()
  }

  get client(): Pg.Client {
    return this.made!.client
  }

  get isReady(): boolean {
    return this.made?.internals.readyForQuery === true
  }

  get transactionStatus(): TransactionStatus {
    return this.made?.internals.getTransactionStatus() ?? "I"
  }

  open(server: Server, login: Login, callback: (failure: unknown) => void): void {
    const socket = (this.socket = socketTo(server.address))
    const { client, internals } = (this.made = makeClient(this.types, server, login, socket))
    for (const name of ["parseComplete", "closeComplete", "commandComplete"]) {
      internals.connection.on(name, (message) => this.emit(name, message))
    }
    const end = () => this.emit("end")
    client.on("error", end)
    client.on("end", end)
    // The server says no more after that, and whether its closing arrives is not for sure.
    internals.connection.on("errorMessage", ({ severity }: Pg.DatabaseError) => {
      if (severity !== "ERROR") end()
    })
    client.connect((error: Error | null | undefined) => {
      internals.password = internals.connectionParameters.password = null
      callback(error ?? undefined)
    })
    // Behind the client's own listener, which makes it ready.
    internals.connection.on("readyForQuery", () => this.emit("readyForQuery"))
  }

  request(request: Request): void {
    this.client.query(request as unknown as Pg.Submittable)
  }

  close(callback: () => void): void {
    this.client.end(callback)
  }

  destroy(): void {
    this.socket?.destroy()
  }
}

/** The driver's client of a connection that was opened by one. */
export const pgClientOf = ({ driver }: Connection): Pg.Client => (driver as PgDriver).client
