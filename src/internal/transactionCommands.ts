/** BEGIN, COMMIT and ROLLBACK, and what their answers mean. */
import * as Effect from "effect/Effect"
import type { DsqlError } from "../Errors.js"
import { DsqlCommitOutcomeUnknownError, DsqlTransactionError } from "../Errors.js"
import type { Channel } from "./channel.js"
import type { Deadlines } from "./deadlines.js"
import { ofCommit } from "./session.js"
import type { Course } from "./transaction.js"

/** How long a command may stay unanswered before its connection is given up, in milliseconds. */
export const answerTimeout = 10_000

/** The commands have little to do, so a connection that leaves one without an answer is none. */
const bounded = (deadlines: Deadlines, channel: Channel, text: string): Effect.Effect<string, DsqlError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => deadlines.after(answerTimeout, channel.destroy)),
    () => Effect.map(channel.run({ text }), (results) => results[0]?.command ?? ""),
    (callOff) => Effect.sync(callOff)
  )

export const begin = (deadlines: Deadlines, channel: Channel, readOnly: boolean): Effect.Effect<string, DsqlError> =>
  bounded(deadlines, channel, readOnly ? "BEGIN READ ONLY" : "BEGIN")

/** What it means that a COMMIT which was sent has failed. */
export const ofSentCommit = (error: DsqlError): DsqlError =>
  error._tag === "DsqlConnectionError" || error._tag === "DsqlUnavailableError"
    ? new DsqlCommitOutcomeUnknownError({ cause: ofCommit(error) })
    : error

export const commit = (deadlines: Deadlines, channel: Channel, course: Course): Effect.Effect<void, DsqlError> =>
  Effect.suspend(() => {
    // On a connection that is known to be gone nothing is sent, and nothing unknown.
    const sent = channel.isOpen()
    return Effect.matchEffect(bounded(deadlines, channel, "COMMIT"), {
      onFailure: (error) => {
        const failure = sent ? ofSentCommit(error) : error
        course.failure ??= failure
        return Effect.fail(failure)
      },
      onSuccess: (command) =>
        command === "ROLLBACK"
          ? Effect.fail(new DsqlTransactionError({ reason: "Aborted", cause: course.failure }))
          : Effect.void
    })
  })

/**
 * What cannot be rolled back is ended by closing its connection; the error that led here stays the one reported. So is what a
 * fiber that nobody waits for still runs a statement in: ROLLBACK would have to wait for that.
 */
export const rollback = (deadlines: Deadlines, channel: Channel, course: Course): Effect.Effect<void> =>
  Effect.suspend(() =>
    course.lost || course.busy
      ? Effect.sync(channel.destroy)
      : bounded(deadlines, channel, "ROLLBACK").pipe(
          Effect.tapError((error) =>
            Effect.logWarning("ROLLBACK failed; closing the connection, which ends the transaction", error.message)
          ),
          Effect.catchAll(() => Effect.sync(channel.destroy)),
          Effect.annotateLogs({ package: "effect-dsql", module: "Transaction" }),
          Effect.asVoid
        )
  )
