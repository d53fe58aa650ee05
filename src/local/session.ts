import type { TLSSocket } from "node:tls"
import { connectBackend } from "./backend.js"
import type { Conductor, MakeStages, Wire } from "./batches.js"
import type { Gate } from "./gate.js"
import { adminRole, login, type LoginContext } from "./login.js"
import { serverUnavailable } from "./refusals.js"
import { relay } from "./relay.js"
import { roleRefusal } from "./roles.js"
import type { SessionInfo } from "./sessions.js"
import { closeAfter, closeWith } from "./streams.js"
import { fatal, type Parameters } from "./wire.js"

export interface SessionContext extends LoginContext {
  readonly socketPath: string
  /** How long a client may take to log in, in milliseconds. */
  readonly loginTimeout: number
  /** Closed while clients are to be left without an answer. */
  readonly network: Gate
  /** Closed while there is no database to log in to. */
  readonly database: Gate
  /** Is asked to cancel what another session does, by the body of the request. */
  readonly onCancel: (key: Buffer) => Promise<void>
  readonly onLogin: (info: Omit<SessionInfo, "since">, client: TLSSocket) => void
  readonly makeStages: MakeStages
  /** What decides on conflicts; `undefined` where PostgreSQL does. */
  readonly makeConductor: (processId: number, wire: Wire) => Conductor | undefined
  /** What every session starts with, whatever its client wants. */
  readonly settings: Parameters
}

/** The whole life of a connection once it speaks TLS. */
export const runSession = async (client: TLSSocket, context: SessionContext): Promise<void> => {
  await context.network.opened()
  const inTime = closeAfter(client, context.loginTimeout)
  const outcome = await login(client, context)
  await context.network.opened()
  if (outcome._tag === "Closed") return void client.destroy()
  if (outcome._tag === "Cancel") {
    await context.onCancel(outcome.key)
    return closeWith(client)
  }
  if (outcome._tag === "Refused") return closeWith(client, fatal(outcome.error))

  await context.database.opened()
  const { parameters, principal, user } = outcome
  if (user !== adminRole) {
    const refusal = await roleRefusal(context.socketPath, context.internalUser, context.databaseName, user, principal)
    if (refusal !== undefined) return closeWith(client, fatal(refusal))
  }
  const { socket: backend, answer } = connectBackend(context.socketPath, [...parameters, ...context.settings])
  // PostgreSQL looks every few milliseconds whether its client is still there, also in the middle of a statement
  // (client_connection_check_interval), so closing the socket is enough to end a backend.
  client.once("close", () => backend.destroy())
  if (client.destroyed) backend.destroy()
  const opened = await answer
  await context.network.opened()
  inTime()
  switch (opened._tag) {
    case "Unavailable":
      return closeWith(client, fatal(serverUnavailable))
    case "Refused":
      return closeWith(client, opened.answer)
    case "Ready":
      if (client.destroyed) return
      context.onLogin({ id: opened.processId, user, applicationName: outcome.applicationName }, client)
      client.write(opened.greeting)
      return relay(client, backend, context.makeStages(), context.network, (wire) =>
        context.makeConductor(opened.processId, wire)
      )
  }
}
