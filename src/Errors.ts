/**
 * Every error of this package, each a `Data.TaggedError` that carries the facts as fields and says in its `message` what
 * to do next. The `SqlError` of `@effect/sql` always has one of them as its `cause`; {@link refine} lifts it out.
 *
 * @since 0.1.0
 */
import { SqlError } from "@effect/sql/SqlError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type {
  AuthenticationReason,
  ConflictReason,
  ConstraintReason,
  LimitReason,
  ServerConnectionReason,
  ServerError
} from "./core/serverError.js"
import { judge } from "./core/serverError.js"

export type {
  AuthenticationReason,
  ConflictReason,
  ConstraintReason,
  LimitReason,
  ServerError
} from "./core/serverError.js"

/** What a foreign error says; none of those that come here holds a secret. */
const detailOf = (cause: unknown): string =>
  cause instanceof Error && cause.message !== "" ? `: ${cause.message}` : ""

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
    return `${this.option}: ${this.detail}`
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
    return this.reason === "Missing"
      ? `No region for cluster ${this.host}: give the full endpoint as host, or set the region: as option, DSQL_REGION, AWS_REGION, or in the AWS profile (aws configure set region).`
      : `The region ${this.region} contradicts the host ${this.host}, which is in ${this.hostRegion}: drop the region option, or correct one of the two.`
  }
}

const credentialsAdvice = {
  NotFound:
    "No AWS credentials found: log in (for instance `aws sso login`), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, check AWS_PROFILE if it is set, or pass a credentials layer",
  Expired: "The AWS credentials have expired: renew them where they come from",
  ProfileNotFound:
    "The AWS profile was not found or holds no credentials: look at ~/.aws/config and ~/.aws/credentials (or where AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE point); `aws configure list-profiles` tells which there are",
  AccessDenied:
    "AWS refused to give credentials: for a role, allow sts:AssumeRole on it to whoever asks, and let its trust policy name them (and the external ID, if it demands one); for SSO, check that the account and role are assigned to you",
  ProviderFailed: "The AWS credential provider failed"
} as const

/**
 * The credential provider gave nothing usable. `profile` is the profile at fault, where there is one; `command` is what to
 * run before trying again, where that is known.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlCredentialsError extends Data.TaggedError("DsqlCredentialsError")<{
  readonly reason: keyof typeof credentialsAdvice
  readonly profile?: string | undefined
  readonly command?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const advice =
      this.command === undefined
        ? credentialsAdvice[this.reason]
        : `The AWS login has expired or is missing: run \`${this.command}\``
    const profile = this.profile === undefined ? "" : ` (profile ${this.profile})`
    return advice + profile + detailOf(this.cause)
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
    return `Signing a token for ${this.host} failed: check that @aws-sdk/dsql-signer is installed and the credentials are complete.`
  }
}

const authenticationAdvice: Readonly<Record<AuthenticationReason, string>> = {
  AccessDenied:
    "check the cluster's name, that the credentials are right and whole (AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN) and of the cluster's account, and that their policy allows dsql:DbConnectAdmin (user admin) or dsql:DbConnect (other users) on it",
  SignatureExpired: "check this machine's clock, and that the token duration is not shorter than a login takes",
  WrongUserForAction: "the token's action must be DbConnectAdmin for user admin and DbConnect for every other user",
  UnknownRole: "create the role with LOGIN and map it: AWS IAM GRANT <role> TO '<iam arn>'",
  Other: "see what the server said"
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
    const said = this.hint ?? (this.cause instanceof Error ? this.cause.message : this.sqlState)
    return `${this.host} (${this.address}) refused the login of ${this.user} (${said}): ${authenticationAdvice[this.reason]}.`
  }

  /** Only an expired signature heals by itself, with the next token. */
  get isRetryable(): boolean {
    return this.reason === "SignatureExpired"
  }
}

const connectionAdvice = {
  Dns: "the name cannot be resolved; check the cluster id and region, or give the address to dial as hostaddr",
  Refused: "nothing answers there; check hostaddr, port, routes and security groups",
  Tls: "no verified TLS connection; check that host and region are right, and that the certificate's authority is trusted (tls.ca, DSQL_SSLROOTCERT)",
  ConnectTimeout: "no login within pool.connectTimeout; check network and security groups",
  AcquireTimeout:
    "no connection came free or could be opened within pool.acquireTimeout; raise pool.max, shorten transactions, or look at why connections cannot be opened",
  TooManyConnections: "the cluster has too many open connections; lower pool.max or the number of processes",
  RateExceeded: "the cluster's connect rate is exceeded; retry with backoff",
  ClusterWaking: "the cluster was inactive and is waking up; retry with backoff",
  Closed: "the connection was lost",
  PoolClosed: "the layer that this client belongs to has been closed; keep it open as long as it is used",
  Other: "the connection failed"
} as const

/**
 * Why a connection could not be had, or was lost.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionReason = ServerConnectionReason | keyof typeof connectionAdvice

/** What trying again does not mend. */
const lastingReasons: ReadonlySet<ConnectionReason> = new Set(["Tls", "PoolClosed", "Other"])

const lookFirst = "; a statement was under way, so look whether it took effect before you run it again"

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
    const advice = connectionAdvice[this.reason] + (this.outcomeUnknown === true ? lookFirst : "")
    return `Connection to ${this.host} (${this.address}): ${advice}${detailOf(this.cause)}`
  }

  /** Never true where running the work again could do it twice. */
  get isRetryable(): boolean {
    return this.outcomeUnknown !== true && !lastingReasons.has(this.reason)
  }
}

const transactionAdvice = {
  Aborted:
    "The server rolled back at COMMIT, because a statement of the transaction had failed; look at that statement's error.",
  NestedFailure: "A nested transaction failed. DSQL has no savepoints, so the outer one cannot commit either.",
  Finished:
    "A statement ran after its transaction, or the scope of its reserved connection, had ended; await every fiber inside of it.",
  InsideTransaction: "This may not run inside a transaction."
} as const

/**
 * A transaction that cannot go on.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlTransactionError extends Data.TaggedError("DsqlTransactionError")<{
  readonly reason: keyof typeof transactionAdvice
  readonly cause?: unknown
}> {
  override get message(): string {
    return transactionAdvice[this.reason]
  }
}

const conflictAdvice: Readonly<Record<ConflictReason, string>> = {
  Data: "Another transaction changed the same rows and committed first (OC000)",
  Schema: "The schema was changed by another transaction (OC001)",
  Unknown: "The transaction conflicts with another one"
}

/**
 * SQLSTATE 40001: the transaction lost. Nothing of it took effect, and running it again usually succeeds.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlConflictError extends Data.TaggedError("DsqlConflictError")<{
  readonly reason: ConflictReason
  readonly attempts: number
  readonly server: ServerError
}> {
  override get message(): string {
    const attempts = this.attempts === 1 ? "" : ` after ${this.attempts} attempts`
    return `${conflictAdvice[this.reason]}${attempts}: run the whole transaction again.`
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
    return "COMMIT was sent, but its answer was lost: look in the database whether it took effect before running it again."
  }
}

/** What the four errors below have in common: the server's own words are part of the message. */
const say = (server: ServerError, advice: string): string => {
  const hint = server.hint === undefined ? "" : ` (${server.hint})`
  return `${server.message} [${server.sqlState}]${hint}${advice}`
}

const limitAdvice: Readonly<Record<LimitReason, string>> = {
  Rows: "split the work into transactions of at most 3,000 rows",
  Size: "split the work into transactions of at most 10 MiB",
  Age: "finish transactions within 300 seconds",
  RowSize: "a row holds at most 2 MiB",
  ValueSize: "a value holds at most 1 MiB",
  KeySize: "shorten the primary key or indexed columns",
  Objects: "drop what is no longer needed, or ask AWS for a higher quota",
  Memory: "let the query sort or aggregate fewer rows",
  Depth: "simplify the expression",
  Storage: "delete data, or ask AWS for a higher quota",
  Parameters: "the protocol allows 65,535; split the work into several statements",
  Other: "see the quotas of Aurora DSQL"
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
}> {
  override get message(): string {
    return say(this.server, `: ${limitAdvice[this.reason]}.`)
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
}> {
  override get message(): string {
    const said = this.server === undefined ? this.feature : say(this.server, "")
    return `Aurora DSQL does not support this: ${said}`
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
}> {
  override get message(): string {
    return say(this.server, this.outcomeUnknown === true ? lookFirst : ": run the whole transaction again.")
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
}> {
  override get message(): string {
    return say(this.server, this.server.detail === undefined ? "" : `: ${this.server.detail}`)
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
}> {
  override get message(): string {
    return say(this.server, this.server.position === undefined ? "" : ` at character ${this.server.position}`)
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
 * The error of this package for an error of the server: the classifier.
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
      return new DsqlConflictError({ reason: verdict.reason, attempts: 1, server })
    case "Limit":
      return new DsqlLimitError({ reason: verdict.reason, server })
    case "Constraint":
      return new DsqlConstraintError({
        reason: verdict.reason,
        constraint: server.constraint,
        table: server.table,
        column: server.column,
        server
      })
    case "Unsupported":
      return new DsqlUnsupportedError({ feature: verdict.feature, server })
    case "Unavailable":
      return new DsqlUnavailableError({ server })
    case "Query":
      return new DsqlQueryError({ sqlState: server.sqlState, server })
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
  isDsqlError(u) ? u : u instanceof SqlError && isDsqlError(u.cause) ? u.cause : undefined

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

/**
 * Lifts our error out of a `SqlError` into the typed channel, so that `Effect.catchTag("DsqlConflictError", …)` works. The
 * type still holds `SqlError`, for one with another cause (a stock client's): that stays what it is.
 *
 * @example
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
 *
 * @since 0.1.0
 * @category combinators
 */
export const refine = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | DsqlError, R> =>
  Effect.mapError(effect, (error): E | DsqlError => unwrap(error) ?? error)
