/** One transaction from BEGIN to COMMIT or ROLLBACK, and who is in it. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Resolved } from "../Config.js"
import type { DsqlError } from "../Errors.js"
import { DsqlCommitOutcomeUnknownError, DsqlLimitError, DsqlTransactionError } from "../Errors.js"
import type { Channel } from "./channel.js"
import { orDestroy } from "./dial.js"
import { networkError } from "./driverError.js"
import { ofCommit, oneByOne, Session, toSqlError, type Turns } from "./session.js"
import { attempted } from "./transactionMetrics.js"

/** How long BEGIN, COMMIT or ROLLBACK may stay unanswered before its connection is given up. */
const answerTimeout = Duration.seconds(10)

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

/** BEGIN, COMMIT and ROLLBACK have little to do, so a connection that leaves them without an answer is none. */
const bounded = (channel: Channel, text: string): Effect.Effect<string, DsqlError> =>
  channel.run(text).pipe(
    orDestroy(channel, answerTimeout),
    Effect.map((results) => results[0]?.command ?? "")
  )

const commit = (channel: Channel, course: Course): Effect.Effect<void, DsqlError> =>
  Effect.suspend(() => {
    // On a connection that is known to be gone nothing is sent, and nothing unknown.
    const sent = channel.isOpen()
    return bounded(channel, "COMMIT").pipe(
      Effect.mapError((error) =>
        sent && (error._tag === "DsqlConnectionError" || error._tag === "DsqlUnavailableError")
          ? new DsqlCommitOutcomeUnknownError({ cause: ofCommit(error) })
          : error
      ),
      Effect.tapError((error) => Effect.sync(() => (course.failure ??= error))),
      Effect.flatMap((command) =>
        command === "ROLLBACK"
          ? Effect.fail(new DsqlTransactionError({ reason: "Aborted", cause: course.failure }))
          : Effect.void
      )
    )
  })

/**
 * What cannot be rolled back is ended by closing its connection; the error that led here stays the one reported. So is what a
 * fiber that nobody waits for still runs a statement in: ROLLBACK would have to wait for that.
 */
const rollback = (channel: Channel, course: Course): Effect.Effect<void> =>
  Effect.suspend(() =>
    course.lost || course.busy
      ? Effect.sync(channel.destroy)
      : bounded(channel, "ROLLBACK").pipe(
          Effect.tapError((error) =>
            Effect.logWarning("ROLLBACK failed; closing the connection, which ends the transaction", error.message)
          ),
          Effect.catchAll(() => Effect.sync(channel.destroy)),
          Effect.annotateLogs({ package: "effect-dsql", module: "Transaction" }),
          Effect.asVoid
        )
  )

const tooOld = (maxAge: Duration.Duration) => {
  const message = `transaction given up at the age of ${Duration.format(maxAge)}; the service's limit is 300s`
  return new DsqlLimitError({ reason: "Age", server: { sqlState: "54000", message } })
}

/**
 * Runs a body, which is interrupted when it has had its time. Should it be one that cannot be, the statement that it waits for
 * is cut off. What it forks belongs to the caller's fiber, as it would if the limit did not need a fiber of its own.
 */
const limited = <A, E, R, E2>(
  body: Effect.Effect<A, E, R>,
  limit: Duration.Duration,
  channel: Channel,
  onLimit: () => E2
): Effect.Effect<Exit.Exit<A, E | E2>, never, R> =>
  Effect.transplant((graft) =>
    Effect.raceWith(Effect.exit(graft(body)), Effect.interruptible(Effect.sleep(limit)), {
      onSelfDone: (exit, timer) => Effect.zipRight(Fiber.interruptFork(timer), exit),
      onOtherDone: (slept, running): Effect.Effect<Exit.Exit<A, E | E2>> =>
        Exit.isSuccess(slept)
          ? Fiber.interrupt(running).pipe(
              orDestroy(channel, answerTimeout),
              Effect.zipRight(Effect.sync(() => Exit.fail(onLimit())))
            )
          : Fiber.join(running)
    })
  )

/** A value that could not be sent or read has not failed on the server; those errors have a severity. */
const abortsBlock = (error: DsqlError): boolean => !("server" in error) || error.server?.severity !== undefined

const note = (course: Course, exit: Exit.Exit<unknown, DsqlError>): void => {
  course.busy = false
  if (Exit.isSuccess(exit)) return
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (error !== undefined && abortsBlock(error)) course.failure ??= error
  // Without an error of its own it was interrupted, which destroys the connection.
  course.lost ||= error === undefined || error._tag === "DsqlConnectionError"
}

export const make = (
  reserve: Effect.Effect<Channel, DsqlError, Scope.Scope>,
  spanAttributes: ReadonlyArray<readonly [string, unknown]>,
  config: Resolved
): Transactions => {
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

  /** Notes what happens to statements, whoever sees their errors. */
  const watching = (turns: Turns, course: Course, expired: () => DsqlError | undefined): Turns => ({
    ...turns,
    use: (f) =>
      turns.use((channel) => {
        course.busy = true
        return f(channel).pipe(
          Effect.mapError((error) => expired() ?? error),
          Effect.onExit((exit) => Effect.sync(() => note(course, exit)))
        )
      })
  })

  const outermost: Transactions["outermost"] = (effect, toError, course, options = {}) => {
    const { beginBy, maxAge = config.retry.maxAge, name = "", readOnly = false } = options
    const begin = (scope: Scope.Scope) =>
      Scope.extend(beginBy === undefined ? reserve : reserveBy(beginBy, course), scope).pipe(
        Effect.tap((channel) => bounded(channel, readOnly ? "BEGIN READ ONLY" : "BEGIN")),
        Effect.tapError((error) => Effect.sync(() => (course.failure = error))),
        Effect.mapError(toError)
      )
    const end = (channel: Channel, exit: Exit.Exit<unknown, unknown>, expired: () => DsqlError | undefined) =>
      Effect.suspend((): Effect.Effect<void, DsqlError> => {
        if (Exit.isFailure(exit)) return rollback(channel, course)
        const { doomed, failure } = course
        const refusal =
          expired() ?? (doomed ? new DsqlTransactionError({ reason: "NestedFailure", cause: failure }) : undefined)
        return refusal === undefined
          ? commit(channel, course)
          : Effect.zipRight(rollback(channel, course), Effect.fail(refusal))
      }).pipe(Effect.mapError(toError))
    const run = (scope: Scope.Scope, restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const channel = yield* restore(begin(scope))
        const clock = yield* Effect.clock
        const expiry = clock.unsafeCurrentTimeMillis() + Duration.toMillis(maxAge)
        const expired = () => (clock.unsafeCurrentTimeMillis() < expiry ? undefined : tooOld(maxAge))
        let ended = false
        const finished = () => (ended ? new DsqlTransactionError({ reason: "Finished" }) : undefined)
        const turns = oneByOne(channel, false, () => expired() ?? finished())
        const session = new Session(watching(turns, course, expired), yield* connection)
        ours.set(session, { session, course })
        // A statement that nobody waits for is a part of the transaction if it has begun by now, and else refused.
        const settle = Effect.suspend(() => {
          ended = true
          return turns.settled
        })
        const body = restore(Effect.zipLeft(effect, settle))
        const exit = yield* limited(body, maxAge, channel, () => toError(tooOld(maxAge))).pipe(
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
    current: Effect.map(open, (transaction) => transaction?.session),
    outermost,
    nested,
    withTransaction: (effect) =>
      Effect.flatMap(open, (transaction) =>
        transaction === undefined ? outermost(effect, toSqlError, newCourse()) : nested(effect)
      )
  }
}
