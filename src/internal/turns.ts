/** Statements on one connection take turns; the driver would queue them too, but could not take one back. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { DsqlError } from "../Errors.js"
import type { Channel } from "./channel.js"
import type { Source } from "./session.js"
import { type Restore, Waiter } from "./waiter.js"

/** A connection whose statements take turns. */
export interface Turns extends Source {
  /** When the statement has ended whose turn it is. */
  readonly settled: Effect.Effect<void>
}

/** What happens around each statement. */
export interface Hooks {
  /** Looked at when a statement's turn has come, since the session may have ended while it waited. */
  readonly refusal: () => DsqlError | undefined
  /** The statement is sent. */
  readonly begun?: () => void
  /** How it has ended; what becomes of an error. */
  readonly ended?: <A>(exit: Exit.Exit<A, DsqlError>) => Exit.Exit<A, DsqlError>
}

export const oneByOne = (channel: Channel, autocommit: boolean, { begun, ended, refusal }: Hooks): Turns => {
  const waiting: Array<Waiter<void>> = []
  let busy = false

  const pass = () => {
    const next = waiting.shift()
    busy = next !== undefined
    next?.serve(Exit.void)
  }

  const leave = (waiter: Waiter<void>, served: Exit.Exit<void> | undefined) => {
    if (served !== undefined) pass()
    else waiting.splice(waiting.indexOf(waiter), 1)
  }

  /** To be run where nothing can be interrupted; the wait can be. */
  const inTurn = <A, E>(restore: Restore, run: () => Effect.Effect<A, E>): Effect.Effect<A, E> => {
    if (!busy) {
      busy = true
      return run()
    }
    const waiter = new Waiter<void>()
    waiting.push(waiter)
    return Effect.flatMap(
      waiter.wait(restore, (served) => leave(waiter, served)),
      run
    )
  }

  const use: Turns["use"] = (f) =>
    Effect.uninterruptibleMask((restore) =>
      inTurn(restore, () => {
        const error = refusal()
        if (error !== undefined) {
          pass()
          return Effect.fail(error)
        }
        begun?.()
        return Effect.flatMap(Effect.exit(restore(f(channel))), (exit) => {
          pass()
          return ended === undefined ? exit : ended(exit)
        })
      })
    )

  return {
    autocommit,
    streams: channel,
    use,
    run: (statement) => use((channel) => channel.run(statement)),
    settled: Effect.uninterruptibleMask((restore) => (busy ? inTurn(restore, () => Effect.sync(pass)) : Effect.void))
  }
}
