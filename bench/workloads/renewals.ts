/** Tokens that are renewed for an hour and for a week, under a clock that is moved from one timer to the next. */
import { Context, Effect, Layer, Scheduler } from "effect"
import { DsqlAuth, DsqlConfig } from "effect-dsql"
import { makeTime, settle } from "../../test/support/time.js"
import { ours } from "../contenders/all.js"
import type { Workload } from "../workload.js"

const hour = 3_600_000
const week = 7 * 24 * hour

const heap = Effect.sync(() => {
  global.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
})

/** Nobody else renews tokens by the clock, so that ours is compared with itself. */
export const renewals: Workload = {
  name: "renewals",
  title: "Token renewals of an hour and of a week",
  metrics: [
    { name: "growth", unit: "of the heap after a week, to that after an hour", better: "less" },
    { name: "heap", unit: "MiB of heap after an hour", better: "less" },
    { name: "signed", unit: "tokens signed in an hour", better: "less" },
    { name: "asked", unit: "calls of the provider in an hour", better: "less" }
  ],
  circumstances: [{}],
  takesPart: (contender) => contender === ours,
  runsIn: "process",
  measure: (_, { access: { accessKeyId, host, secretAccessKey } }) =>
    Effect.gen(function* () {
      const { clock, moveTo, nextTimer, now } = makeTime()
      let [signed, asked] = [0, 0]
      const sign: DsqlAuth.Sign = (request) =>
        Effect.zipRight(
          Effect.sync(() => signed++),
          DsqlAuth.sign(request)
        )
      const provider: DsqlAuth.Provider = async () => {
        asked++
        return { accessKeyId, secretAccessKey }
      }
      const { get } = yield* DsqlAuth.layerTokenFrom(sign).pipe(
        Layer.provide(DsqlAuth.layerProvider(provider)),
        Layer.provide(DsqlConfig.layer({ host })),
        Layer.build,
        Effect.map(Context.get(DsqlAuth.DsqlToken)),
        Effect.withScheduler(Scheduler.make((task) => queueMicrotask(task))),
        Effect.withClock(clock)
      )
      // Signing is quick, but not done at once.
      const isWaiting = () => nextTimer() > now() && nextTimer() < Infinity
      const until = (time: number) =>
        Effect.gen(function* () {
          while (now() < time) {
            yield* moveTo(Math.min(time, nextTimer()))
            yield* Effect.repeat(settle, { until: isWaiting })
            yield* Effect.withClock(get, clock)
          }
        })
      yield* Effect.withClock(get, clock)
      yield* Effect.repeat(settle, { until: isWaiting })
      yield* until(hour)
      const afterHour = { heap: yield* heap, signed, asked }
      yield* until(week)
      return { ...afterHour, growth: (yield* heap) / afterHour.heap }
    }).pipe(Effect.scoped, Effect.runPromise)
}
