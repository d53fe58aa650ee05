/**
 * Every error of this package, each a `Data.TaggedError` that carries the facts as fields. Its `message` says what to do next
 * and names the page of the documentation (`docs/errors`, also in the package) that has more about it. `cause` is the
 * original: what the driver, the AWS SDK or Node raised, where there is such. The `SqlError` of `@effect/sql` always has one of
 * them as its `cause`; {@link refine} lifts it out.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type {
  AuthenticationReason,
  ConflictReason,
  ConstraintReason,
  LimitReason,
  ServerError
} from "./core/serverError.js"
import { judge } from "./core/serverError.js"
import * as advice from "./internal/advice.js"
import { withoutPage, withPage } from "./internal/pages.js"
import { isSqlError } from "./internal/sqlError.js"

export type {
  AuthenticationReason,
  ConflictReason,
  ConstraintReason,
  LimitReason,
  ServerError
} from "./core/serverError.js"

/** What the original says: Node's, the driver's and the AWS SDK's words, and those of a provider that a user has written. */
const detailOf = (cause: unknown): string =>
  cause instanceof Error ? (cause.message === "" ? detailOf(cause.cause) : `: ${withoutPage(cause.message)}`) : ""

/**
 * Settings that cannot be right; found before anything is dialled. `option` is the option or environment variable.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlConfigError extends Data.TaggedError("DsqlConfigError")<{
  readonly reason: "Missing" | "InvalidHost" | "InvalidOption" | "InvalidConnectionString"
  readonly option: string
  readonly detail: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(this._tag, `${this.option}: ${this.detail}${detailOf(this.cause)}`)
  }
}

/**
 * The region cannot be found (`Missing`), or contradicts the one in the host name (`Mismatch`): the server would refuse a
 * token signed for another region.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlRegionError extends Data.TaggedError("DsqlRegionError")<{
  readonly reason: "Missing" | "Mismatch"
  readonly host: string
  readonly region?: string | undefined
  readonly hostRegion?: string | undefined
}> {
  override get message(): string {
    return withPage(
      this._tag,
      this.reason === "Missing"
        ? `No region for cluster ${this.host}: give the full endpoint as host, or set the region: as option, DSQL_REGION, AWS_REGION, or in the AWS profile (aws configure set region).`
        : `The region ${this.region} contradicts the host ${this.host}, which is in ${this.hostRegion}: drop the region (option or DSQL_REGION), or correct one of the two.`
    )
  }
}

/**
 * The credential provider gave nothing usable. `profile` is the profile at fault, where there is one; `command` is what to
 * run before trying again, where that is known. `cause` is what the provider threw, as it is; its text becomes a part of
 * the message, so a provider of yours must not put a secret into its errors.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlCredentialsError extends Data.TaggedError("DsqlCredentialsError")<{
  readonly reason: "NotFound" | "Expired" | "ProfileNotFound" | "AccessDenied" | "ProviderFailed"
  readonly profile?: string | undefined
  readonly command?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const next =
      this.command === undefined
        ? advice.credentials[this.reason]
        : `The AWS login has expired or is missing: run \`${this.command}\``
    const profile = this.profile === undefined ? "" : ` (profile ${this.profile})`
    return withPage(this._tag, next + profile + detailOf(this.cause))
  }
}

/**
 * Signing itself failed. Signing is local arithmetic, so this means credentials of a wrong form or a broken installation.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlTokenError extends Data.TaggedError("DsqlTokenError")<{
  readonly reason: "SigningFailed"
  readonly host: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(
      this._tag,
      `Signing a token for ${this.host} failed; check that the credentials are complete and @aws-sdk/dsql-signer is installed${detailOf(this.cause)}`
    )
  }
}

/**
 * The server refused the login: FATAL 08006, the reason taken from the HINT.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlAuthenticationError extends Data.TaggedError("DsqlAuthenticationError")<{
  readonly reason: AuthenticationReason
  readonly host: string
  readonly address: string
  readonly user: string
  readonly sqlState: string
  readonly hint?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const why = this.hint ?? (this.cause instanceof Error ? this.cause.message : this.sqlState)
    return withPage(
      this._tag,
      `${this.host} (${this.address}) refused the login of ${this.user} (${why}): ${advice.authentication[this.reason]}.`
    )
  }

  /** Only an expired signature heals by itself, with the next token. */
  get isRetryable(): boolean {
    return this.reason === "SignatureExpired"
  }
}

/**
 * Why a connection could not be had, or was lost.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionReason =
  | "Dns"
  | "Refused"
  | "Tls"
  | "ConnectTimeout"
  | "AcquireTimeout"
  | "TooManyConnections"
  | "RateExceeded"
  | "ClusterWaking"
  | "Closed"
  | "PoolClosed"
  | "Other"

/** What trying again does not mend. */
const lastingReasons: ReadonlySet<ConnectionReason> = new Set(["Tls", "PoolClosed", "Other"])

/**
 * Could not connect, or lost the connection outside COMMIT. `host` is the cluster, `address` what was dialled for it.
 * `outcomeUnknown` is true when a statement was under way outside of a transaction: it may or may not have taken effect.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlConnectionError extends Data.TaggedError("DsqlConnectionError")<{
  readonly reason: ConnectionReason
  readonly host: string
  readonly address: string
  readonly outcomeUnknown?: boolean | undefined
  readonly sqlState?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const next =
      this.outcomeUnknown === true ? `; ${advice.lookFirst}` : this.reason === "Closed" ? `; ${advice.runAgain}` : ""
    return withPage(
      this._tag,
      `Connection to ${this.host} (${this.address}): ${advice.connection[this.reason]}${next}${detailOf(this.cause)}`
    )
  }

  /** Never true where running the work again could do it twice. */
  get isRetryable(): boolean {
    return this.outcomeUnknown !== true && !lastingReasons.has(this.reason)
  }
}

/**
 * A transaction that cannot go on, or a call that may not be made in one. `cause` is the error of the statement that failed
 * before, for `Aborted` and `NestedFailure`.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlTransactionError extends Data.TaggedError("DsqlTransactionError")<{
  readonly reason: "Aborted" | "NestedFailure" | "Finished" | "InsideTransaction"
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(this._tag, advice.transaction[this.reason] + detailOf(this.cause))
  }
}

/**
 * SQLSTATE 40001: the transaction lost. Nothing of it took effect, and running it again usually succeeds. `attempts` is how
 * often it has been run by what has retried it.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlConflictError extends Data.TaggedError("DsqlConflictError")<{
  readonly reason: ConflictReason
  readonly attempts: number
  readonly server: ServerError
  readonly cause?: unknown
}> {
  override get message(): string {
    const next =
      this.attempts === 1
        ? `: ${advice.runAgain}, as DsqlTransaction.withRetry does`
        : ` after ${this.attempts} attempts: ${advice.conflictAfterAll[this.reason]}`
    return withPage(this._tag, advice.conflict[this.reason] + next)
  }

  get isRetryable(): boolean {
    return true
  }
}

/**
 * The connection was lost, or XX000 answered, while COMMIT was in flight: nobody here can tell whether it took effect.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlCommitOutcomeUnknownError extends Data.TaggedError("DsqlCommitOutcomeUnknownError")<{
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(
      this._tag,
      `COMMIT was sent, but its answer was lost: look in the database whether it took effect before running it again, or give withRetry a \`verify\` that does${detailOf(this.cause)}`
    )
  }
}

/** What the errors below have in common: the server's own words come first. */
const said = (server: ServerError): string => {
  const hint = server.hint === undefined ? "" : ` (${server.hint})`
  const position = server.position === undefined ? "" : ` at character ${server.position}`
  const detail = server.detail === undefined ? "" : `: ${server.detail.replace(/\.$/, "")}`
  return `${server.message} [${server.sqlState}]${hint}${position}${detail}`
}

/**
 * A quota of the service: SQLSTATE class 54 and neighbours.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlLimitError extends Data.TaggedError("DsqlLimitError")<{
  readonly reason: LimitReason
  readonly server: ServerError
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(this._tag, `${said(this.server)}; ${advice.limit[this.reason]}`)
  }
}

/**
 * SQLSTATE 0A000, or a call of this package that DSQL has nothing for. `feature` names it.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlUnsupportedError extends Data.TaggedError("DsqlUnsupportedError")<{
  readonly feature: string
  readonly server?: ServerError | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const what = this.server === undefined ? this.feature : said(this.server)
    return withPage(
      this._tag,
      `Not supported on Aurora DSQL: ${what}; ${advice.substituteFor(this.feature, this.server)}`
    )
  }
}

/**
 * SQLSTATE XX000 outside COMMIT: a passing condition of the service. The connection stays usable. `outcomeUnknown` is true
 * outside of a transaction, where the statement's own commit may have been under way.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlUnavailableError extends Data.TaggedError("DsqlUnavailableError")<{
  readonly outcomeUnknown?: boolean | undefined
  readonly server: ServerError
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(
      this._tag,
      `${said(this.server)}; ${this.outcomeUnknown === true ? advice.lookFirst : advice.runAgain}`
    )
  }

  /** Never true where running the work again could do it twice. */
  get isRetryable(): boolean {
    return this.outcomeUnknown !== true
  }
}

/**
 * A violated constraint (SQLSTATE class 23).
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlConstraintError extends Data.TaggedError("DsqlConstraintError")<{
  readonly reason: ConstraintReason
  readonly constraint?: string | undefined
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly server: ServerError
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(this._tag, `${said(this.server)}; ${advice.constraint[this.reason]}`)
  }
}

/**
 * Any other SQLSTATE, with all fields that the server sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlQueryError extends Data.TaggedError("DsqlQueryError")<{
  readonly sqlState: string
  readonly server: ServerError
  readonly cause?: unknown
}> {
  override get message(): string {
    return withPage(this._tag, `${said(this.server)}; ${advice.remedyFor(this.server)}`)
  }
}

/**
 * What the server said about a statement.
 *
 * @since 0.1.0
 * @category models
 */
export type DsqlStatementError =
  | DsqlAuthenticationError
  | DsqlConnectionError
  | DsqlConflictError
  | DsqlLimitError
  | DsqlUnsupportedError
  | DsqlUnavailableError
  | DsqlConstraintError
  | DsqlQueryError

/**
 * What can stop a connection from being opened.
 *
 * @since 0.1.0
 * @category models
 */
export type DsqlConnectError = DsqlCredentialsError | DsqlTokenError | DsqlStatementError

/**
 * What building a layer can fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type DsqlLayerError = DsqlConfigError | DsqlRegionError | DsqlConnectError

/**
 * Any error of this package.
 *
 * @since 0.1.0
 * @category models
 */
export type DsqlError = DsqlLayerError | DsqlTransactionError | DsqlCommitOutcomeUnknownError

/**
 * Where and as whom a server error was received.
 *
 * @since 0.1.0
 * @category models
 */
export interface Peer {
  readonly host: string
  readonly address: string
  readonly user: string
}

/**
 * The error of this package for an error of the server: the classifier. `cause` is the driver's error, if there is one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromServerError = (server: ServerError, peer: Peer, cause?: unknown): DsqlStatementError => {
  const verdict = judge(server)
  switch (verdict.kind) {
    case "Authentication":
      return new DsqlAuthenticationError({
        reason: verdict.reason,
        host: peer.host,
        address: peer.address,
        user: peer.user,
        sqlState: server.sqlState,
        hint: server.hint,
        cause
      })
    case "Connection":
      return new DsqlConnectionError({
        reason: verdict.reason,
        host: peer.host,
        address: peer.address,
        sqlState: server.sqlState,
        cause
      })
    case "Conflict":
      return new DsqlConflictError({ reason: verdict.reason, attempts: 1, server, cause })
    case "Limit":
      return new DsqlLimitError({ reason: verdict.reason, server, cause })
    case "Constraint":
      return new DsqlConstraintError({
        reason: verdict.reason,
        constraint: server.constraint,
        table: server.table,
        column: server.column,
        server,
        cause
      })
    case "Unsupported":
      return new DsqlUnsupportedError({ feature: verdict.feature, server, cause })
    case "Unavailable":
      return new DsqlUnavailableError({ server, cause })
    case "Query":
      return new DsqlQueryError({ sqlState: server.sqlState, server, cause })
  }
}

const classes = [
  DsqlConfigError,
  DsqlRegionError,
  DsqlCredentialsError,
  DsqlTokenError,
  DsqlAuthenticationError,
  DsqlConnectionError,
  DsqlTransactionError,
  DsqlConflictError,
  DsqlCommitOutcomeUnknownError,
  DsqlLimitError,
  DsqlUnsupportedError,
  DsqlUnavailableError,
  DsqlConstraintError,
  DsqlQueryError
] as const

/**
 * Whether a value is an error of this package.
 *
 * @since 0.1.0
 * @category guards
 */
export const isDsqlError = (u: unknown): u is DsqlError => classes.some((error) => u instanceof error)

/**
 * The error of this package inside an error: itself, or the cause of a `SqlError`.
 *
 * @since 0.1.0
 * @category guards
 */
export const unwrap = (u: unknown): DsqlError | undefined =>
  isDsqlError(u) ? u : isSqlError(u) && isDsqlError(u.cause) ? u.cause : undefined

/**
 * Whether a failure, as one of our errors or as a `SqlError` around it, is a lost conflict (SQLSTATE 40001).
 *
 * @since 0.1.0
 * @category guards
 */
export const isConflict = (u: unknown): boolean => unwrap(u)?._tag === "DsqlConflictError"

/**
 * Whether running the same work again can succeed and cannot do it twice. For a statement inside a transaction that means
 * the whole transaction.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetryable = (u: unknown): boolean => {
  const error = unwrap(u)
  return error !== undefined && "isRetryable" in error && error.isRetryable
}

/** Worth another attempt soon; others last longer, or have been waited for already. */
const transientReasons: ReadonlySet<ConnectionReason> = new Set([
  "Refused",
  "Closed",
  "ClusterWaking",
  "RateExceeded",
  "TooManyConnections"
])

/**
 * What `DsqlTransaction.withRetry` runs a transaction again for, unless it is told otherwise: a conflict, a passing condition
 * of the service (XX000), a connection that was lost or refused, a cluster that is waking up. Each of them only before COMMIT
 * was sent. Narrower than {@link isRetryable} where an attempt has waited for its time already (`AcquireTimeout`,
 * `ConnectTimeout`) or is not likely to go better soon (`Dns`), and wider in one case: a transaction that the server rolled
 * back at COMMIT (`Aborted`) because a statement of it had failed so.
 *
 * @since 0.1.0
 * @category guards
 */
export const isTransient = (u: unknown): boolean => {
  const error = unwrap(u)
  switch (error?._tag) {
    case "DsqlConflictError":
      return true
    case "DsqlUnavailableError":
      return error.isRetryable
    case "DsqlConnectionError":
      return error.isRetryable && transientReasons.has(error.reason)
    case "DsqlTransactionError":
      return error.reason === "Aborted" && isTransient(error.cause)
    default:
      return false
  }
}

/**
 * Lifts our error out of a `SqlError` into the typed channel, so that `Effect.catchTag("DsqlConflictError", …)` works. The
 * type still holds `SqlError`, for one with another cause (a stock client's): that stays what it is.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlErrors } from "effect-dsql"
 *
 * export const rename = (id: number, name: string) =>
 *   Effect.gen(function* () {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`UPDATE owner SET name = ${name} WHERE id = ${id}`
 *   }).pipe(
 *     DsqlErrors.refine,
 *     Effect.catchTag("DsqlConstraintError", (error) => Effect.logWarning(`${error.constraint} refused ${name}`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const refine = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | DsqlError, R> =>
  Effect.mapError(effect, (error): E | DsqlError => unwrap(error) ?? error)
