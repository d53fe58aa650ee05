/** Transactions whose body is a function that gives a promise, run and repeated as those of Effect programs. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { AsyncResource } from "node:async_hooks"
import type { Resolved, RetryOptions } from "../Config.js"
import type { DsqlError } from "../Errors.js"
import * as checks from "../internal/checks.js"
import * as retry from "../internal/retry.js"
import type { Session } from "../internal/session.js"
import { statementSettings } from "../internal/statementSettings.js"
import type { Course, Transactions } from "../internal/transaction.js"
import * as TransactionMetrics from "../internal/transactionMetrics.js"

/**
 * How a transaction is run, and when it is run again. What is left out is as the pool's `retry` option says.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionOptions<A = never> extends RetryOptions {
  /** `true` begins with BEGIN READ ONLY. Default `false`. */
  readonly readOnly?: boolean | undefined
  /** Names it in spans and metrics. Default: no name. */
  readonly name?: string | undefined
  /** Which errors are worth another attempt. Default: `DsqlErrors.isTransient`. */
  readonly while?: ((error: DsqlError) => boolean) | undefined
  /**
   * Asked after a COMMIT whose answer was lost: `{ result }` says that it took effect and what the transaction gives,
   * `undefined` that it did not, and then it is run again. Look for something that this very transaction wrote, under a
   * unique constraint: a lost COMMIT may still arrive after you looked. When it rejects, and without it, the
   * `DsqlCommitOutcomeUnknownError` is raised.
   */
  readonly verify?: (() => Promise<{ readonly result: A } | undefined>) | undefined
  /**
   * Gives the transaction up: it is rolled back, and the promise rejects with the signal's reason. A COMMIT that is under way
   * is seen to its end first and may take effect; the promise rejects all the same. Default: none.
   */
  readonly signal?: AbortSignal | undefined
}

/** A body in an effect; errors that it throws are those of the effect. `fn` finds the caller's `AsyncLocalStorage`. */
export const bodyOf = <C, A>(fn: (client: C) => Promise<A>): ((client: C) => Effect.Effect<A, unknown>) => {
  const bound = AsyncResource.bind(fn)
  return (client) => Effect.tryPromise({ try: async () => bound(client), catch: (error) => error })
}

/** How a transaction is run, checked, as an effect takes it. */
const decided = <B>({ verify, ...options }: TransactionOptions<B>, otherwise: Resolved["retry"]) =>
  Effect.map(checks.retry(options, otherwise), ({ maxAge, ...policy }) => ({
    name: options.name ?? "",
    readOnly: options.readOnly ?? false,
    while: options.while,
    maxAge,
    policy,
    verify:
      verify === undefined
        ? undefined
        : Effect.map(Effect.tryPromise({ try: async () => verify(), catch: (error) => error }), (found) =>
            found === undefined ? Option.none() : Option.some(found.result)
          )
  }))

/** Runs a body, given the session of its transaction, until it has come to an end that is worth telling. */
export const transact = <A, B>(
  transactions: Transactions,
  body: (session: Session) => Effect.Effect<A, unknown>,
  options: TransactionOptions<B>
): Effect.Effect<A | B, unknown> =>
  Effect.flatMap(decided(options, transactions.retry), (decided) => {
    const inside = Effect.flatMap(transactions.current, (session) => body(session!))
    return retry.transact(transactions, inside, Effect.fail<DsqlError>, decided)
  })

/** How one attempt is run by a driver that begins and commits by itself. */
export type Attempt<A> = (
  course: Course,
  options: { readonly beginBy: number; readonly maxAge: Duration.Duration; readonly readOnly: boolean }
) => Effect.Effect<A, unknown>

/** The same, where the driver begins and commits. */
export const transactBy = <A, B>(
  attempt: Attempt<A>,
  config: Resolved,
  options: TransactionOptions<B>
): Effect.Effect<A | B, unknown> =>
  Effect.flatMap(decided(options, config.retry), ({ maxAge, readOnly, ...decided }) => {
    const metrics = TransactionMetrics.make()
    return retry.transactions(
      (course, beginBy) =>
        attempt(course, { beginBy, maxAge, readOnly }).pipe(
          Effect.ensuring(
            Effect.suspend(() => (course.late ? Effect.void : metrics.attempted(decided.name, course.failure)))
          ),
          Effect.withSpan("sql.transaction", {
            kind: "client",
            captureStackTrace: false,
            attributes: Object.fromEntries(statementSettings(config).spanAttributes)
          })
        ),
      metrics,
      decided
    )
  })
