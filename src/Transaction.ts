/**
 * Transactions with a typed BEGIN, COMMIT and ROLLBACK. In stock `@effect/sql` a failing COMMIT is a defect; on DSQL it is
 * where a lost conflict shows, so here it is a `SqlError` whose cause says what happened.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Connection } from "./Connection.js"
import type { DsqlError, DsqlStatementError } from "./Errors.js"
import { DsqlCommitOutcomeUnknownError, DsqlTransactionError } from "./Errors.js"
import { orDestroy } from "./internal/dial.js"
import { oneByOne, Session, toSqlError } from "./internal/session.js"
import { run } from "./internal/statement.js"

/** How long COMMIT or ROLLBACK may stay unanswered before its connection is given up. */
const endTimeout = "10 seconds"

interface Open {
  readonly session: Session
  doomed: boolean
}

/** @internal */
export interface Transactions {
  /** The session of this client's transaction that the fiber is in. */
  readonly current: Effect.Effect<Session | undefined>
  readonly withTransaction: <R, E, A>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, R>
}

/** COMMIT and ROLLBACK; they must not be interrupted, so the connection is destroyed if no answer comes. */
const bounded = (connection: Connection, text: string): Effect.Effect<string, DsqlStatementError> =>
  run(connection, text).pipe(
    orDestroy(connection, endTimeout),
    Effect.map((results) => results[0]?.command ?? "")
  )

const commit = (connection: Connection): Effect.Effect<void, DsqlError> =>
  bounded(connection, "COMMIT").pipe(
    Effect.mapError((error) =>
      error._tag === "DsqlConnectionError" || error._tag === "DsqlUnavailableError"
        ? new DsqlCommitOutcomeUnknownError({ cause: error })
        : error
    ),
    Effect.flatMap((command) =>
      command === "ROLLBACK" ? Effect.fail(new DsqlTransactionError({ reason: "Aborted" })) : Effect.void
    )
  )

/** What cannot be rolled back is ended by closing its connection; the error that led here stays the one reported. */
const rollback = (connection: Connection): Effect.Effect<void> =>
  bounded(connection, "ROLLBACK").pipe(
    Effect.tapError((error) => Effect.logDebug("ROLLBACK failed, closing the connection", error.message)),
    Effect.catchAll(() => Effect.sync(connection.destroy)),
    Effect.annotateLogs({ package: "effect-dsql", module: "Transaction" }),
    Effect.asVoid
  )

/** @internal */
export const make = (
  reserve: Effect.Effect<Connection, DsqlError, Scope.Scope>,
  spanAttributes: ReadonlyArray<readonly [string, unknown]>
): Transactions => {
  // The tag of @effect/sql is one for all clients; what another client put there is none of ours.
  const ours = new WeakMap<object, Open>()
  const open = Effect.map(Effect.serviceOption(SqlClient.TransactionConnection), (found) =>
    Option.isSome(found) ? ours.get(found.value[0]) : undefined
  )

  const outermost = <R, E, A>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const connection = yield* Scope.extend(restore(reserve), scope).pipe(
          Effect.tap((connection) => restore(run(connection, "BEGIN"))),
          Effect.mapError(toSqlError),
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
        )
        let finished = false
        const session = new Session(
          oneByOne(connection, false, () => (finished ? new DsqlTransactionError({ reason: "Finished" }) : undefined))
        )
        const transaction: Open = { session, doomed: false }
        ours.set(session, transaction)
        const exit = yield* Effect.exit(
          restore(Effect.provideService(effect, SqlClient.TransactionConnection, [session, 0]))
        )
        finished = true
        const end: Effect.Effect<void, DsqlError> = Exit.isFailure(exit)
          ? rollback(connection)
          : transaction.doomed
            ? Effect.zipRight(rollback(connection), Effect.fail(new DsqlTransactionError({ reason: "NestedFailure" })))
            : commit(connection)
        yield* Effect.ensuring(Effect.mapError(end, toSqlError), Scope.close(scope, exit))
        return yield* exit
      })
    ).pipe(
      Effect.withSpan("sql.transaction", {
        kind: "client",
        captureStackTrace: false,
        attributes: Object.fromEntries(spanAttributes)
      })
    )

  return {
    current: Effect.map(open, (transaction) => transaction?.session),
    withTransaction: (effect) =>
      Effect.flatMap(open, (transaction) =>
        transaction === undefined
          ? outermost(effect)
          : Effect.onError(effect, () => Effect.sync(() => (transaction.doomed = true)))
      )
  }
}
