/** One connection from the socket to the login, and what Node and the server say when it fails. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Socket } from "node:net"
import type { SecureContext } from "node:tls"
import * as Pg from "pg"
import type { Resolved } from "../Config.js"
import type { ServerError } from "../core/serverError.js"
import type { ConnectionReason, DsqlStatementError } from "../Errors.js"
import { DsqlConnectionError, DsqlQueryError, fromServerError } from "../Errors.js"

/** The part of a `pg.Client` that its types leave out. */
interface Internals {
  password: unknown
  readonly connectionParameters: { password: unknown }
  getStartupConf: () => Readonly<Record<string, string>>
  readonly getTransactionStatus: () => "I" | "T" | "E" | null
}

/** An open, logged-in connection. */
export interface Connection {
  /** The driver's client; it no longer holds the token. */
  readonly client: Pg.Client
  /** Open and outside of any transaction block: the state in which it may be lent to somebody else. */
  readonly isUsable: () => boolean
  /** To be called when a statement may have changed settings of the session. */
  readonly markChanged: () => void
  /** Undoes what {@link markChanged} told of; `undefined` where there is nothing to undo. */
  readonly reset: () => Effect.Effect<void, DsqlStatementError> | undefined
  /** Closes the socket at once, whatever is going on. */
  readonly destroy: () => void
  /** Says goodbye to the server, then closes. */
  readonly end: Effect.Effect<void>
  /** What an error of the driver means. */
  readonly toError: (cause: unknown) => DsqlStatementError
}

const reasons: Readonly<Record<string, ConnectionReason>> = {
  ENOTFOUND: "Dns",
  EAI_AGAIN: "Dns",
  EAI_FAIL: "Dns",
  ENODATA: "Dns",
  ECONNREFUSED: "Refused",
  ETIMEDOUT: "ConnectTimeout",
  EPROTO: "Tls",
  ECONNRESET: "Closed",
  EPIPE: "Closed"
}

/** `undefined` where the error says nothing about the connection. */
const reasonOf = (cause: unknown): ConnectionReason | undefined => {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown }
  const text = String(message)
  if (/before secure TLS connection|does not support SSL|establishing an SSL|certificate/i.test(text)) return "Tls"
  if (typeof code === "string") {
    if (reasons[code] !== undefined) return reasons[code]
    if (/^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH)/.test(code)) return "Tls"
    if (code.startsWith("E")) return "Other"
  }
  return /connection terminated|not queryable/i.test(text) ? "Closed" : undefined
}

const serverError = (error: Pg.DatabaseError): ServerError => ({
  severity: error.severity,
  sqlState: error.code ?? "",
  message: error.message,
  detail: error.detail,
  hint: error.hint,
  position: error.position,
  where: error.where,
  schema: error.schema,
  table: error.table,
  column: error.column,
  dataType: error.dataType,
  constraint: error.constraint,
  routine: error.routine
})

/** SQLSTATE data_exception: what PostgreSQL would say, had the value reached it. */
const unencodable = (cause: unknown): ServerError => ({
  sqlState: "22000",
  message: `a parameter or a value of the result could not be converted: ${cause instanceof Error ? cause.message : String(cause)}`
})

const errorOf = (config: Resolved, cause: unknown, open: boolean): DsqlStatementError => {
  const peer = { host: config.host, address: `${config.address}:${config.port}`, user: config.user }
  if (cause instanceof Pg.DatabaseError) {
    return fromServerError(serverError(cause), peer, cause)
  }
  const reason = reasonOf(cause)
  return reason === undefined && open
    ? new DsqlQueryError({ sqlState: "22000", server: unencodable(cause) })
    : new DsqlConnectionError({ reason: reason ?? "Other", host: peer.host, address: peer.address, cause })
}

/** How long a goodbye may take. */
const endTimeout = "1 second"

/** How long undoing a session's settings may take; one round trip. */
const resetTimeout = "5 seconds"

/** `pg` takes the host for SNI and for the check of the certificate; only the TCP connection goes to the address. */
const socketTo = (address: string): Socket => {
  const socket = new Socket()
  const connect = socket.connect.bind(socket)
  return Object.assign(socket, { connect: (port: number) => connect(port, address) })
}

const makeClient = (config: Resolved, secureContext: SecureContext, token: Redacted.Redacted, socket: Socket) => {
  const client = new Pg.Client({
    host: config.host,
    port: config.port,
    user: config.user,
    database: config.database,
    password: Redacted.value(token),
    ssl: { secureContext, rejectUnauthorized: true },
    sslnegotiation: config.tls.negotiation,
    keepAlive: true,
    stream: () => socket,
    types: config.types
  } as Pg.ClientConfig)
  const internals = client as unknown as Internals
  // Where an option is missing, `pg` reads PGOPTIONS, PGAPPNAME and the like: the start-up packet holds this, and no more.
  internals.getStartupConf = () => ({
    user: config.user,
    database: config.database,
    application_name: config.applicationName
  })
  return { client, internals }
}

const makeConnection = (config: Resolved, client: Pg.Client, internals: Internals, socket: Socket) => {
  let open = false
  let changed = false
  const destroy = () => {
    open = false
    socket.destroy()
  }
  const toError = (cause: unknown) => errorOf(config, cause, open)
  // `RESET ALL` goes back to what came with the start-up packet.
  const reset = Effect.async<void, DsqlStatementError>((resume) => {
    client.query("RESET ALL", (error: Error | null) => resume(error ? Effect.fail(toError(error)) : Effect.void))
  }).pipe(Effect.timeoutFail({ duration: resetTimeout, onTimeout: () => timeout(config) }))
  const connection: Connection = {
    client,
    isUsable: () => open && internals.getTransactionStatus() === "I",
    markChanged: () => {
      changed = true
    },
    reset: () => {
      const due = changed
      changed = false
      return due ? reset : undefined
    },
    destroy,
    end: Effect.async<void>((resume) => client.end(() => resume(Effect.void))).pipe(
      Effect.timeoutOption(endTimeout),
      Effect.ensuring(Effect.sync(destroy))
    ),
    toError
  }
  const opened = () => {
    open = true
    internals.password = internals.connectionParameters.password = null
  }
  // A connection that breaks while it lies idle is found out at the next checkout.
  client.on("error", destroy)
  client.on("end", destroy)
  return { connection, opened }
}

const timeout = (config: Resolved) =>
  new DsqlConnectionError({
    reason: "ConnectTimeout",
    host: config.host,
    address: `${config.address}:${config.port}`
  })

/**
 * Dials, negotiates TLS and logs in. Runs uninterruptibly but for its wait, so that whatever way it ends, either the
 * caller has the connection or its socket is destroyed.
 */
export const dial = (
  config: Resolved,
  secureContext: SecureContext,
  token: Redacted.Redacted
): Effect.Effect<Connection, DsqlStatementError> =>
  Effect.suspend(() => {
    const socket = socketTo(config.address)
    const { client, internals } = makeClient(config, secureContext, token, socket)
    const { connection, opened } = makeConnection(config, client, internals, socket)
    return Effect.async<Connection, DsqlStatementError>((resume) => {
      client.connect((error: Error | null | undefined) => {
        if (error) {
          return resume(Effect.fail(connection.toError(error)))
        }
        opened()
        resume(Effect.succeed(connection))
      })
    }).pipe(
      Effect.timeoutFail({ duration: config.pool.connectTimeout, onTimeout: () => timeout(config) }),
      Effect.interruptible,
      Effect.onError(() => Effect.sync(connection.destroy))
    )
  })
