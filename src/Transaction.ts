/**
 * Transactions that are run again when they lose a conflict. DSQL takes no locks: who loses learns it at COMMIT, and the
 * remedy is to run the whole transaction anew.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { dual, identity } from "effect/Function"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as DsqlConfig from "./Config.js"
import type { DsqlError } from "./Errors.js"
import { refine } from "./Errors.js"
import { refuseInside, transactionsOfClient } from "./internal/alone.js"
import * as checks from "./internal/checks.js"
import * as retry from "./internal/retry.js"
import { defaults } from "./internal/retryDefaults.js"

export type { RetryPolicy } from "./Config.js"
export { isConflict, isRetryable, isTransient } from "./Errors.js"

/**
 * How a single statement is run again. What is left out is as the layer's `retry` option says.
 *
 * @since 0.1.0
 * @category models
 */
export interface StatementRetryOptions extends DsqlConfig.RetryPolicy {
  /** Which errors are worth another attempt. Default: {@link isTransient}. */
  readonly while?: ((error: DsqlError) => boolean) | undefined
  /** Names it in spans and metrics. Default: no name. */
  readonly name?: string | undefined
}

/**
 * How a transaction is run, and when it is run again. What is left out is as the layer's `retry` option says.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryOptions<A = never, R = never> extends StatementRetryOptions, DsqlConfig.RetryOptions {
  /**
   * `true` begins with BEGIN READ ONLY. Such a transaction loses to no writer, though still once to a change of the schema
   * (OC001). Default `false`.
   */
  readonly readOnly?: boolean | undefined
  /**
   * Asked after a COMMIT whose answer was lost, outside of any transaction: `Some` says that it took effect and with which
   * result, `None` that it did not, and then the transaction is run again. Look for something that this very transaction
   * wrote, an idempotency key with a unique constraint for instance: a lost COMMIT may still arrive after you looked, and
   * only such a key then stops the second one. What fails in passing is asked again, within the deadline; when it fails
   * otherwise, and without `verify`, the error is raised.
   */
  readonly verify?: Effect.Effect<Option.Option<A>, unknown, R> | undefined
}

/**
 * The same policy for `Effect.retry`, for who retries on their own: it goes on as long as {@link isTransient} holds, and its
 * deadline counts from the first failure. Around `sql.withTransaction` the body runs again, as with {@link withRetry}.
 * Throws a `DsqlConfigError` for values that cannot be right.
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
export const schedule = (policy: DsqlConfig.RetryPolicy = {}): Schedule.Schedule<void, unknown> =>
  retry.schedule(Either.getOrThrowWith(checks.retry(policy, defaults), identity))

const ofClient = transactionsOfClient("retrying")

/**
 * Runs an effect in a transaction, and the **whole effect again** in a new one when it was lost to a conflict or to a passing
 * failure. Between attempts its connection is given back. Statements use the `SqlClient` of the context as always.
 *
 * Everything in the body may happen several times, and only what it does in the database is undone in between. So
 *
 * - no mails, messages, payments or calls of other services in it: let it give what they need, and do them afterwards;
 * - no counters, caches or queues in memory, and no `Ref` that is not set anew: an attempt sees what the one before has left;
 * - no ids or times that are drawn inside but must be the same each time, an idempotency key first of all: draw them before;
 * - nothing slow: the longer it takes, the likelier it loses.
 *
 * Its own failures and defects roll back and are not retried, unless a statement of it had failed as {@link isTransient} says
 * and the body made something else of that. Inside of a transaction it joins that one and does not retry.
 *
 * Fails with our errors themselves, not with `SqlError`s: a `DsqlConflictError` knows the number of its attempts, and wrong
 * options are a `DsqlConfigError` before anything is run. A COMMIT whose answer was lost is `DsqlCommitOutcomeUnknownError`
 * and never repeated, unless `verify` says that it had no effect.
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
    Effect.gen(function* () {
      const transactions = yield* ofClient
      const { maxAge, ...policy } = yield* checks.retry(options, transactions.retry)
      const body = refine(effect)
      return (yield* transactions.current) === undefined
        ? yield* retry.transact(transactions, body, Effect.fail<DsqlError>, { ...options, maxAge, policy })
        : yield* transactions.nested(body)
    })
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
  ): Effect.Effect<A, E | DsqlError, R | SqlClient.SqlClient> =>
    Effect.gen(function* () {
      const transactions = yield* ofClient
      const { maxAge: _, ...policy } = yield* checks.retry(options, transactions.retry)
      yield* refuseInside(transactions)
      return yield* retry.statement(transactions, effect, { name: options.name ?? "", policy, while: options.while })
    })
)
