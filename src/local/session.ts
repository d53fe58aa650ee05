import type { TLSSocket } from "node:tls"
import type { Verdict } from "./admission.js"
import { settingRefusal } from "../core/rules/settings.js"
import { connectBackend } from "./backend.js"
import type { Conductor, MakeStages, Wire } from "./batches.js"
import type { Gate } from "./gate.js"
import type { MessageLimit } from "./limits.js"
import { adminRole, login, type LoginContext } from "./login.js"
import { serverUnavailable } from "./refusals.js"
import { relay } from "./relay.js"
import { roleRefusal } from "./roles.js"
import type { SessionInfo } from "./sessions.js"
import { mayBuildIndexes, storedParameters } from "./startupSettings.js"
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
  /** Decides who is let in now. */
  readonly admit: (client: TLSSocket) => Promise<Verdict>
  /** A setting in the start-up message that a session may not have. */
  readonly refusedSetting: (parameters: Parameters) => string | undefined
  readonly makeStages: MakeStages
  readonly messageLimit: MessageLimit
  /** What decides on faults and conflicts. */
  readonly makeConductor: (processId: number, wire: Wire) => Conductor
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
  const setting = context.refusedSetting(parameters)
  // That it is answered as SET is follows from how the service's guide speaks of both.
  if (setting !== undefined) return closeWith(client, fatal(settingRefusal(setting)))
  const verdict = await context.admit(client)
  await context.network.opened()
  if (verdict._tag === "Dropped") return void client.destroy()
  if (verdict._tag === "Refused") return closeWith(client, fatal(verdict.error))
  const { socket: backend, answer } = connectBackend(context.socketPath, [
    ...storedParameters(parameters),
    ["_dsql.arn", principal.arn],
    ...context.settings
  ])
  // PostgreSQL looks every few milliseconds whether its client is still there, also in the middle of a statement
  // (client_connection_check_interval), so closing the socket is enough to end a backend.
  const endBackend = (): void => void backend.destroy()
  client.once("close", endBackend)
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
      return relay(
        client,
        backend,
        context.makeStages(mayBuildIndexes(parameters)),
        context.network,
        context.messageLimit,
        (wire) => {
          const leave = (): Promise<void> =>
            new Promise((resolve) => {
              client.off("close", endBackend)
              if (client.closed) return resolve()
              client.once("close", () => resolve()).destroy()
            })
          return context.makeConductor(opened.processId, { ...wire, leave })
        }
      )
  }
}
