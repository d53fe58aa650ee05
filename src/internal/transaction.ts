/** One transaction from BEGIN to COMMIT or ROLLBACK, and who is in it. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Resolved } from "../Config.js"
import type { DsqlError } from "../Errors.js"
import { DsqlTransactionError } from "../Errors.js"
import type { Channel } from "./channel.js"
import type { Deadlines } from "./deadlines.js"
import { networkError } from "./driverError.js"
import { Session, toSqlError } from "./session.js"
import { limited, tooOld } from "./transactionAge.js"
import { begin, commit, rollback } from "./transactionCommands.js"
import { type Attempted, makeAttempted } from "./transactionMetrics.js"
import { oneByOne } from "./turns.js"

export interface TransactionOptions {
  readonly name?: string | undefined
  readonly readOnly?: boolean | undefined
  /** Default: the configuration's. */
  readonly maxAge?: Duration.Duration | undefined
  /** Until when, by the clock, a connection may be waited for. */
  readonly beginBy?: number | undefined
}

/** What is known about a transaction while it lasts, and afterwards. */
export interface Course {
  /** It got no connection in time. */
  late: boolean
  /** A nested call failed. */
  doomed: boolean
  /** A statement is under way. */
  busy: boolean
  /** A statement was interrupted or lost its connection, and the server ends the transaction by itself. */
  lost: boolean
  /** What BEGIN, a statement or COMMIT has failed with; the first of it, since that aborted the block. */
  failure: DsqlError | undefined
}

export interface Transactions {
  /** The configuration's. */
  readonly retry: Resolved["retry"]
  readonly attempted: Attempted
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

export const newCourse = (): Course => ({ late: false, doomed: false, busy: false, lost: false, failure: undefined })

/** A value that could not be sent or read has not failed on the server; those errors have a severity. */
const abortsBlock = (error: DsqlError): boolean => !("server" in error) || error.server?.severity !== undefined

/** Whoever sees a statement's error, the transaction does not forget it. */
const note = <A>(course: Course, exit: Exit.Exit<A, DsqlError>): Exit.Exit<A, DsqlError> => {
  course.busy = false
  if (Exit.isSuccess(exit)) return exit
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (error !== undefined && abortsBlock(error)) course.failure ??= error
  // Without an error of its own it was interrupted, which destroys the connection.
  course.lost ||= error === undefined || error._tag === "DsqlConnectionError"
  return exit
}

export const make = (
  reserve: Effect.Effect<Channel, DsqlError, Scope.Scope>,
  spanAttributes: ReadonlyArray<readonly [string, unknown]>,
  config: Resolved,
  deadlines: Deadlines
): Transactions => {
  const attempted = makeAttempted()
  const ours = new WeakMap<object, { readonly session: Session; readonly course: Course }>()
  const connection = Effect.map(Effect.serviceOption(SqlClient.TransactionConnection), (found) =>
    Option.isSome(found) ? found.value[0] : undefined
  )
  // The tag of @effect/sql is one for all clients: what another client of ours has put there may stand inside of what we have.
  const open = Effect.map(connection, (innermost) => {
    let at = innermost
    while (at !== undefined && !ours.has(at)) at = at instanceof Session ? at.enclosing : undefined
    return at === undefined ? undefined : ours.get(at)
  })

  const reserveBy = (deadline: number, course: Course) =>
    Effect.clockWith((clock) => {
      const late = () => {
        course.late = true
        return networkError(config, "AcquireTimeout")
      }
      const left = deadline - clock.unsafeCurrentTimeMillis()
      return left > 0 ? Effect.timeoutFail(reserve, { duration: left, onTimeout: late }) : Effect.failSync(late)
    })

  const outermost: Transactions["outermost"] = (effect, toError, course, options = {}) => {
    const { beginBy, maxAge = config.retry.maxAge, name = "", readOnly = false } = options
    const reserveAndBegin = (scope: Scope.Scope) =>
      Scope.extend(beginBy === undefined ? reserve : reserveBy(beginBy, course), scope).pipe(
        Effect.tap((channel) => begin(deadlines, channel, readOnly)),
        Effect.tapError((error) => Effect.sync(() => (course.failure = error))),
        Effect.mapError(toError)
      )
    const end = (channel: Channel, exit: Exit.Exit<unknown, unknown>, expired: () => DsqlError | undefined) =>
      Effect.suspend((): Effect.Effect<void, DsqlError> => {
        if (Exit.isFailure(exit)) return rollback(deadlines, channel, course)
        const { doomed, failure } = course
        const refusal =
          expired() ?? (doomed ? new DsqlTransactionError({ reason: "NestedFailure", cause: failure }) : undefined)
        return refusal === undefined
          ? commit(deadlines, channel, course)
          : Effect.zipRight(rollback(deadlines, channel, course), Effect.fail(refusal))
      }).pipe(Effect.mapError(toError))
    const run = (scope: Scope.Scope, restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const channel = yield* restore(reserveAndBegin(scope))
        const clock = yield* Effect.clock
        const expiry = clock.unsafeCurrentTimeMillis() + Duration.toMillis(maxAge)
        const expired = () => (clock.unsafeCurrentTimeMillis() < expiry ? undefined : tooOld(maxAge))
        let ended = false
        const finished = () => (ended ? new DsqlTransactionError({ reason: "Finished" }) : undefined)
        const turns = oneByOne(channel, false, {
          refusal: () => expired() ?? finished(),
          begun: () => void (course.busy = true),
          ended: (exit) =>
            note(
              course,
              Exit.mapError(exit, (error) => expired() ?? error)
            )
        })
        const session = new Session(turns, yield* connection)
        ours.set(session, { session, course })
        // A statement that nobody waits for is a part of the transaction if it has begun by now, and else refused.
        const settle = Effect.suspend(() => {
          ended = true
          return turns.settled
        })
        const body = restore(Effect.zipLeft(effect, settle))
        const exit = yield* limited(body, maxAge, channel, deadlines, toError).pipe(
          // Out here, so that whoever joins a fiber that the body has forked does not inherit the transaction.
          Effect.provideService(SqlClient.TransactionConnection, [session, 0])
        )
        ended = true
        yield* end(channel, exit, expired)
        return yield* exit
      })
    return Effect.uninterruptibleMask((restore) => Effect.scopedWith((scope) => run(scope, restore))).pipe(
      Effect.ensuring(Effect.suspend(() => (course.late ? Effect.void : attempted(name, course.failure)))),
      Effect.withSpan("sql.transaction", {
        kind: "client",
        captureStackTrace: false,
        attributes: Object.fromEntries(spanAttributes)
      })
    )
  }

  const nested: Transactions["nested"] = (effect) =>
    Effect.flatMap(open, (transaction) =>
      Effect.onError(effect, () =>
        Effect.sync(() => {
          if (transaction !== undefined) transaction.course.doomed = true
        })
      )
    )

  return {
    retry: config.retry,
    attempted,
    current: Effect.map(open, (transaction) => transaction?.session),
    outermost,
    nested,
    withTransaction: (effect) =>
      Effect.flatMap(open, (transaction) =>
        transaction === undefined ? outermost(effect, toSqlError, newCourse()) : nested(effect)
      )
  }
}
