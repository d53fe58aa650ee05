import type { TLSSocket } from "node:tls"
import type { Action, Principal } from "./iam.js"
import * as refusals from "./refusals.js"
import { askedCluster } from "./startupSettings.js"
import { readExactly, readMessage } from "./streams.js"
import { verifyToken } from "./token.js"
import {
  authenticationCleartextPassword,
  type ErrorFields,
  negotiateProtocolVersion,
  type Parameters,
  parseParameters,
  protocolVersion,
  requestCode,
  startupPacketLimit
} from "./wire.js"

/** What a login is judged against. */
export interface LoginContext {
  readonly endpoint: string
  readonly region: string
  /** What policies name the cluster by. */
  readonly clusterArn: string
  readonly databaseName: string
  readonly internalUser: string
  /** The time that tokens are judged by, in milliseconds since the epoch. */
  readonly now: () => number
  readonly findPrincipal: (accessKeyId: string) => Principal | undefined
}

export type LoginOutcome =
  | {
      readonly _tag: "Accepted"
      readonly user: string
      readonly principal: Principal
      readonly applicationName: string
      readonly parameters: Parameters
    }
  | { readonly _tag: "Cancel"; readonly key: Buffer }
  | { readonly _tag: "Refused"; readonly error: ErrorFields }
  /** The client has gone, or asked for something that is not answered. */
  | { readonly _tag: "Closed" }

/** The role of every cluster; for it a right token is enough, others need a mapping. */
export const adminRole = "admin"

/** PostgreSQL's own limit. Session tokens make passwords of some kilobytes. */
const passwordLimit = 65_535

const refused = (error: ErrorFields): LoginOutcome => ({ _tag: "Refused", error })
const closed: LoginOutcome = { _tag: "Closed" }

/** From the start-up message to the verdict on the token. */
export const login = async (client: TLSSocket, context: LoginContext): Promise<LoginOutcome> => {
  const startup = await readStartup(client)
  if (startup === undefined) return closed
  if (startup.code === requestCode.cancel) return { _tag: "Cancel", key: startup.body }
  const { major, minor } = protocolVersion(startup.code)
  if (major !== 3) return refused(refusals.unsupportedProtocol(major, minor))
  const parameters = parseParameters(startup.body)
  if (parameters === undefined) return refused(refusals.invalidStartup)

  const asked = askedCluster(parameters)
  const host =
    asked === undefined ? client.servername : `${asked}${context.endpoint.slice(context.endpoint.indexOf("."))}`
  if (typeof host !== "string" || host === "") return refused(refusals.sniMissing)
  if (host.toLowerCase() !== context.endpoint) return refused(refusals.unknownEndpoint(host))

  const protocolOptions = parameters.filter(([name]) => name.startsWith("_pq_."))
  if (minor > 0 || protocolOptions.length > 0) {
    client.write(negotiateProtocolVersion(protocolOptions.map(([name]) => name)))
  }
  const user = lastValue(parameters, "user") ?? ""
  if (user === "") return refused(refusals.userMissing)

  client.write(authenticationCleartextPassword)
  const answer = await readMessage(client, passwordLimit)
  if (answer === undefined || answer.type === "X") return closed
  if (answer.type !== "p" || answer.body.at(-1) !== 0) return refused(refusals.passwordExpected)
  const verdict = verifyToken(answer.body.toString("utf8", 0, answer.body.length - 1), {
    host: context.endpoint,
    region: context.region,
    user,
    now: context.now(),
    findPrincipal: context.findPrincipal
  })
  if (verdict._tag === "Refused") return refused(refusals.accessDenied(refusals.tokenHint(verdict.refusal)))
  const { principal } = verdict
  const action: Action = user === adminRole ? "dsql:DbConnectAdmin" : "dsql:DbConnect"
  if (!principal.allowedActions.includes(action)) {
    return refused(refusals.actionNotAllowed(principal.arn, action, context.clusterArn))
  }

  // As in PostgreSQL, a database that is not named is the one of the user's name.
  const database = lastValue(parameters, "database") ?? user
  if (database !== context.databaseName) return refused(refusals.unknownDatabase(database))
  if (user === context.internalUser) return refused(refusals.roleDoesNotExist(user))
  return {
    _tag: "Accepted",
    user,
    principal,
    applicationName: lastValue(parameters, "application_name") ?? "",
    parameters: parameters.filter((parameter) => !protocolOptions.includes(parameter))
  }
}

const readStartup = async (
  client: TLSSocket
): Promise<{ readonly code: number; readonly body: Buffer } | undefined> => {
  const header = await readExactly(client, 8)
  if (header === undefined) return undefined
  const length = header.readInt32BE(0)
  if (length < 8 || length > startupPacketLimit) return undefined
  const body = await readExactly(client, length - 8)
  return body === undefined ? undefined : { code: header.readUInt32BE(4), body }
}

const lastValue = (parameters: Parameters, name: string): string | undefined =>
  parameters.findLast((parameter) => parameter[0] === name)?.[1]
