/** Statements that commit by themselves, with errors of ours in place of a `SqlError`. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { RetryPolicy } from "../Config.js"
import type { DsqlError } from "../Errors.js"
import { DsqlTransactionError, DsqlUnsupportedError, unwrap } from "../Errors.js"
import * as checks from "./checks.js"
import * as retry from "./retry.js"
import { isSqlError } from "./sqlError.js"
import { type Transactions, transactionsOf } from "./transaction.js"

/** The transactions of the client in the context, which must be ours for `what` is to be done with it. */
export const transactionsOfClient = (
  what: string
): Effect.Effect<Transactions, DsqlUnsupportedError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const found = transactionsOf(sql)
    return found === undefined
      ? Effect.fail(new DsqlUnsupportedError({ feature: `${what} with a SqlClient of another package` }))
      : Effect.succeed(found)
  })

/** What commits by itself can be no part of a transaction. */
export const refuseInside = ({ current }: Transactions): Effect.Effect<void, DsqlTransactionError> =>
  Effect.flatMap(current, (session) =>
    session === undefined ? Effect.void : Effect.fail(new DsqlTransactionError({ reason: "InsideTransaction" }))
  )

/** The transactions of our client, outside of any. */
export const outside: Effect.Effect<Transactions, DsqlTransactionError | DsqlUnsupportedError, SqlClient.SqlClient> =
  Effect.tap(transactionsOfClient("this"), refuseInside)

/** For effects on our own client, whose `SqlError`s all hold an error of ours. */
export const ours = <A, E, R>(
  effect: Effect.Effect<A, E | SqlError, R>
): Effect.Effect<A, Exclude<E, SqlError> | DsqlError, R> =>
  Effect.catchAll(effect, (error): Effect.Effect<never, Exclude<E, SqlError> | DsqlError> => {
    const cause = unwrap(error)
    if (cause !== undefined) return Effect.fail(cause)
    return isSqlError(error) ? Effect.die(error) : Effect.fail(error as Exclude<E, SqlError>)
  })

export interface AloneOptions {
  readonly name: string
  readonly retry?: RetryPolicy | undefined
}

/** A statement that does no harm when it runs twice, a question first of all: it runs again even when its answer was lost. */
export const ask = <A, E, R>(
  statement: Effect.Effect<A, E | SqlError, R>,
  { name, retry: policy }: AloneOptions
): Effect.Effect<A, Exclude<E, SqlError> | DsqlError, R | SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const transactions = yield* outside
    const { maxAge: _, ...checked } = yield* checks.retry(policy, transactions.retry, "retry.")
    return yield* ours(retry.statement(transactions, statement, { name, policy: checked, while: retry.mayAskAgain }))
  })
