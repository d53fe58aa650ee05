/**
 * Aurora DSQL for programs on postgres.js: options for `postgres()`, and transactions that run again, with the tokens,
 * lifetimes, errors and retries of the Effect client.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { DsqlUnsupportedError, isDsqlError } from "../Errors.js"
import { ofCommit } from "../internal/session.js"
import { postgresError, watched } from "./postgresErrors.js"
import { originOf, postgresOptions, type PostgresOptions } from "./postgresOptions.js"
import { attemptOf, type Beginner } from "./postgresTransaction.js"
import { type Options, promised } from "./runtime.js"
import { bodyOf, transactBy, type TransactionOptions } from "./transaction.js"

export type { PostgresOptions } from "./postgresOptions.js"
export type { Options } from "./runtime.js"
export type { TransactionOptions } from "./transaction.js"

/**
 * What `postgres()` gives, as far as it is needed here.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sql {
  readonly options: object
  readonly begin: (...args: never) => unknown
  readonly end: (...args: never) => Promise<unknown>
}

/**
 * The `sql` that the body of a transaction is given.
 *
 * @since 0.1.0
 * @category models
 */
export type TransactionSql<S extends Sql> =
  Parameters<S["begin"]> extends [unknown, (tx: infer Tx extends object) => unknown] ? Tx : never

/**
 * Options for `postgres()`: each connection logs in with a token that is signed once for all of them and renewed, over
 * verified TLS, and ends before the service cuts it. Put options of your own beside them by spreading these. Rejects with the
 * errors of `effect-dsql/Errors` when the settings are wrong; nothing is dialled before the first query. `lazy`, `types` and
 * the `pool` options `min` and, outside of {@link transaction}, `acquireTimeout` mean nothing to this driver.
 *
 * While a connection is open the token is renewed in the background; `sql.end()` ends that too.
 *
 * @example
 * ```ts
 * import { options } from "effect-dsql/postgres"
 * import postgres from "postgres"
 *
 * const sql = postgres({ ...(await options("abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws")), transform: postgres.camel })
 * export const [row] = await sql`SELECT current_user AS logged_in_as`
 * await sql.end()
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const options = (options?: string | Options): Promise<PostgresOptions> => postgresOptions(options)

const foreign = (what: string) =>
  new DsqlUnsupportedError({ feature: `${what} with a sql that was not made with the options of effect-dsql/postgres` })

/**
 * The same `sql`, whose queries reject with the errors of `effect-dsql/Errors`; the driver's is their `cause`. Those inside
 * of its own `sql.begin` and `sql.reserve` stay as the driver has them: {@link transaction} is for the former. Its `end` comes to
 * an end also when a connection was lost under a query, for which the driver's waits for ever. Throws `DsqlUnsupportedError`
 * for a `sql` with other options than {@link options}.
 *
 * @example
 * ```ts
 * import { options, withErrors } from "effect-dsql/postgres"
 * import postgres from "postgres"
 *
 * export const sql = withErrors(postgres(await options()))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withErrors = <S extends Sql>(sql: S): S => {
  const origin = originOf(sql)
  if (origin === undefined) throw foreign("withErrors")
  const { config, quiet } = origin
  const end = (...args: ReadonlyArray<unknown>) => Promise.race([Reflect.apply(sql.end, sql, args), quiet()])
  return watched(sql, {
    change: (cause, sent) => {
      const error = postgresError(config, cause, sent)
      return sent && isDsqlError(error) ? ofCommit(error) : error
    },
    refusal: () => undefined,
    members: { end }
  })
}

/**
 * Runs `fn` in a transaction of its own, by `sql.begin`, with a `sql` that must be used for all of it. When the transaction
 * loses a conflict (SQLSTATE 40001, which DSQL reports at COMMIT), or fails in passing, **all of `fn` runs again** on a new
 * one: what it does beside its SQL happens once for each attempt.
 *
 * Rejects with what `fn` throws, with `DsqlConflictError` when the retries are used up, and with
 * `DsqlCommitOutcomeUnknownError` when the answer to COMMIT was lost, which is never repeated unless `verify` says that it had
 * no effect. The queries of `fn` reject with the errors of `effect-dsql/Errors`, also without {@link withErrors}. There are no
 * savepoints on DSQL.
 *
 * @example
 * ```ts
 * import { transaction } from "effect-dsql/postgres"
 * import type postgres from "postgres"
 *
 * export const transfer = (sql: postgres.Sql, from: string, to: string, cents: number) =>
 *   transaction(sql, async (tx) => {
 *     await tx`UPDATE account SET cents = cents - ${cents} WHERE id = ${from}`
 *     await tx`UPDATE account SET cents = cents + ${cents} WHERE id = ${to}`
 *   })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const transaction = async <S extends Sql, A, B = never>(
  sql: S,
  fn: (tx: TransactionSql<S>) => Promise<A>,
  options: TransactionOptions<B> = {}
): Promise<A | B> => {
  const origin = originOf(sql)
  if (origin === undefined) throw foreign("transaction")
  const { signal, ...others } = options
  const attempt = attemptOf(sql as unknown as Beginner<TransactionSql<S>>, origin.config, bodyOf(fn))
  const exit = Effect.runPromiseExit(
    transactBy(attempt, origin.config, others),
    signal === undefined ? undefined : { signal }
  )
  return promised(exit, signal)
}
