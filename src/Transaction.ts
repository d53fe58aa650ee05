/**
 * Transactions that are run again when they lose a conflict. DSQL takes no locks: who loses learns it at COMMIT, and the
 * remedy is to run the whole transaction anew.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { backoff } from "./core/backoff.js"
import type { DsqlError } from "./Errors.js"
import { DsqlConflictError, DsqlTransactionError, DsqlUnsupportedError, isRetryable, refine, unwrap } from "./Errors.js"
import { defaults } from "./internal/retryDefaults.js"
import { type Course, newCourse, type Transactions, transactionsOf } from "./internal/transaction.js"

/**
 * How often and how long something is tried again.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryPolicy {
  /** No attempt begins later than this after the first. Default 60 seconds. */
  readonly deadline?: Duration.DurationInput | undefined
  /** The most attempts after the first. Default: as many as the deadline allows. */
  readonly times?: number | undefined
  /** The longest first wait; it doubles with every attempt, and each wait is drawn evenly below it. Default 5 milliseconds. */
  readonly base?: Duration.DurationInput | undefined
  /** The longest wait. Default 100 milliseconds. docs/contention.md says how both were chosen. */
  readonly cap?: Duration.DurationInput | undefined
}

/**
 * How a single statement is run again.
 *
 * @since 0.1.0
 * @category models
 */
export interface StatementRetryOptions extends RetryPolicy {
  /** Which errors are worth another attempt. Default: {@link isTransient}. */
  readonly while?: ((error: DsqlError) => boolean) | undefined
  /** Names the statement in spans and metrics. */
  readonly name?: string | undefined
}

/**
 * How a transaction is run, and when it is run again.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryOptions<A = never, R = never> extends StatementRetryOptions {
  /** `true` begins with BEGIN READ ONLY: such a transaction never loses to a writer. Default `false`. */
  readonly readOnly?: boolean | undefined
  /** The age at which an attempt is interrupted and rolled back. Default 290 seconds; the service's limit is 300. */
  readonly maxAge?: Duration.DurationInput | undefined
  /**
   * Asked after a COMMIT whose answer was lost, outside of any transaction: `Some` says that it took effect and with which
   * result, `None` that it did not, and then the transaction is run again. Look for something that this very transaction
   * wrote, an idempotency key with a unique constraint for instance: a lost COMMIT may still arrive after you looked, and
   * only such a key then stops the second one. Without `verify` the error is raised.
   */
  readonly verify?: Effect.Effect<Option.Option<A>, unknown, R> | undefined
}

/**
 * Whether a transaction that failed in this way, before its COMMIT was sent, may succeed when it is run anew: a conflict, a
 * passing condition of the service (XX000), a connection that was lost or refused, a cluster that is waking up.
 *
 * @since 0.1.0
 * @category guards
 */
export const isTransient = (error: DsqlError): boolean => {
  switch (error._tag) {
    case "DsqlConflictError":
      return true
    case "DsqlUnavailableError":
      return error.outcomeUnknown !== true
    case "DsqlConnectionError":
      return error.outcomeUnknown !== true && transientReasons.has(error.reason)
    case "DsqlTransactionError": {
      const cause = unwrap(error.cause)
      return error.reason === "Aborted" && cause !== undefined && isTransient(cause)
    }
    default:
      return false
  }
}

const transientReasons: ReadonlySet<string> = new Set([
  "Refused",
  "Closed",
  "ClusterWaking",
  "RateExceeded",
  "TooManyConnections"
])

const retries = Metric.counter("dsql_retries_total", {
  description: "Transactions and statements that were run again, by name and by the error's tag",
  incremental: true
})

/** Capped exponential backoff with full jitter, in milliseconds. */
const waitAfter = (attempts: number, { base = defaults.base, cap = defaults.cap }: RetryPolicy) =>
  Effect.map(Random.next, (random) => backoff(attempts, Duration.toMillis(base), Duration.toMillis(cap), random))

/**
 * The same policy for `Effect.retry`, for who retries on their own: it goes on as long as {@link isRetryable} holds. Around
 * `sql.withTransaction` the body runs again, as with {@link withRetry}.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlTransaction } from "effect-dsql"
 *
 * export const archive = Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *   sql`DELETE FROM draft WHERE edited < now() - interval '1 year'`.pipe(
 *     sql.withTransaction,
 *     Effect.retry(DsqlTransaction.schedule({ times: 5 }))
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const schedule = (policy: RetryPolicy = {}): Schedule.Schedule<void, unknown> =>
  Schedule.forever.pipe(
    Schedule.addDelayEffect((failed) => waitAfter(failed + 1, policy)),
    Schedule.upTo(policy.deadline ?? defaults.deadline),
    Schedule.intersect(policy.times === undefined ? Schedule.forever : Schedule.recurs(policy.times)),
    Schedule.whileInput(isRetryable),
    Schedule.asVoid
  )

/** An attempt's failure, and for which of our errors it may be run again. */
interface Failed<E> {
  readonly error: E
  readonly retryFor: DsqlError | undefined
}

/** Runs attempts until one succeeds, or fails in a way that no further one would mend. */
const repeatedly = <A, E, R>(
  attempt: Effect.Effect<A, Failed<E>, R>,
  policy: RetryPolicy,
  name = ""
): Effect.Effect<A, Failed<E> & { readonly attempts: number }, R> =>
  Effect.gen(function* () {
    const lastStart = (yield* Clock.currentTimeMillis) + Duration.toMillis(policy.deadline ?? defaults.deadline)
    for (let attempts = 1; ; attempts++) {
      const outcome = yield* Effect.either(attempt)
      yield* Effect.annotateCurrentSpan("dsql.attempts", attempts)
      if (outcome._tag === "Right") return outcome.right
      const { retryFor } = outcome.left
      const wait = yield* waitAfter(attempts, policy)
      const nextStart = (yield* Clock.currentTimeMillis) + wait
      if (retryFor === undefined || attempts > (policy.times ?? Infinity) || nextStart > lastStart) {
        return yield* Effect.fail({ ...outcome.left, attempts })
      }
      yield* Metric.update(Metric.tagged(Metric.tagged(retries, "name", name), "error", retryFor._tag), 1)
      yield* Effect.logDebug(`Attempt ${attempts} failed and is repeated`, retryFor.message)
      yield* Effect.sleep(wait)
    }
  }).pipe(
    Effect.annotateLogs({ package: "effect-dsql", module: "Transaction" }),
    Effect.withSpan("DsqlTransaction.retry", { captureStackTrace: false, attributes: { "dsql.name": name } })
  )

/** What is raised in the end: a conflict tells how often it was tried. */
const withAttempts = <E>({ attempts, error, retryFor }: Failed<E> & { readonly attempts: number }) => {
  if (error !== retryFor || retryFor?._tag !== "DsqlConflictError") return error
  const { cause, reason, server } = retryFor
  return new DsqlConflictError({ attempts, cause, reason, server })
}

/** After a lost COMMIT: what `verify` says, or else the loss itself. */
const settle = <E, A, R>(
  error: E | DsqlError,
  verify: Effect.Effect<Option.Option<A>, unknown, R>,
  policy: RetryPolicy
): Effect.Effect<A, Failed<E | DsqlError>, R> =>
  verify.pipe(
    Effect.retry(schedule(policy)),
    Effect.tapErrorCause((cause) => Effect.logWarning("Verifying the outcome of a COMMIT failed", cause)),
    Effect.mapError(() => ({ error, retryFor: undefined })),
    Effect.flatMap(
      Option.match({ onNone: () => Effect.fail({ error, retryFor: unwrap(error) }), onSome: Effect.succeed })
    )
  )

const inOneOfItsOwn = <A, E, R, B, R2>(
  transactions: Transactions,
  effect: Effect.Effect<A, E, R>,
  options: RetryOptions<B, R2>
): Effect.Effect<A | B, E | DsqlError, R | R2> => {
  const mayRetry = options.while ?? isTransient
  const retryForOf = (error: E | DsqlError, { failure }: Course): DsqlError | undefined =>
    // A body may have made something else of the failure that aborted its block.
    [failure, unwrap(error)].find(
      (cause) => cause !== undefined && cause._tag !== "DsqlCommitOutcomeUnknownError" && mayRetry(cause)
    )
  const attempt = Effect.suspend(() => {
    const course = newCourse()
    return transactions
      .outermost(refine(effect), (error) => error, course, options)
      .pipe(
        Effect.catchAll((error) =>
          options.verify !== undefined && unwrap(error)?._tag === "DsqlCommitOutcomeUnknownError"
            ? settle(error, options.verify, options)
            : Effect.fail({ error, retryFor: retryForOf(error, course) })
        )
      )
  })
  return Effect.mapError(repeatedly<A | B, E | DsqlError, R | R2>(attempt, options, options.name), withAttempts)
}

const transactionsOfClient: Effect.Effect<Transactions, DsqlUnsupportedError, SqlClient.SqlClient> = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => {
    const found = transactionsOf(sql)
    return found === undefined
      ? Effect.fail(new DsqlUnsupportedError({ feature: "retrying with a SqlClient of another package" }))
      : Effect.succeed(found)
  }
)

/**
 * Runs an effect in a transaction, and the **whole effect again** in a new one when it was lost to a conflict or to a passing
 * failure. Between attempts its connection is given back. Statements use the `SqlClient` of the context as always.
 *
 * Since the body may run several times, it must not do what cannot be undone with the transaction: no e-mails, no calls of
 * other services, no counters in memory; do that with the result, afterwards. Its other failures are not retried.
 *
 * Inside of a transaction it joins that one and does not retry. Fails with our errors themselves, not with `SqlError`s: a
 * `DsqlConflictError` knows the number of its attempts. A COMMIT whose answer was lost is
 * `DsqlCommitOutcomeUnknownError` and never repeated, unless `verify` says that it had no effect.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlTransaction } from "effect-dsql"
 *
 * export const transfer = (from: string, to: string, cents: number) =>
 *   Effect.gen(function* () {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`UPDATE account SET cents = cents - ${cents} WHERE id = ${from}`
 *     yield* sql`UPDATE account SET cents = cents + ${cents} WHERE id = ${to}`
 *   }).pipe(
 *     DsqlTransaction.withRetry({ name: "transfer" }),
 *     Effect.catchTag("DsqlConflictError", (e) => Effect.logWarning(`gave up after ${e.attempts} attempts`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withRetry: {
  <B = never, R2 = never>(
    options?: RetryOptions<B, R2>
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A | B, E | DsqlError, R | R2 | SqlClient.SqlClient>
  <A, E, R, B = never, R2 = never>(
    effect: Effect.Effect<A, E, R>,
    options?: RetryOptions<B, R2>
  ): Effect.Effect<A | B, E | DsqlError, R | R2 | SqlClient.SqlClient>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R, B, R2>(
    effect: Effect.Effect<A, E, R>,
    options: RetryOptions<B, R2> = {}
  ): Effect.Effect<A | B, E | DsqlError, R | R2 | SqlClient.SqlClient> =>
    Effect.flatMap(transactionsOfClient, (transactions) =>
      Effect.flatMap(transactions.current, (session) =>
        session === undefined ? inOneOfItsOwn(transactions, effect, options) : transactions.nested(refine(effect))
      )
    )
)

/**
 * Runs a single statement again when it was lost to a conflict: outside of a transaction a statement commits by itself, and
 * learns of its conflict at once. One whose answer was lost is not repeated, since it may have taken effect. Inside of a
 * transaction it fails with `DsqlTransactionError` (`InsideTransaction`): there the whole transaction must run again.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlTransaction } from "effect-dsql"
 *
 * export const visit = (page: string) =>
 *   Effect.gen(function* () {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`UPDATE page SET visits = visits + 1 WHERE name = ${page}`
 *   }).pipe(DsqlTransaction.retryStatement({ name: "visit" }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const retryStatement: {
  (
    options?: StatementRetryOptions
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DsqlError, R | SqlClient.SqlClient>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: StatementRetryOptions
  ): Effect.Effect<A, E | DsqlError, R | SqlClient.SqlClient>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options: StatementRetryOptions = {}
  ): Effect.Effect<A, E | DsqlError, R | SqlClient.SqlClient> => {
    const mayRetry = options.while ?? isTransient
    const attempt = Effect.mapError(refine(effect), (error) => {
      const cause = unwrap(error)
      return { error, retryFor: cause !== undefined && mayRetry(cause) ? cause : undefined }
    })
    return Effect.flatMap(transactionsOfClient, (transactions) =>
      Effect.flatMap(transactions.current, (session) =>
        session === undefined
          ? Effect.mapError(repeatedly(attempt, options, options.name), withAttempts)
          : Effect.fail(new DsqlTransactionError({ reason: "InsideTransaction" }))
      )
    )
  }
)
