import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { expectTypeOf } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlErrors } from "effect-dsql"
import { each, type Facts } from "./support.js"

each("DsqlErrors", DsqlErrors, {
  DsqlConfigError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlConfigError>>().toEqualTypeOf<{
      readonly _tag: "DsqlConfigError"
      readonly reason: "Missing" | "InvalidHost" | "InvalidOption" | "InvalidConnectionString"
      readonly option: string
      readonly detail: string
    }>(),
  DsqlRegionError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlRegionError>>().toEqualTypeOf<{
      readonly _tag: "DsqlRegionError"
      readonly reason: "Missing" | "Mismatch"
      readonly host: string
      readonly region?: string | undefined
      readonly hostRegion?: string | undefined
    }>(),
  DsqlCredentialsError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlCredentialsError>>().toEqualTypeOf<{
      readonly _tag: "DsqlCredentialsError"
      readonly reason: "NotFound" | "Expired" | "ProfileNotFound" | "AccessDenied" | "ProviderFailed"
      readonly profile?: string | undefined
      readonly command?: string | undefined
    }>(),
  DsqlTokenError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlTokenError>>().toEqualTypeOf<{
      readonly _tag: "DsqlTokenError"
      readonly reason: "SigningFailed"
      readonly host: string
    }>(),
  DsqlAuthenticationError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlAuthenticationError>>().toEqualTypeOf<{
      readonly _tag: "DsqlAuthenticationError"
      readonly reason: "AccessDenied" | "SignatureExpired" | "WrongUserForAction" | "UnknownRole" | "Other"
      readonly host: string
      readonly address: string
      readonly user: string
      readonly sqlState: string
      readonly hint?: string | undefined
      readonly isRetryable: boolean
    }>(),
  DsqlConnectionError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlConnectionError>>().toEqualTypeOf<{
      readonly _tag: "DsqlConnectionError"
      readonly reason:
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
      readonly host: string
      readonly address: string
      readonly outcomeUnknown?: boolean | undefined
      readonly sqlState?: string | undefined
      readonly isRetryable: boolean
    }>(),
  DsqlTransactionError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlTransactionError>>().toEqualTypeOf<{
      readonly _tag: "DsqlTransactionError"
      readonly reason: "Aborted" | "NestedFailure" | "Finished" | "InsideTransaction"
    }>(),
  DsqlConflictError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlConflictError>>().toEqualTypeOf<{
      readonly _tag: "DsqlConflictError"
      readonly reason: "Data" | "Schema" | "Unknown"
      readonly attempts: number
      readonly server: DsqlErrors.ServerError
      readonly isRetryable: boolean
    }>(),
  DsqlCommitOutcomeUnknownError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlCommitOutcomeUnknownError>>().toEqualTypeOf<{
      readonly _tag: "DsqlCommitOutcomeUnknownError"
    }>(),
  DsqlLimitError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlLimitError>>().toEqualTypeOf<{
      readonly _tag: "DsqlLimitError"
      readonly reason: DsqlErrors.LimitReason
      readonly server: DsqlErrors.ServerError
    }>(),
  DsqlUnsupportedError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlUnsupportedError>>().toEqualTypeOf<{
      readonly _tag: "DsqlUnsupportedError"
      readonly feature: string
      readonly server?: DsqlErrors.ServerError | undefined
    }>(),
  DsqlUnavailableError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlUnavailableError>>().toEqualTypeOf<{
      readonly _tag: "DsqlUnavailableError"
      readonly outcomeUnknown?: boolean | undefined
      readonly server: DsqlErrors.ServerError
      readonly isRetryable: boolean
    }>(),
  DsqlConstraintError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlConstraintError>>().toEqualTypeOf<{
      readonly _tag: "DsqlConstraintError"
      readonly reason: "Unique" | "ForeignKey" | "Check" | "NotNull"
      readonly constraint?: string | undefined
      readonly table?: string | undefined
      readonly column?: string | undefined
      readonly server: DsqlErrors.ServerError
    }>(),
  DsqlQueryError: () =>
    expectTypeOf<Facts<DsqlErrors.DsqlQueryError>>().toEqualTypeOf<{
      readonly _tag: "DsqlQueryError"
      readonly sqlState: string
      readonly server: DsqlErrors.ServerError
    }>(),
  fromServerError: () =>
    expectTypeOf(DsqlErrors.fromServerError).toEqualTypeOf<
      (server: DsqlErrors.ServerError, peer: DsqlErrors.Peer, cause?: unknown) => DsqlErrors.DsqlStatementError
    >(),
  isDsqlError: () => expectTypeOf(DsqlErrors.isDsqlError).guards.toEqualTypeOf<DsqlErrors.DsqlError>(),
  unwrap: () => expectTypeOf(DsqlErrors.unwrap).toEqualTypeOf<(u: unknown) => DsqlErrors.DsqlError | undefined>(),
  isConflict: () => expectTypeOf(DsqlErrors.isConflict).toEqualTypeOf<(u: unknown) => boolean>(),
  isRetryable: () => expectTypeOf(DsqlErrors.isRetryable).toEqualTypeOf<(u: unknown) => boolean>(),
  isTransient: () => expectTypeOf(DsqlErrors.isTransient).toEqualTypeOf<(u: unknown) => boolean>(),
  // A union that can be matched on, and the rest as it was.
  refine: () => {
    const query = (sql: SqlClient) => sql<{ readonly id: number }>`SELECT 1 AS id`
    const refined = (sql: SqlClient) => DsqlErrors.refine(query(sql))
    expectTypeOf(refined).returns.toEqualTypeOf<
      Effect.Effect<ReadonlyArray<{ readonly id: number }>, SqlError | DsqlErrors.DsqlError>
    >()
    const caught = (sql: SqlClient) =>
      refined(sql).pipe(Effect.catchTag("DsqlConflictError", ({ attempts }) => Effect.succeed(attempts)))
    expectTypeOf(caught).returns.toEqualTypeOf<
      Effect.Effect<
        number | ReadonlyArray<{ readonly id: number }>,
        SqlError | Exclude<DsqlErrors.DsqlError, DsqlErrors.DsqlConflictError>
      >
    >()
  }
})
