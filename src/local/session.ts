import type { TLSSocket } from "node:tls"
import { connectBackend } from "./backend.js"
import type { OnBatch } from "./batches.js"
import { login, type LoginContext } from "./login.js"
import { relay } from "./relay.js"
import { roleDoesNotExist, roleMustLogin, serverUnavailable } from "./refusals.js"
import { closeAfter, closeWith } from "./streams.js"
import { fatal } from "./wire.js"

export interface SessionContext extends LoginContext {
  readonly socketPath: string
  /** How long a client may take to log in, in milliseconds. */
  readonly loginTimeout: number
  readonly onLogin: () => void
  readonly onBatch: OnBatch
}

/** The whole life of a connection once it speaks TLS. */
export const runSession = async (client: TLSSocket, context: SessionContext): Promise<void> => {
  const inTime = closeAfter(client, context.loginTimeout)
  const outcome = await login(client, context)
  if (outcome._tag === "Closed") return void client.destroy()
  if (outcome._tag === "Refused") return closeWith(client, fatal(outcome.error))

  const { socket: backend, answer } = connectBackend(context.socketPath, outcome.parameters)
  // PostgreSQL looks every few milliseconds whether its client is still there, also in the middle of a statement
  // (client_connection_check_interval), so closing the socket is enough to end a backend.
  client.once("close", () => backend.destroy())
  if (client.destroyed) backend.destroy()
  const opened = await answer
  inTime()
  switch (opened._tag) {
    case "Unavailable":
      return closeWith(client, fatal(serverUnavailable))
    case "Refused":
      return closeWith(client, roleRefusal(outcome.user, opened.code, opened.error))
    case "Ready":
      if (client.destroyed) return
      context.onLogin()
      client.write(opened.greeting)
      return relay(client, backend, context.onBatch)
  }
}

/** PostgreSQL tells the two ways in which a role cannot log in apart only by its text. */
const roleRefusal = (user: string, code: string, error: Buffer): Buffer => {
  if (code !== "28000") return error
  return fatal(error.includes("not permitted to log in") ? roleMustLogin(user) : roleDoesNotExist(user))
}
