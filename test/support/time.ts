import { Clock, Duration, Effect } from "effect"

/** Lets promises of a provider settle, which the test clock knows nothing of. */
export const settle = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Time that stands still until it is moved. `TestClock` would do, but takes a minute of real time for a week of it. */
export const makeTime = () => {
  let now = 0
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>()
  const clock: Clock.Clock = Object.assign(Clock.make(), {
    unsafeCurrentTimeMillis: () => now,
    sleep: (duration: Duration.Duration) =>
      Effect.async<void>((resume) => {
        const sleeper = { until: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        sleepers.add(sleeper)
        return Effect.sync(() => sleepers.delete(sleeper))
      })
  })
  return {
    clock,
    now: () => now,
    nextTimer: () => Math.min(...Array.from(sleepers, ({ until }) => until)),
    moveTo: (time: number) =>
      Effect.suspend(() => {
        now = time
        for (const sleeper of [...sleepers].filter(({ until }) => until <= now)) {
          sleepers.delete(sleeper)
          sleeper.wake()
        }
        return settle
      })
  }
}
