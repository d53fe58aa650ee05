/** Time for a client and its cluster together, which is moved without waiting for it. */
import { Clock, Duration, Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { vi } from "vitest"

/** A clock whose timers follow `Date` wherever it is moved to. */
export const following: Clock.Clock = Object.assign(Clock.make(), {
  sleep: (duration: Duration.Duration) =>
    Effect.suspend(() => {
      const end = Date.now() + Duration.toMillis(duration)
      const soon = Effect.async<void>((resume) => {
        const timer = setTimeout(() => resume(Effect.void), Math.min(5, Math.max(0, end - Date.now())))
        return Effect.sync(() => clearTimeout(timer))
      })
      return Effect.asVoid(Effect.repeat(soon, { until: () => Date.now() >= end }))
    })
})

/** Moves the time of this process and of the cluster together, until the scope closes. No timer fires for it. */
export const movableTime = Effect.gen(function* () {
  const { setTokenSkew } = yield* DsqlLocal
  let moved = 0
  yield* Effect.acquireRelease(
    Effect.sync(() => vi.useFakeTimers({ toFake: ["Date"], shouldAdvanceTime: true })),
    () =>
      Effect.zipRight(
        Effect.sync(() => vi.useRealTimers()),
        setTokenSkew(0)
      )
  )
  return (by: Duration.DurationInput) =>
    Effect.suspend(() => {
      moved += Duration.toMillis(by)
      vi.setSystemTime(Date.now() + Duration.toMillis(by))
      return setTokenSkew(moved)
    })
})
