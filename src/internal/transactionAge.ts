/** A transaction does not grow older than the service lets it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { DsqlLimitError } from "../Errors.js"
import type { Channel } from "./channel.js"
import type { Deadlines } from "./deadlines.js"
import type { Raise } from "./transaction.js"
import { answerTimeout } from "./transactionCommands.js"

export const tooOld = (maxAge: Duration.Duration): DsqlLimitError => {
  const message = `transaction given up at the age of ${Duration.format(maxAge)}; the service's limit is 300s`
  return new DsqlLimitError({ reason: "Age", server: { sqlState: "54000", message } })
}

/**
 * Runs a body, which is interrupted when it has had its time. Should it be one that cannot be, the statement that it waits for
 * is cut off. What it forks belongs to the caller's fiber, as it would if the limit did not need a fiber of its own. To be
 * run where nothing can be interrupted; the body may be all the same.
 */
export const limited = <A, E, R, E2>(
  body: Effect.Effect<A, E, R>,
  maxAge: Duration.Duration,
  channel: Channel,
  deadlines: Deadlines,
  raise: Raise<E2>
): Effect.Effect<Exit.Exit<A, E | E2>, never, R> =>
  Effect.transplant((graft) =>
    Effect.flatMap(Effect.fork(Effect.exit(graft(body))), (fiber) => {
      let isOver = false
      let callOff = deadlines.after(Duration.toMillis(maxAge), () => {
        isOver = true
        callOff = deadlines.after(answerTimeout, channel.destroy)
        fiber.unsafeInterruptAsFork(fiber.id())
      })
      return Effect.flatMap(Fiber.join(fiber), (exit) => {
        callOff()
        return isOver ? Effect.exit<A, E | E2, never>(raise(tooOld(maxAge))) : Effect.succeed(exit)
      })
    })
  )
