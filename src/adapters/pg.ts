/**
 * Aurora DSQL for programs on node-postgres: a real `pg.Pool` and a real `pg.Client` in promises, for Drizzle, Kysely and
 * whatever else takes one, with the tokens, connections, errors and retries of the Effect client.
 *
 * @since 0.1.0
 */
import type * as Pg from "pg"
import * as Scope from "effect/Scope"
import { clientOf, turnsUntil } from "./pgClient.js"
import { openOne, openParts, type Pool, poolOver, transactionOf } from "./pgPool.js"
import { type Options, orCallBack } from "./runtime.js"
import type { TransactionOptions } from "./transaction.js"

export type { Pool } from "./pgPool.js"
export type { Options } from "./runtime.js"
export type { TransactionOptions } from "./transaction.js"

/**
 * A `pg.Pool` whose connections log in with a token that is signed once for all of them and renewed. Rejects with the errors
 * of `effect-dsql/Errors` when the settings are wrong or, unless `lazy`, when no connection can be opened.
 *
 * What differs from the pool of `pg`: statements fail with the errors of `effect-dsql/Errors`, whose `cause` is the driver's;
 * connections end before the service cuts them, and go back to their `session` settings when they are lent anew; one that
 * breaks while it lies unused raises no `error` event; the other events are about clients of `pool.connect()` only, so what
 * every connection is to be set to belongs into `session`; `end` may be called again.
 *
 * @example
 * ```ts
 * import { createPool } from "effect-dsql/pg"
 *
 * await using pool = await createPool("abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws")
 * export const result = await pool.query("SELECT $1::text AS city", ["Lisbon"])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const createPool = async (options?: string | Options): Promise<Pool> => poolOver(await openParts(options))

/**
 * A `pg.Client` that is connected: one connection, which is not replaced when it ends. The service cuts it after 60 minutes
 * at the latest (AWS quotas page). Rejects as {@link createPool} does; the `pool` options but `connectTimeout` mean nothing.
 *
 * @example
 * ```ts
 * import { connect } from "effect-dsql/pg"
 *
 * await using client = await connect({ host: "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws" })
 * export const result = await client.query("SELECT current_user")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = async (options?: string | Options): Promise<Pg.Client & AsyncDisposable> => {
  const { close, run, service } = await openOne(options)
  try {
    const scope = await run(Scope.make())
    const connection = await run(Scope.extend(service.connections.reserve, scope))
    let ended: Promise<void> | undefined
    const end = (callback?: (error: unknown) => void): Promise<void> | undefined => {
      ended ??= close()
      return orCallBack(ended, callback)
    }
    const turns = turnsUntil(connection, () => ended !== undefined)
    return clientOf<Pg.Client & AsyncDisposable>(connection, run, turns, { end, [Symbol.asyncDispose]: end })
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Runs `fn` in a transaction of its own, with a client that must be used for all of it. When the transaction loses a conflict
 * (SQLSTATE 40001, which DSQL reports at COMMIT), or fails in passing, **all of `fn` runs again** on a new one: what it does
 * beside its SQL happens once for each attempt.
 *
 * It waits between attempts as the `retry` options say, with the connection given back. Rejects with what `fn` throws, with
 * `DsqlConflictError` when the retries are used up, and with `DsqlCommitOutcomeUnknownError` when the answer to COMMIT was
 * lost, which is never repeated unless `verify` says that it had no effect. Statements on the client take turns; after the
 * end they fail. A nested call is a transaction of its own: hand the client on instead.
 *
 * @example
 * ```ts
 * import { type Pool, transaction } from "effect-dsql/pg"
 *
 * export const transfer = (pool: Pool, from: string, to: string, cents: number) =>
 *   transaction(pool, async (client) => {
 *     await client.query("UPDATE account SET cents = cents - $1 WHERE id = $2", [cents, from])
 *     await client.query("UPDATE account SET cents = cents + $1 WHERE id = $2", [cents, to])
 *   })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const transaction = <A, B = never>(
  pool: Pool,
  fn: (client: Pg.PoolClient) => Promise<A>,
  options: TransactionOptions<B> = {}
): Promise<A | B> => transactionOf(pool)(fn, options)
