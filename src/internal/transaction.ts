/** One transaction from BEGIN to COMMIT or ROLLBACK, and who is in it. */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { Resolved } from "../Config.js"
import type { DsqlError } from "../Errors.js"
import { DsqlTransactionError } from "../Errors.js"
import type { Channel, Channels } from "./channel.js"
import type { Deadlines } from "./deadlines.js"
import { networkError } from "./driverError.js"
import { Session } from "./session.js"
import { failedWith } from "./spans.js"
import type { FailWithSqlError } from "./sqlError.js"
import { limited, tooOld } from "./transactionAge.js"
import { begin, commit, rollback } from "./transactionCommands.js"
import * as TransactionMetrics from "./transactionMetrics.js"
import { oneByOne } from "./turns.js"
import type { Restore } from "./waiter.js"

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
  readonly metrics: TransactionMetrics.TransactionMetrics
  readonly failWithSqlError: FailWithSqlError
  /** The session of this client's transaction that the fiber is in. */
  readonly current: Effect.Effect<Session | undefined>
  readonly currentIn: (context: Context.Context<never>) => Session | undefined
  /** Runs an effect in a transaction of its own. How that goes is written into `course`. */
  readonly outermost: <A, E, R, E2>(
    effect: Effect.Effect<A, E, R>,
    raise: Raise<E2>,
    course: Course,
    options?: TransactionOptions
  ) => Effect.Effect<A, E | E2, R>
  /** Runs an effect as a part of the transaction the fiber is in, which cannot commit when it fails. */
  readonly nested: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly withTransaction: <R, E, A>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, R>
}

/** Fails with one of our errors, or with what it is to look like. */
export type Raise<E> = (error: DsqlError) => Effect.Effect<never, E>

/** Under this key our clients carry their {@link Transactions}. */
export const transactionsKey: unique symbol = Symbol.for("effect-dsql/Transactions")

export const transactionsOf = (client: SqlClient.SqlClient): Transactions | undefined =>
  (client as { readonly [transactionsKey]?: Transactions })[transactionsKey]

export const newCourse = (): Course => ({ late: false, doomed: false, busy: false, lost: false, failure: undefined })

/** A value that could not be sent or read has not failed on the server; those errors have a severity. */
export const abortsBlock = (error: DsqlError): boolean => !("server" in error) || error.server?.severity !== undefined

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
  use: Channels["use"],
  spanAttributes: ReadonlyArray<readonly [string, unknown]>,
  config: Resolved,
  deadlines: Deadlines,
  failWithSqlError: FailWithSqlError
): Transactions => {
  const metrics = TransactionMetrics.make()
  const span: Tracer.SpanOptions = {
    kind: "client",
    captureStackTrace: false,
    attributes: Object.fromEntries(spanAttributes)
  }
  const ours = new WeakMap<object, { readonly session: Session; readonly course: Course }>()
  const innermost = (context: Context.Context<never>): SqlConnection.Connection | undefined =>
    Option.getOrUndefined(Context.getOption(context, SqlClient.TransactionConnection))?.[0]
  // The tag of @effect/sql is one for all clients: what another client of ours has put there may stand inside of what we have.
  const openIn = (context: Context.Context<never>) => {
    let at = innermost(context)
    while (at !== undefined && !ours.has(at)) at = at instanceof Session ? at.enclosing : undefined
    return at === undefined ? undefined : ours.get(at)
  }
  const open = Effect.contextWith(openIn)
  const currentIn = (context: Context.Context<never>) => openIn(context)?.session

  /** Decides between COMMIT and ROLLBACK. */
  const end = (
    channel: Channel,
    course: Course,
    exit: Exit.Exit<unknown, unknown>,
    expired: () => DsqlError | undefined
  ): Effect.Effect<void, DsqlError> => {
    if (Exit.isFailure(exit)) return rollback(deadlines, channel, course)
    const { doomed, failure } = course
    const refusal =
      expired() ?? (doomed ? new DsqlTransactionError({ reason: "NestedFailure", cause: failure }) : undefined)
    return refusal === undefined
      ? commit(deadlines, channel, course)
      : Effect.zipRight(rollback(deadlines, channel, course), Effect.fail(refusal))
  }

  /** Runs an effect on a connection that has begun a transaction, and ends that. */
  const within = <A, E, R, E2>(
    effect: Effect.Effect<A, E, R>,
    channel: Channel,
    course: Course,
    maxAge: Duration.Duration,
    raise: Raise<E2>,
    now: () => number,
    restore: Restore
  ): Effect.Effect<A, E | E2, R> =>
    Effect.contextWithEffect((context: Context.Context<never>) => {
      const enclosing = innermost(context)
      const expiry = now() + Duration.toMillis(maxAge)
      const expired = () => (now() < expiry ? undefined : tooOld(maxAge))
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
      const session = new Session(turns, failWithSqlError, enclosing)
      ours.set(session, { session, course })
      // A statement that nobody waits for is a part of the transaction if it has begun by now, and else refused.
      const settle = Effect.suspend(() => {
        ended = true
        return turns.settled
      })
      const body = restore(Effect.zipLeft(effect, settle))
      return limited(body, maxAge, channel, deadlines, raise).pipe(
        // Out here, so that whoever joins a fiber that the body has forked does not inherit the transaction.
        Effect.provideService(SqlClient.TransactionConnection, [session, 0]),
        Effect.flatMap((exit) => {
          ended = true
          return Effect.matchEffect(end(channel, course, exit, expired), {
            onFailure: raise,
            onSuccess: () => exit
          })
        })
      )
    })

  /** What a span and the counters are told in the end; one that could not begin in time was no attempt. */
  const told = (name: string, { failure, late }: Course): Effect.Effect<void> => {
    const counted = late ? Effect.void : metrics.attempted(name, failure)
    return failure === undefined ? counted : Effect.zipRight(counted, failedWith(failure))
  }

  const outermost: Transactions["outermost"] = (effect, raise, course, options = {}) => {
    const { beginBy = Infinity, maxAge = config.retry.maxAge, name = "", readOnly = false } = options
    const failed = (error: DsqlError) => {
      course.failure = error
      return raise(error)
    }
    const onChannel = (channel: Channel, now: () => number) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.matchEffect(restore(begin(deadlines, channel, readOnly)), {
          onFailure: failed,
          onSuccess: () => within(effect, channel, course, maxAge, raise, now, restore)
        })
      )
    return Effect.clockWith((clock) => {
      const now = () => clock.unsafeCurrentTimeMillis()
      const isLate = () => now() >= beginBy
      const exit = isLate()
        ? Effect.fail(networkError(config, "AcquireTimeout"))
        : use((channel) => Effect.exit(onChannel(channel, now)), beginBy)
      return Effect.matchEffect(exit, {
        onFailure: (error) => {
          course.late = error._tag === "DsqlConnectionError" && error.reason === "AcquireTimeout" && isLate()
          return failed(error)
        },
        onSuccess: (exit) => exit
      })
    }).pipe(Effect.ensuring(Effect.suspend(() => told(name, course))), Effect.withSpan("sql.transaction", span))
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
    metrics,
    failWithSqlError,
    current: Effect.contextWith(currentIn),
    currentIn,
    outermost,
    nested,
    withTransaction: (effect) =>
      Effect.flatMap(open, (transaction) =>
        transaction === undefined ? outermost(effect, failWithSqlError, newCourse()) : nested(effect)
      )
  }
}
