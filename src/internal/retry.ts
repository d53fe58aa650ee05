/** Running something again: when, how often, and what is told in the end. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import type { Resolved } from "../Config.js"
import { backoff } from "../core/backoff.js"
import type { DsqlError } from "../Errors.js"
import { DsqlConflictError, isTransient, refine, unwrap } from "../Errors.js"
import { isSqlError, likewise } from "./sqlError.js"
import { type Course, newCourse, type Raise, type Transactions, type TransactionOptions } from "./transaction.js"
import { event, failedWith } from "./spans.js"
import { repeated, type TransactionMetrics } from "./transactionMetrics.js"

export type Policy = Omit<Resolved["retry"], "maxAge">

/** How long to wait before the next attempt, in milliseconds; `undefined` when there must be none. */
const nextWait = ({ base, cap, deadline, times }: Policy, attempts: number, elapsed: number) =>
  Effect.map(Random.next, (random) => {
    const wait = backoff(attempts, Duration.toMillis(base), Duration.toMillis(cap), random)
    const ends = attempts > (times ?? Infinity) || elapsed + wait > Duration.toMillis(deadline)
    return ends ? undefined : wait
  })

export const schedule = (policy: Policy, mayRetry = isTransient): Schedule.Schedule<void, unknown> =>
  Schedule.makeWithState({ failures: 0, first: 0 }, (now, error: unknown, state) => {
    const failures = state.failures + 1
    const first = state.failures === 0 ? now : state.first
    return Effect.map(mayRetry(error) ? nextWait(policy, failures, now - first) : Effect.succeed(undefined), (wait) => [
      { failures, first },
      undefined,
      wait === undefined ? ScheduleDecision.done : ScheduleDecision.continueWith(ScheduleInterval.after(now + wait))
    ])
  })

const logAnnotations = { package: "effect-dsql", module: "Transaction" }

/** An attempt's failure. */
export interface Failed<E> {
  readonly error: E
  /** For which of our errors it may be run again. */
  readonly retryFor: DsqlError | undefined
  /** The deadline came before the attempt could begin. */
  readonly late?: boolean
}

/** A conflict tells how often it was tried, also from inside of a `SqlError`. */
const failAfter = <E>(error: E, attempts: number): Effect.Effect<never, E> => {
  const conflict = unwrap(error)
  if (attempts === 1 || conflict?._tag !== "DsqlConflictError") return Effect.fail(error)
  const { cause, reason, server } = conflict
  const counted = new DsqlConflictError({ attempts, cause, reason, server })
  return Effect.fail((isSqlError(error) ? likewise(error, counted) : counted) as E)
}

/**
 * Runs attempts until one succeeds, or fails in a way that no further one would mend. An attempt is told when the last one may
 * begin; if it could not, what the one before has failed with is the better answer.
 */
export const repeatedly = <A, E, R>(
  attempt: (lastStart: number) => Effect.Effect<A, Failed<E>, R>,
  policy: Policy,
  metrics: TransactionMetrics,
  name = ""
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const start = yield* Clock.currentTimeMillis
    let begun = start
    let last: E | undefined
    for (let attempts = 1; ; attempts++) {
      const outcome = yield* Effect.either(attempt(start + Duration.toMillis(policy.deadline)))
      if (outcome._tag === "Left" && outcome.left.late === true && attempts > 1) {
        return yield* failAfter(last!, attempts - 1)
      }
      if (attempts > 1) yield* Effect.annotateCurrentSpan("dsql.attempts", attempts)
      if (outcome._tag === "Right") {
        yield* metrics.committed(name, attempts)
        return outcome.right
      }
      const { error, retryFor } = outcome.left
      const elapsed = (yield* Clock.currentTimeMillis) - start
      const wait = retryFor === undefined ? undefined : yield* nextWait(policy, attempts, elapsed)
      if (retryFor === undefined || wait === undefined) return yield* failAfter(error, attempts)
      yield* event(retryFor._tag === "DsqlConnectionError" ? "dsql.reconnect" : "dsql.retry", {
        "dsql.attempt": attempts,
        "dsql.wait": wait / 1000,
        "error.type": retryFor._tag
      })
      yield* Effect.annotateLogs(
        Effect.logDebug(`Attempt ${attempts} failed and is repeated`, retryFor.message),
        logAnnotations
      )
      yield* Effect.sleep(wait)
      const now = yield* Clock.currentTimeMillis
      yield* repeated(name, retryFor, now - begun)
      begun = now
      last = error
    }
  }).pipe(
    Effect.tapError((error) => (unwrap(error) === undefined ? Effect.void : failedWith(unwrap(error)))),
    Effect.withSpan("DsqlTransaction.retry", {
      captureStackTrace: false,
      attributes: { "dsql.name": name, "dsql.attempts": 1 }
    })
  )

/** A question may be asked again even when its answer was lost. */
export const mayAskAgain = (u: unknown): boolean => {
  const error = unwrap(u)
  return (
    isTransient(error) ||
    error?._tag === "DsqlUnavailableError" ||
    (error?._tag === "DsqlConnectionError" && error.reason === "Closed")
  )
}

/** After a lost COMMIT: what `verify` says, or else the loss itself. */
const settle = <E, A, R>(
  error: E,
  verify: Effect.Effect<Option.Option<A>, unknown, R>,
  policy: Policy,
  lastStart: number
): Effect.Effect<A, Failed<E>, R> =>
  Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => {
      // How often is said of the transaction, not of the questions about one.
      const remaining = { ...policy, times: undefined, deadline: Duration.millis(lastStart - now) }
      return Effect.retry(verify, schedule(remaining, mayAskAgain))
    }),
    Effect.tapErrorCause((cause) =>
      Effect.annotateLogs(Effect.logWarning("Verifying the outcome of a COMMIT failed", cause), logAnnotations)
    ),
    Effect.mapError(() => ({ error, retryFor: undefined })),
    Effect.flatMap(
      Option.match({ onNone: () => Effect.fail({ error, retryFor: unwrap(error) }), onSome: Effect.succeed })
    )
  )

/** What may have taken effect though it failed. */
export const isInDoubt = (cause: DsqlError | undefined): boolean =>
  cause?._tag === "DsqlCommitOutcomeUnknownError" ||
  ((cause?._tag === "DsqlConnectionError" || cause?._tag === "DsqlUnavailableError") && cause.outcomeUnknown === true)

export interface StatementOptions<A, R> {
  readonly name: string
  readonly policy: Policy
  readonly while?: ((error: DsqlError) => boolean) | undefined
  readonly verify?: Effect.Effect<Option.Option<A>, unknown, R> | undefined
}

/** Runs a single statement, which commits by itself, until it has come to an end that is worth telling. */
export const statement = <A, E, R, B = never, R2 = never>(
  transactions: Transactions,
  effect: Effect.Effect<A, E, R>,
  { name, policy, verify, while: mayRetry = isTransient }: StatementOptions<B, R2>
): Effect.Effect<A | B, E | DsqlError, R | R2> => {
  const attempt = (lastStart: number) =>
    refine(effect).pipe(
      Effect.tapBoth({
        onFailure: (error) => transactions.metrics.attempted(name, unwrap(error)),
        onSuccess: () => transactions.metrics.attempted(name, undefined)
      }),
      Effect.catchAll((error): Effect.Effect<B, Failed<E | DsqlError>, R2> => {
        const cause = unwrap(error)
        return verify !== undefined && isInDoubt(cause)
          ? settle(error, verify, policy, lastStart)
          : Effect.fail({ error, retryFor: cause !== undefined && mayRetry(cause) ? cause : undefined })
      })
    )
  return repeatedly(attempt, policy, transactions.metrics, name)
}

export interface Options<A, R> extends TransactionOptions {
  readonly policy: Policy
  readonly while?: ((error: DsqlError) => boolean) | undefined
  readonly verify?: Effect.Effect<Option.Option<A>, unknown, R> | undefined
}

/** Runs transactions, given how one is run, until one of them has come to an end that is worth telling. */
export const transactions = <A, E, R, B = never, R2 = never>(
  run: (course: Course, beginBy: number) => Effect.Effect<A, E, R>,
  metrics: TransactionMetrics,
  { name, policy, verify, while: mayRetry = isTransient }: Omit<Options<B, R2>, "maxAge" | "readOnly" | "beginBy">
): Effect.Effect<A | B, E, R | R2> => {
  const retryForOf = (error: E, { failure }: Course): DsqlError | undefined =>
    // A body may have made something else of the failure that aborted its block.
    [failure, unwrap(error)].find(
      (cause) => cause !== undefined && cause._tag !== "DsqlCommitOutcomeUnknownError" && mayRetry(cause)
    )
  const attempt = (lastStart: number) =>
    Effect.suspend(() => {
      const course = newCourse()
      return run(course, lastStart).pipe(
        Effect.catchAll((error) =>
          verify !== undefined && course.failure?._tag === "DsqlCommitOutcomeUnknownError"
            ? settle(error, verify, policy, lastStart)
            : Effect.fail({ error, retryFor: course.late ? undefined : retryForOf(error, course), late: course.late })
        )
      )
    })
  return repeatedly(attempt, policy, metrics, name)
}

/** Runs an effect in transactions of its own until one of them has come to an end that is worth telling. */
export const transact = <A, E, R, E2, B = never, R2 = never>(
  { metrics, outermost }: Transactions,
  effect: Effect.Effect<A, E, R>,
  raise: Raise<E2>,
  { maxAge, readOnly, ...options }: Options<B, R2>
): Effect.Effect<A | B, E | E2, R | R2> =>
  transactions(
    (course, beginBy) => outermost(effect, raise, course, { maxAge, readOnly, beginBy, name: options.name }),
    metrics,
    options
  )

/** What `sql.withTransaction` is where the configuration lets every transaction run again. */
export const withTransaction = (transactions: Transactions): Transactions["withTransaction"] => {
  const { maxAge, ...policy } = transactions.retry
  return (effect) =>
    Effect.flatMap(transactions.current, (session) =>
      session === undefined
        ? transact(transactions, effect, transactions.failWithSqlError, { policy, maxAge })
        : transactions.nested(effect)
    )
}
