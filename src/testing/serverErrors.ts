/** Errors made as the client makes them: from the words of a server, by the classifier. */
import type {
  DsqlConflictError,
  DsqlConstraintError,
  DsqlLimitError,
  DsqlStatementError,
  DsqlUnavailableError,
  ServerError
} from "../Errors.js"
import { ageLimitWords, serverWords } from "../core/faults.js"
import { DsqlCommitOutcomeUnknownError, DsqlConnectionError, fromServerError } from "../Errors.js"

/** The made-up cluster that everything here belongs to. */
export const endpoint = "unittestunittestunittest00.dsql.us-east-1.on.aws"

const peer = { host: endpoint, address: `${endpoint}:5432`, user: "admin" }

/**
 * The error for what a server says; `severity` is `ERROR` unless given.
 *
 * @since 0.1.0
 * @category errors
 */
export const serverError = (server: ServerError): DsqlStatementError =>
  fromServerError({ severity: "ERROR", ...server }, peer)

const conflicts = { Data: "OC000", Schema: "OC001" } as const

/**
 * A lost conflict: over rows (OC000), or over the schema (OC001). On DSQL the first comes at COMMIT, as a rule.
 *
 * @since 0.1.0
 * @category errors
 */
export const conflict = (reason: keyof typeof conflicts = "Data"): DsqlConflictError =>
  serverError(serverWords[conflicts[reason]]) as DsqlConflictError

/**
 * Which constraint was violated; `detail` is what the server adds, `Key (name)=(Ana) already exists.` for instance, and
 * `schema` is `public` unless given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Violation {
  readonly constraint: string
  readonly table: string
  readonly schema?: string | undefined
  readonly detail?: string | undefined
}

const violation = (sqlState: string, message: string, { schema = "public", ...named }: Partial<ServerError>) =>
  serverError({ sqlState, message, schema, ...named }) as DsqlConstraintError

/**
 * SQLSTATE 23505.
 *
 * @since 0.1.0
 * @category errors
 */
export const uniqueViolation = (violated: Violation): DsqlConstraintError =>
  violation("23505", `duplicate key value violates unique constraint "${violated.constraint}"`, violated)

/**
 * SQLSTATE 23503, of a row that refers to one that is not there.
 *
 * @since 0.1.0
 * @category errors
 */
export const foreignKeyViolation = (violated: Violation): DsqlConstraintError =>
  violation(
    "23503",
    `insert or update on table "${violated.table}" violates foreign key constraint "${violated.constraint}"`,
    violated
  )

/**
 * SQLSTATE 23514.
 *
 * @since 0.1.0
 * @category errors
 */
export const checkViolation = (violated: Violation): DsqlConstraintError =>
  violation(
    "23514",
    `new row for relation "${violated.table}" violates check constraint "${violated.constraint}"`,
    violated
  )

/**
 * SQLSTATE 23502; it names a column in the place of a constraint.
 *
 * @since 0.1.0
 * @category errors
 */
export const notNullViolation = (
  violated: Omit<Violation, "constraint"> & { readonly column: string }
): DsqlConstraintError =>
  violation(
    "23502",
    `null value in column "${violated.column}" of relation "${violated.table}" violates not-null constraint`,
    violated
  )

/**
 * More rows changed in a transaction than the service allows: SQLSTATE 54000.
 *
 * @since 0.1.0
 * @category errors
 */
export const rowLimitExceeded = (): DsqlLimitError =>
  serverError({ sqlState: "54000", message: "transaction row limit exceeded" }) as DsqlLimitError

/**
 * A transaction older than the 300 seconds that the service allows: SQLSTATE 54000. The client itself gives one up after
 * `retry.maxAge`, 290 seconds unless set.
 *
 * @since 0.1.0
 * @category errors
 */
export const ageLimitExceeded = (): DsqlLimitError => serverError(ageLimitWords(300, 301)) as DsqlLimitError

/**
 * A passing condition of the service: SQLSTATE XX000. At COMMIT the client makes a `DsqlCommitOutcomeUnknownError` of it.
 *
 * @since 0.1.0
 * @category errors
 */
export const unavailable = (): DsqlUnavailableError => serverError(serverWords.XX000) as DsqlUnavailableError

/**
 * The cluster lets nobody in: it has too many connections (53300), too many per second (53400), or is waking up.
 *
 * @since 0.1.0
 * @category errors
 */
export const connectionRefused = (
  reason: "TooManyConnections" | "RateExceeded" | "ClusterWaking" = "TooManyConnections"
): DsqlConnectionError => serverError({ severity: "FATAL", ...serverWords[reason] }) as DsqlConnectionError

const lost = () => ({
  reason: "Closed" as const,
  host: peer.host,
  address: peer.address,
  cause: new Error("Connection terminated unexpectedly")
})

/**
 * The connection breaks. At COMMIT the client makes a `DsqlCommitOutcomeUnknownError` of it.
 *
 * @since 0.1.0
 * @category errors
 */
export const connectionLost = (): DsqlConnectionError => new DsqlConnectionError(lost())

/**
 * What becomes of a connection that breaks during COMMIT.
 *
 * @since 0.1.0
 * @category errors
 */
export const commitOutcomeUnknown = (): DsqlCommitOutcomeUnknownError =>
  new DsqlCommitOutcomeUnknownError({ cause: new DsqlConnectionError({ ...lost(), outcomeUnknown: true }) })
