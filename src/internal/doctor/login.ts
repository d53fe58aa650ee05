/** The login, and whose fault it is when it is refused: the credentials', the role's, the policy's or a setting's. */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Resolved } from "../../Config.js"
import { adminRole, clusterArn, createRole, loginAction, mapArn, policyFor } from "../../core/roles.js"
import { quotedName } from "../../core/quoting.js"
import type { Cure } from "../../Doctor.js"
import type { DsqlAuthenticationError, DsqlConnectionError, DsqlStatementError } from "../../Errors.js"
import { dial, type Connection } from "../dial.js"
import { Wire } from "../wire.js"
import { granteeOf } from "../roleGrants.js"
import type { Configured } from "./credentials.js"
import { change, command, exportHost, policy, sql } from "./cures.js"
import type { Trouble } from "./model.js"
import { getCluster, isElsewhere } from "./networkCures.js"

/** A session, and why it could not have the settings that were asked for. */
export interface LoggedIn {
  readonly connection: Connection
  readonly refusedSettings: DsqlStatementError | undefined
}

const isAboutLogin = ({ _tag }: DsqlStatementError): boolean =>
  _tag === "DsqlAuthenticationError" || _tag === "DsqlConnectionError"

/** As the pool opens connections; where a setting is refused, again without, to look at what else there is. */
export const logIn = (
  { config, secureContext }: Configured,
  token: Redacted.Redacted
): Effect.Effect<LoggedIn, DsqlStatementError, Scope.Scope> => {
  const open = (config: Resolved) =>
    Effect.acquireRelease(dial(config, secureContext, token, undefined, new Wire()), ({ end }) => end)
  return open(config).pipe(
    Effect.map((connection): LoggedIn => ({ connection, refusedSettings: undefined })),
    Effect.catchIf(
      (error) => Object.keys(config.session).length > 0 && !isAboutLogin(error),
      (refusedSettings) =>
        open({ ...config, session: {} }).pipe(
          Effect.map((connection): LoggedIn => ({ connection, refusedSettings })),
          // Then it was not for the settings.
          Effect.mapError(() => refusedSettings)
        )
    )
  )
}

/** Who the server takes the credentials for; it names them when it refuses what they may not do. */
const callerIn = (hint: string): string | undefined => /\bUser: (arn:\S+)/.exec(hint)?.[1]

const mapCures = (user: string, arn: string): ReadonlyArray<Cure> => [
  sql(mapArn(user, arn)),
  command(`npx effect-dsql roles ${/^[\w-]+$/.test(user) ? user : `'${user.replaceAll("'", `'\\''`)}'`} --arn ${arn}`)
]

const someone = "arn:aws:iam::<account>:role/<IAM role>"

const refusedFor = (
  config: Resolved,
  error: DsqlAuthenticationError
): Pick<Trouble, "summary" | "cures"> | undefined => {
  const { user } = config
  const hint = error.hint ?? ""
  const [, action, resource] = /perform: (dsql:\w+) on resource: (arn:\S+)/.exec(hint) ?? []
  if (action !== undefined) {
    return { summary: `IAM does not allow ${action}`, cures: [policy(policyFor(action, resource!))] }
  }
  const caller = callerIn(hint)
  if (error.reason === "AccessDenied" && caller !== undefined) {
    if (user !== adminRole) {
      return { summary: `${user} is not mapped to ${granteeOf(caller)}`, cures: mapCures(user, granteeOf(caller)) }
    }
    const account = /::(\d{12}):/.exec(caller)?.[1] ?? "<account>"
    return {
      summary: `${caller} may not use this cluster`,
      cures: [policy(policyFor(`dsql:${loginAction(user)}`, clusterArn({ ...config, account })))]
    }
  }
  if (error.reason === "UnknownRole") {
    return /LOGIN attribute/i.test(hint)
      ? { summary: `${user} may not log in`, cures: [sql(`ALTER ROLE ${quotedName(user)} WITH LOGIN`)] }
      : { summary: `there is no role ${user}`, cures: [sql(createRole(user)), ...mapCures(user, someone)] }
  }
  if (error.reason === "WrongUserForAction") {
    return {
      summary: `the token is not for ${user}`,
      cures: [
        change(`sign for ${loginAction(user)}, or leave the token layer out: the usual one does`),
        command(user === adminRole ? "export DSQL_USER=<role>" : "unset DSQL_USER")
      ]
    }
  }
  return undefined
}

/** Where the server knows who asks, but the role, its mapping or the policy is not right. */
export const roleTrouble = (config: Resolved, error: DsqlStatementError): Trouble | undefined => {
  const found = error._tag === "DsqlAuthenticationError" ? refusedFor(config, error) : undefined
  return found === undefined ? undefined : { ...found, cause: error.message }
}

const authenticationTrouble = (config: Resolved, { hint = "" }: DsqlAuthenticationError) => {
  const whoAsks = [command("aws sts get-caller-identity"), command("unset AWS_SESSION_TOKEN")]
  return /no cluster/i.test(hint)
    ? { summary: "there is no such cluster", cures: [getCluster(config), exportHost, ...whoAsks] }
    : { summary: "the server refused it", cures: [...whoAsks, getCluster(config)] }
}

const again = command("npx effect-dsql doctor")

const connectionCures = (config: Resolved, { reason }: DsqlConnectionError): ReadonlyArray<Cure> => {
  switch (reason) {
    case "ClusterWaking":
      return [again, getCluster(config)]
    case "TooManyConnections":
      return [command("export DSQL_POOL_MAX=<fewer>"), change("or run fewer processes, or ask AWS for a higher quota")]
    case "RateExceeded":
      return [command("export DSQL_POOL_CONNECT_RATE=<fewer>"), again]
    case "Tls":
      return [
        ...(isElsewhere(config) ? [command("unset DSQL_HOSTADDR DSQL_PORT")] : []),
        change("have whatever ends TLS in between pass on the server name (SNI), or pass on TLS as it is")
      ]
    case "ConnectTimeout":
      return [command("export DSQL_POOL_CONNECT_TIMEOUT='30 seconds'"), getCluster(config)]
    default:
      return [getCluster(config), again]
  }
}

/** What else a login is refused for. */
export const loginTrouble = (config: Resolved, error: DsqlStatementError): Trouble => {
  switch (error._tag) {
    case "DsqlAuthenticationError":
      return { ...authenticationTrouble(config, error), cause: error.message }
    case "DsqlConnectionError":
      return { summary: `no login (${error.reason})`, cause: error.message, cures: connectionCures(config, error) }
    default:
      return {
        summary: "the server refused it",
        cause: error.message,
        cures:
          config.database === "postgres"
            ? [change("mend what the server says"), again]
            : [command("unset DSQL_DATABASE"), change("or leave out the database option")]
      }
  }
}
