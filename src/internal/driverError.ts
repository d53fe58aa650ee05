/** What the errors of Node and of the driver mean. */
import { isIPv6 } from "node:net"
import { DatabaseError } from "pg-protocol"
import type { Resolved } from "../Config.js"
import type { ServerError } from "../core/serverError.js"
import type { ConnectionReason, DsqlStatementError } from "../Errors.js"
import { DsqlConnectionError, DsqlQueryError, fromServerError } from "../Errors.js"

const reasons: Readonly<Record<string, ConnectionReason>> = {
  ENOTFOUND: "Dns",
  EAI_AGAIN: "Dns",
  EAI_FAIL: "Dns",
  ENODATA: "Dns",
  ECONNREFUSED: "Refused",
  EHOSTUNREACH: "Refused",
  ENETUNREACH: "Refused",
  ENETDOWN: "Refused",
  EHOSTDOWN: "Refused",
  ETIMEDOUT: "ConnectTimeout",
  EPROTO: "Tls",
  ECONNRESET: "Closed",
  EPIPE: "Closed",
  // postgres.js's own.
  CONNECT_TIMEOUT: "ConnectTimeout",
  CONNECTION_CLOSED: "Closed",
  CONNECTION_DESTROYED: "Closed",
  CONNECTION_ENDED: "PoolClosed"
}

const tlsCodes = /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH)/

/** The driver's own words for what has no code. */
const tlsTexts = /before secure TLS connection|does not support SSL|establishing an SSL|certificate/i
const closedTexts = /connection terminated|not queryable/i

/** Why the network failed; `Other` where that is not what has happened. */
export const reasonOf = (cause: unknown): ConnectionReason => {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown }
  const [name, text] = [String(code), String(message)]
  if (tlsTexts.test(text) || tlsCodes.test(name)) return "Tls"
  return reasons[name] ?? (closedTexts.test(text) ? "Closed" : "Other")
}

/** What the server said, if an error of the driver says that. */
const saidBy = (error: unknown): ServerError | undefined =>
  error instanceof DatabaseError ? serverError(error) : undefined

const serverError = (error: DatabaseError): ServerError => ({
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

/** For messages: an IPv6 address in brackets, as in a URL. */
const addressOf = ({ address, port }: Resolved): string => `${isIPv6(address) ? `[${address}]` : address}:${port}`

const peerOf = (config: Resolved) => ({ host: config.host, address: addressOf(config), user: config.user })

/** What failed on the way to a cluster; `cause` where somebody said why. */
export const networkError = (config: Resolved, reason: ConnectionReason, cause?: unknown): DsqlConnectionError =>
  new DsqlConnectionError({
    reason,
    host: config.host,
    address: addressOf(config),
    sqlState: cause instanceof DatabaseError ? cause.code : undefined,
    cause
  })

/** While a connection is being opened. */
export const dialError = (config: Resolved, cause: unknown, server = saidBy(cause)): DsqlStatementError =>
  server === undefined ? networkError(config, reasonOf(cause), cause) : fromServerError(server, peerOf(config), cause)

/** When a connection that was open is gone. */
export const lostError = (config: Resolved, cause: unknown): DsqlStatementError => networkError(config, "Closed", cause)

/** SQLSTATE data_exception: what PostgreSQL would say, had the value reached it. */
const dataException = "22000"

/** On a connection that lives: the server's word, or a value that could not be converted on its way. */
export const statementError = (config: Resolved, cause: unknown, server = saidBy(cause)): DsqlStatementError => {
  if (server !== undefined) {
    // FATAL and PANIC end the connection, whatever else they say.
    return server.severity === "ERROR" ? fromServerError(server, peerOf(config), cause) : lostError(config, cause)
  }
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `a parameter or a value of the result could not be converted: ${why}`
  return new DsqlQueryError({ sqlState: dataException, server: { sqlState: dataException, message }, cause })
}
