import { Clock, Duration, Effect } from "effect"

/** A clock that can jump ahead without any timer going off, as it does for a process that was frozen. */
export const freezable = Effect.map(Effect.clock, (clock) => {
  let frozen = 0
  const millis = () => clock.unsafeCurrentTimeMillis() + frozen
  const nanos = () => clock.unsafeCurrentTimeNanos() + BigInt(frozen) * 1_000_000n
  const jumping: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) => clock.sleep(duration)
  }
  return {
    /** Whatever an effect does and builds is on this clock. */
    on: Effect.withClock(jumping),
    freeze: (duration: Duration.DurationInput) => Effect.sync(() => void (frozen += Duration.toMillis(duration)))
  }
})
