/** How one of a pool is lent: for the time of an effect, of a scope, or of a request that calls back. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type Restore, Waiter } from "./waiter.js"

export interface Request<A, B, E> {
  readonly start: (item: A, end: (outcome: Effect.Effect<B, E>) => void) => void
  readonly stop: (item: A) => void
}

export interface Lending<A, E> {
  /** Lends one for the time of an effect. Whoever waits does so until `by` at the latest, by the clock. */
  readonly use: <B, E2, R>(f: (item: A) => Effect.Effect<B, E2, R>, by?: number) => Effect.Effect<B, E | E2, R>
  /** Lends one until the scope closes. */
  readonly reserve: Effect.Effect<A, E, Scope.Scope>
  /**
   * Lends one for a request that calls back with its outcome: the same as `use` for a fraction of its steps, and whoever
   * waits is served in the very step in which the one before is done. An interruption stops it by `stop`, behind which the
   * item must not be usable any more.
   */
  readonly request: <B, E2>(request: Request<A, B, E2>) => Effect.Effect<B, E | E2>
}

export interface Lent<A> {
  readonly item: A
}

/** Somebody in line. */
export interface Caller<Slot, E> {
  readonly serve: (outcome: Exit.Exit<Slot, E>) => void
  /** Calls off what is to come if it takes too long. */
  callOff: () => void
}

/** What lending needs of a pool. */
interface Store<E, Slot> {
  /** Why nothing is lent any more, if so. */
  readonly refusal: () => E | undefined
  readonly takeIdle: () => Slot | undefined
  readonly lineUp: (served: Caller<Slot, E>["serve"], by?: number) => Caller<Slot, E>
  readonly leaveLine: (caller: Caller<Slot, E>) => void
  readonly giveBack: (slot: Slot) => void
}

export const lendFrom = <A, E, Slot extends Lent<A>>({
  giveBack,
  leaveLine,
  lineUp,
  refusal,
  takeIdle
}: Store<E, Slot>): Lending<A, E> => {
  /** To be run where nothing can be interrupted; the wait can be. */
  const checkout = <B, E2, R>(
    restore: Restore,
    lend: (slot: Slot) => Effect.Effect<B, E2, R>,
    by?: number
  ): Effect.Effect<B, E | E2, R> => {
    const refused = refusal()
    if (refused !== undefined) return Effect.fail(refused)
    const slot = takeIdle()
    if (slot !== undefined) return lend(slot)
    const waiter = new Waiter<Slot, E>()
    const caller = lineUp((outcome) => waiter.serve(outcome), by)
    const served = waiter.wait(restore, (served) => {
      if (served === undefined) leaveLine(caller)
      else if (Exit.isSuccess(served)) giveBack(served.value)
    })
    return Effect.flatMap(served, lend)
  }

  return {
    use: (f, by) =>
      Effect.uninterruptibleMask((restore) =>
        checkout(
          restore,
          (slot) =>
            Effect.flatMap(Effect.exit(restore(Effect.suspend(() => f(slot.item)))), (exit) => {
              giveBack(slot)
              return exit
            }),
          by
        )
      ),
    reserve: Effect.uninterruptibleMask((restore) =>
      checkout(restore, (slot) =>
        Effect.as(
          Effect.addFinalizer(() => Effect.sync(() => giveBack(slot))),
          slot.item
        )
      )
    ),
    request: <B, E2>({ start, stop }: Request<A, B, E2>) =>
      Effect.async<B, E | E2>((resume) => {
        const refused = refusal()
        if (refused !== undefined) return resume(Effect.fail(refused))
        let lent: Slot | undefined
        let isOver = false
        const begin = (slot: Slot) => {
          lent = slot
          const end = (outcome: Effect.Effect<B, E2>) => {
            if (isOver) return
            isOver = true
            giveBack(slot)
            resume(outcome)
          }
          try {
            start(slot.item, end)
          } catch (defect) {
            stop(slot.item)
            end(Effect.die(defect))
          }
        }
        const idle = takeIdle()
        if (idle !== undefined) begin(idle)
        const caller =
          idle === undefined
            ? lineUp((outcome) =>
                Exit.isSuccess(outcome) ? begin(outcome.value) : resume(Exit.failCause(outcome.cause))
              )
            : undefined
        return Effect.sync(() => {
          if (caller !== undefined && lent === undefined) return leaveLine(caller)
          if (lent === undefined || isOver) return
          isOver = true
          stop(lent.item)
          giveBack(lent)
        })
      })
  }
}
