/** A client that renews tokens and reconnects for an hour and for a week, under a clock that is moved minute by minute. */
import { SqlClient } from "@effect/sql"
import { Context, Effect, Fiber, Layer, type Tracer } from "effect"
import { DsqlAuth, DsqlLayer } from "effect-dsql"
import { makeTime, settle } from "../../test/support/time.js"
import { ours } from "../contenders/all.js"
import { providerOf } from "../contenders/credentials.js"
import { connections, type Workload } from "../workload.js"

const minute = 60_000
const hour = 60 * minute
const week = 7 * 24 * hour

/** What goes before, while V8 still compiles what is used again and again: its code is as large as what a leak would be. */
const warmUp = 24 * hour

/** How often all connections are used; below the time after which idle ones are closed. */
const usedEvery = 8 * minute

/** The second collection takes what the finalizers of the first one have let go. */
const heap = Effect.gen(function* () {
  for (let n = 0; n < 2; n++) {
    global.gc?.()
    yield* settle
  }
  return process.memoryUsage().heapUsed / 2 ** 20
})

/** Counts the connections that are opened. */
const countOpened = Effect.map(Effect.tracer, (native) => {
  let opened = 0
  const tracer: Tracer.Tracer = {
    ...native,
    span: (name, ...rest) => {
      if (name === "DsqlConnection.open") opened++
      return native.span(name, ...rest)
    }
  }
  return { opened: () => opened, tracer }
})

/** Nobody else renews tokens by the clock, so that ours is compared with itself. */
export const renewals: Workload = {
  name: "renewals",
  title: "Token renewals and reconnects of an hour and of a week",
  metrics: [
    { name: "growth", unit: "of the heap after a week, to that after an hour", better: "less" },
    { name: "heap", unit: "MiB of heap after an hour", better: "less" },
    { name: "signed", unit: "tokens signed in a week", better: "less" },
    { name: "asked", unit: "calls of the provider in a week", better: "less" },
    { name: "opened", unit: "connections opened in a week", better: "less" }
  ],
  circumstances: [{}],
  takesPart: (contender) => contender === ours,
  runsIn: "process",
  measure: (_, { access }) =>
    Effect.gen(function* () {
      const { clock, moveTo, now } = makeTime()
      const { opened, tracer } = yield* countOpened
      let [begun, signed, asked] = [0, 0, 0]
      const sign: DsqlAuth.Sign = (request) =>
        Effect.suspend(() => {
          begun++
          return Effect.tap(DsqlAuth.sign(request), () => Effect.sync(() => signed++))
        })
      const provider = providerOf(access, () => asked++)
      const { ca, host, hostaddr, port } = access
      const db = DsqlLayer.layer(
        { host, hostaddr, port, tls: { ca }, pool: { max: connections } },
        { credentials: DsqlAuth.layerProvider(provider), token: DsqlAuth.layerTokenFrom(sign) }
      )
      const services = yield* Layer.build(db).pipe(Effect.withTracer(tracer), Effect.withClock(clock))
      const sql = Context.get(services, SqlClient.SqlClient)
      // All at once, so that each has a connection of its own and none is left that still dials when time is moved.
      const useAll = Effect.replicateEffect(sql.reserve, connections, { concurrency: "unbounded" }).pipe(
        Effect.flatMap(Effect.forEach((one) => one.execute("SELECT $1::int AS n", [1], undefined), { discard: true })),
        Effect.scoped,
        Effect.zipRight(sql.withTransaction(sql`SELECT ${2}::int AS n`)),
        Effect.withClock(clock),
        // A fiber that joins others keeps two entries of runtime flags each time, in Effect 3, and this one lives for all of it.
        Effect.fork,
        Effect.flatMap(Fiber.await),
        Effect.flatten
      )
      const until = (time: number) =>
        Effect.gen(function* () {
          while (now() < time) {
            yield* moveTo(now() + minute)
            yield* Effect.repeat(settle, { until: () => begun === signed })
            if (now() % usedEvery === 0) yield* useAll
          }
        })
      yield* until(warmUp)
      const before = { signed, asked, opened: opened() }
      yield* until(warmUp + hour)
      const afterHour = yield* heap
      yield* until(warmUp + week)
      return {
        heap: afterHour,
        growth: (yield* heap) / afterHour,
        signed: signed - before.signed,
        asked: asked - before.asked,
        opened: opened() - before.opened
      }
    }).pipe(Effect.scoped, Effect.runPromise)
}
