/**
 * A fiber that waits in line. Cheaper than a `Deferred`, since there is one who waits and it is asked for once; who serves it
 * calls `serve`, at any time, and once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** What `Effect.uninterruptibleMask` gives. */
export type Restore = <B, E2, R>(effect: Effect.Effect<B, E2, R>) => Effect.Effect<B, E2, R>

export class Waiter<A, E = never> {
  private outcome: Exit.Exit<A, E> | undefined
  private resume: ((outcome: Exit.Exit<A, E>) => void) | undefined

  serve(outcome: Exit.Exit<A, E>): void {
    this.outcome = outcome
    this.resume?.(outcome)
  }

  /**
   * To be run where nothing can be interrupted. An interruption leaves the line by `leave`, which is told what was served in
   * that very moment.
   */
  wait(restore: Restore, leave: (served: Exit.Exit<A, E> | undefined) => void): Effect.Effect<A, E> {
    const served = Effect.async<A, E>((resume) => {
      if (this.outcome === undefined) this.resume = resume
      else resume(this.outcome)
    })
    return Effect.onInterrupt(restore(served), () => Effect.sync(() => leave(this.outcome)))
  }
}
