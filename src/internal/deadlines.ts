/**
 * What is to be done if something is not over in time. Hardly any deadline ever comes, so they share one timer: setting one
 * and calling it off costs two steps on a Set, where a timer of its own costs a fiber.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

interface Deadline {
  readonly at: number
  readonly onTime: () => void
}

export interface Deadlines {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Calls back when so many milliseconds have passed; what it gives calls that off. */
  readonly after: (milliseconds: number, onTime: () => void) => () => void
}

/** No deadline comes any more when the scope has closed. */
export const make: Effect.Effect<Deadlines, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Effect.clock
  const now = () => clock.unsafeCurrentTimeMillis()
  // Those of one length come in the order in which they were set, so the first of each Set is the next of its length.
  const byLength = new Map<number, Set<Deadline>>()
  const changed = yield* Effect.makeLatch(false)
  let nextLook = Infinity

  const takeDue = (): ReadonlyArray<Deadline> =>
    [...byLength.values()].flatMap((deadlines) => {
      const due: Array<Deadline> = []
      for (const deadline of deadlines) {
        if (deadline.at > now()) break
        deadlines.delete(deadline)
        due.push(deadline)
      }
      return due
    })
  const earliest = (): number => {
    let at = Infinity
    for (const [length, [first]] of byLength) {
      if (first === undefined) byLength.delete(length)
      else at = Math.min(at, first.at)
    }
    return at
  }
  const look = Effect.suspend(() => {
    for (const { onTime } of takeDue()) onTime()
    changed.unsafeClose()
    nextLook = earliest()
    return nextLook === Infinity
      ? changed.await
      : Effect.race(Effect.sleep(Math.max(1, nextLook - now())), changed.await)
  })
  yield* Effect.forkScoped(Effect.interruptible(Effect.forever(look)))

  return {
    now,
    after: (milliseconds, onTime) => {
      const deadline = { at: now() + milliseconds, onTime }
      let deadlines = byLength.get(milliseconds)
      if (deadlines === undefined) byLength.set(milliseconds, (deadlines = new Set()))
      deadlines.add(deadline)
      if (deadline.at < nextLook) {
        nextLook = deadline.at
        changed.unsafeOpen()
      }
      return () => {
        const deadlines = byLength.get(milliseconds)
        deadlines?.delete(deadline)
        if (deadlines?.size === 0) byLength.delete(milliseconds)
      }
    }
  }
})
