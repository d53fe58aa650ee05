/** One transaction from BEGIN to COMMIT or ROLLBACK, and who is in it. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { DsqlError } from "../Errors.js"
import { DsqlCommitOutcomeUnknownError, DsqlLimitError, DsqlTransactionError } from "../Errors.js"
import type { Channel } from "./channel.js"
import { orDestroy } from "./dial.js"
import { ofCommit, oneByOne, Session, toSqlError } from "./session.js"

/** How long COMMIT or ROLLBACK may stay unanswered before its connection is given up. */
const endTimeout = "10 seconds"

/** The service ends a transaction after 300 s (AWS quotas page), at whatever it does next. */
export const defaultMaxAge: Duration.DurationInput = "290 seconds"

export interface TransactionOptions {
  readonly readOnly?: boolean | undefined
  readonly maxAge?: Duration.DurationInput | undefined
}

/** What is known about a transaction while it lasts, and afterwards. */
export interface Course {
  /** A nested call failed. */
  doomed: boolean
  /** What the server said when a statement failed; the first of it, since that aborted the block. */
  failure: DsqlError | undefined
}

export interface Transactions {
  /** The session of this client's transaction that the fiber is in. */
  readonly current: Effect.Effect<Session | undefined>
  /** Runs an effect in a transaction of its own. How that goes is written into `course`. */
  readonly outermost: <A, E, R, E2>(
    effect: Effect.Effect<A, E, R>,
    toError: (error: DsqlError) => E2,
    course: Course,
    options?: TransactionOptions
  ) => Effect.Effect<A, E | E2, R>
  /** Runs an effect as a part of the transaction the fiber is in, which cannot commit when it fails. */
  readonly nested: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly withTransaction: <R, E, A>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, R>
}

/** Under this key our clients carry their {@link Transactions}. */
export const transactionsKey: unique symbol = Symbol.for("effect-dsql/Transactions")

export const transactionsOf = (client: SqlClient.SqlClient): Transactions | undefined =>
  (client as { readonly [transactionsKey]?: Transactions })[transactionsKey]

export const newCourse = (): Course => ({ doomed: false, failure: undefined })

/** COMMIT and ROLLBACK; they must not be interrupted, so the connection is destroyed if no answer comes. */
const bounded = (channel: Channel, text: string): Effect.Effect<string, DsqlError> =>
  channel.run(text).pipe(
    orDestroy(channel, endTimeout),
    Effect.map((results) => results[0]?.command ?? "")
  )

const commit = (channel: Channel, course: Course): Effect.Effect<void, DsqlError> =>
  bounded(channel, "COMMIT").pipe(
    Effect.mapError((error) =>
      error._tag === "DsqlConnectionError" || error._tag === "DsqlUnavailableError"
        ? new DsqlCommitOutcomeUnknownError({ cause: ofCommit(error) })
        : error
    ),
    Effect.flatMap((command) =>
      command === "ROLLBACK"
        ? Effect.fail(new DsqlTransactionError({ reason: "Aborted", cause: course.failure }))
        : Effect.void
    )
  )

/** What cannot be rolled back is ended by closing its connection; the error that led here stays the one reported. */
const rollback = (channel: Channel): Effect.Effect<void> =>
  bounded(channel, "ROLLBACK").pipe(
    Effect.tapError((error) => Effect.logDebug("ROLLBACK failed, closing the connection", error.message)),
    Effect.catchAll(() => Effect.sync(channel.destroy)),
    Effect.annotateLogs({ package: "effect-dsql", module: "Transaction" }),
    Effect.asVoid
  )

const tooOld = () =>
  new DsqlLimitError({
    reason: "Age",
    server: { sqlState: "54000", message: "transaction given up before the service's limit of 300s" }
  })

export const make = (
  reserve: Effect.Effect<Channel, DsqlError, Scope.Scope>,
  spanAttributes: ReadonlyArray<readonly [string, unknown]>
): Transactions => {
  // The tag of @effect/sql is one for all clients; what another client put there is none of ours.
  const ours = new WeakMap<object, { readonly session: Session; readonly course: Course }>()
  const open = Effect.map(Effect.serviceOption(SqlClient.TransactionConnection), (found) =>
    Option.isSome(found) ? ours.get(found.value[0]) : undefined
  )

  const sessionOn = (channel: Channel, course: Course, ended: () => boolean) => {
    const turns = oneByOne(channel, false, () =>
      ended() ? new DsqlTransactionError({ reason: "Finished" }) : undefined
    )
    return new Session({
      ...turns,
      use: (f) => Effect.tapError(turns.use(f), (error) => Effect.sync(() => (course.failure ??= error)))
    })
  }

  const outermost: Transactions["outermost"] = (effect, toError, course, { maxAge = defaultMaxAge, readOnly } = {}) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const channel = yield* Scope.extend(restore(reserve), scope).pipe(
          Effect.tap((channel) => restore(channel.run(readOnly === true ? "BEGIN READ ONLY" : "BEGIN"))),
          Effect.mapError(toError),
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
        )
        let ended = false
        const session = sessionOn(channel, course, () => ended)
        ours.set(session, { session, course })
        const exit = yield* effect.pipe(
          Effect.provideService(SqlClient.TransactionConnection, [session, 0]),
          Effect.timeoutFail({ duration: maxAge, onTimeout: () => toError(tooOld()) }),
          restore,
          Effect.exit
        )
        ended = true
        const end: Effect.Effect<void, DsqlError> = Exit.isFailure(exit)
          ? rollback(channel)
          : course.doomed
            ? Effect.zipRight(
                rollback(channel),
                Effect.fail(new DsqlTransactionError({ reason: "NestedFailure", cause: course.failure }))
              )
            : commit(channel, course)
        yield* Effect.ensuring(Effect.mapError(end, toError), Scope.close(scope, exit))
        return yield* exit
      })
    ).pipe(
      Effect.withSpan("sql.transaction", {
        kind: "client",
        captureStackTrace: false,
        attributes: Object.fromEntries(spanAttributes)
      })
    )

  const nested: Transactions["nested"] = (effect) =>
    Effect.flatMap(open, (transaction) =>
      Effect.onError(effect, () =>
        Effect.sync(() => {
          if (transaction !== undefined) transaction.course.doomed = true
        })
      )
    )

  return {
    current: Effect.map(open, (transaction) => transaction?.session),
    outermost,
    nested,
    withTransaction: (effect) =>
      Effect.flatMap(open, (transaction) =>
        transaction === undefined ? outermost(effect, toSqlError, newCourse()) : nested(effect)
      )
  }
}
