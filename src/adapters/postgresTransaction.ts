/** One transaction of postgres.js, which begins and ends it by itself; what its errors mean there. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Resolved } from "../Config.js"
import { type DsqlError, DsqlTransactionError, isDsqlError } from "../Errors.js"
import * as Deadlines from "../internal/deadlines.js"
import { networkError } from "../internal/driverError.js"
import { abortsBlock } from "../internal/transaction.js"
import { tooOld } from "../internal/transactionAge.js"
import { answerTimeout, ofSentCommit } from "../internal/transactionCommands.js"
import { postgresError, watched } from "./postgresErrors.js"
import type { Attempt } from "./transaction.js"

/** The part of a `sql` that begins transactions. */
export interface Beginner<Tx> {
  readonly begin: (options: string, body: (tx: Tx) => Promise<unknown>) => Promise<unknown>
}

/** Runs one; `body` is a function of the transaction's own `sql`. */
export const attemptOf =
  <Tx extends object, A>(
    { begin }: Beginner<Tx>,
    config: Resolved,
    body: (tx: Tx) => Effect.Effect<A, unknown>
  ): Attempt<A> =>
  (course, { beginBy, maxAge, readOnly }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const deadlines = yield* Deadlines.make
        const { now } = deadlines
        const failed = (error: unknown): unknown => {
          if (isDsqlError(error) && abortsBlock(error)) course.failure ??= error
          return error
        }
        const givenUp = yield* Deferred.make<never, unknown>()
        let isGivenUp = false
        const giveUp = (error: unknown) => {
          isGivenUp = true
          Deferred.unsafeDone(givenUp, Effect.fail(error))
        }
        const isLost = () => course.failure?._tag === "DsqlConnectionError"
        let stage: "begin" | "body" | "commit" | "over" = "begin"
        let raised: { readonly error: unknown } | undefined

        const inside = async (tx: Tx): Promise<A> => {
          callOff()
          if (isGivenUp) throw new DsqlTransactionError({ reason: "Finished" })
          callOff = deadlines.after(Duration.toMillis(maxAge), () => giveUp(tooOld(maxAge)))
          stage = "body"
          const own = watched(tx, {
            change: (error, sent) => failed(postgresError(config, error, sent)),
            refusal: () => {
              if (stage !== "body") return new DsqlTransactionError({ reason: "Finished" })
              return isLost() ? course.failure : undefined
            },
            members: {}
          })
          const outcome = await Effect.runPromise(Effect.either(Effect.raceFirst(Deferred.await(givenUp), body(own))))
          callOff()
          if (outcome._tag === "Left") raised = { error: outcome.left }
          stage = outcome._tag === "Left" || isLost() ? "over" : "commit"
          // Whatever comes next waits for the server, which may be gone without a word.
          callOff = deadlines.after(Duration.toMillis(answerTimeout), () => settle(networkError(config, "Closed")))
          // The driver would send ROLLBACK or COMMIT to a socket that is gone, and end the process by that. When it has seen the
          // socket close it ends the transaction by itself.
          if (isLost()) return new Promise<never>(() => {})
          if (outcome._tag === "Left") throw outcome.left
          return outcome.right
        }

        /** Nothing that the driver raises after the body's error is told in its place. */
        const told = (error: unknown): unknown => {
          if (raised !== undefined) return raised.error
          // The driver remembers a statement's error that the body did not let through.
          if (stage === "commit" && error === course.failure) {
            return new DsqlTransactionError({ reason: "Aborted", cause: course.failure })
          }
          const ours = postgresError(config, error, stage !== "begin")
          return failed(stage === "commit" && isDsqlError(ours) ? ofSentCommit(ours) : ours)
        }

        let callOff = (): void => {}
        let settle = (_error: unknown): void => {}
        return yield* Effect.async<A, unknown>((resume) => {
          settle = (error) => resume(Effect.fail(told(error)))
          callOff = deadlines.after(Math.min(Duration.toMillis(config.pool.acquireTimeout), beginBy - now()), () => {
            course.late = now() >= beginBy
            const error: DsqlError = networkError(config, "AcquireTimeout")
            giveUp(error)
            resume(Effect.fail(failed(error)))
          })
          const running = begin(readOnly ? "read only" : "", inside).then(
            (value) => resume(Effect.succeed(value as A)),
            (error: unknown) => settle(error)
          )
          return Effect.suspend(() => {
            giveUp(new DsqlTransactionError({ reason: "Finished" }))
            return stage === "begin"
              ? Effect.void
              : Effect.ignore(Effect.timeout(Effect.interruptible(Effect.promise(() => running)), answerTimeout))
          })
        }).pipe(Effect.ensuring(Effect.sync(() => callOff())))
      })
    )
