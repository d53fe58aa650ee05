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
        const giveUp = (error: unknown) => void Deferred.unsafeDone(givenUp, Effect.fail(error))
        let stage: "begin" | "body" | "commit" | "over" = "begin"
        let raised: { readonly error: unknown } | undefined

        const inside = async (tx: Tx): Promise<A> => {
          callOff()
          callOff = deadlines.after(Duration.toMillis(maxAge), () => giveUp(tooOld(maxAge)))
          stage = "body"
          const own = watched(tx, {
            change: (error, sent) => failed(postgresError(config, error, sent)),
            refusal: () => (stage === "body" ? undefined : new DsqlTransactionError({ reason: "Finished" })),
            members: {}
          })
          const outcome = await Effect.runPromise(Effect.either(Effect.raceFirst(Deferred.await(givenUp), body(own))))
          callOff()
          if (outcome._tag === "Left") {
            raised = { error: outcome.left }
            stage = "over"
            throw outcome.left
          }
          stage = "commit"
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
        return yield* Effect.async<A, unknown>((resume) => {
          callOff = deadlines.after(Math.min(Duration.toMillis(config.pool.acquireTimeout), beginBy - now()), () => {
            course.late = now() >= beginBy
            const error: DsqlError = networkError(config, "AcquireTimeout")
            giveUp(error)
            resume(Effect.fail(failed(error)))
          })
          const running = begin(readOnly ? "read only" : "", inside).then(
            (value) => resume(Effect.succeed(value as A)),
            (error: unknown) => resume(Effect.fail(told(error)))
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
