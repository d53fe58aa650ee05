import { assert, describe, it, layer } from "@effect/vitest"
import { SqlClient } from "@effect/sql"
import {
  Cause,
  Context,
  Duration,
  Effect,
  Exit,
  Layer,
  Logger,
  Random,
  Redacted,
  Scheduler,
  TestClock,
  type Tracer
} from "effect"
import { DsqlAuth, DsqlConfig, DsqlErrors, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { following, movableTime } from "./support/movableTime.js"
import { makeTime, settle } from "./support/time.js"

const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
const week = Duration.toMillis("7 days")

const until = (condition: () => boolean) => Effect.repeat(settle, { until: condition })

describe("a simulated week", () => {
  const cases: ReadonlyArray<
    readonly [token: Duration.DurationInput, credentials: Duration.DurationInput | undefined]
  > = [
    ["15 minutes", undefined],
    ["15 minutes", "1 hour"],
    ["1 hour", "15 minutes"],
    ["1 hour", "12 hours"],
    ["7 days", "6 hours"],
    ["7 days", undefined]
  ]
  describe.each(cases)("of tokens for %s and credentials for %s", (tokenDuration, credentialsLast) => {
    it.scoped("has a token at every moment, and no more signings and questions than are needed", () =>
      Effect.gen(function* () {
        const { clock, moveTo, nextTimer, now } = makeTime()
        const life = Duration.toMillis(tokenDuration)
        const lasts = credentialsLast === undefined ? undefined : Duration.toMillis(credentialsLast)
        let calls = 0
        const provider: DsqlAuth.Provider = async () => {
          calls += 1
          const expiration = lasts === undefined ? undefined : new Date(now() + lasts)
          return { accessKeyId: "id", secretAccessKey: "secret", expiration }
        }
        let signings = 0
        // The token is the moment at which the server would refuse it.
        const sign: DsqlAuth.Sign = ({ credentials }) =>
          Effect.sync(() => {
            signings += 1
            return Redacted.make(String(Math.min(now() + life, credentials.expiration ?? Infinity)))
          })
        const { get } = yield* DsqlAuth.layerTokenFrom(sign).pipe(
          Layer.provide(DsqlAuth.layerProvider(provider)),
          Layer.provide(DsqlConfig.layer({ host, tokenDuration })),
          Layer.build,
          Effect.map(Context.get(DsqlAuth.DsqlToken)),
          // The usual scheduler now and then waits for a timer, which `settle` would not wait for.
          Effect.withScheduler(Scheduler.make((task) => queueMicrotask(task))),
          Effect.withClock(clock)
        )
        yield* Effect.withClock(get, clock)
        yield* settle

        const look = Effect.sync(() => {
          const exit = Effect.runSyncExit(get)
          assert(Exit.isSuccess(exit), `no token at hand at ${now()}`)
          assert.isBelow(now(), Number(Redacted.value(exit.value)))
        })
        // From one timer of the layer to the next, with a look at any moment between.
        while (now() < week) {
          const due = Math.min(week, nextTimer())
          yield* moveTo(now() + Math.floor((due - now()) * (yield* Random.next)))
          yield* look
          yield* moveTo(due)
          yield* look
        }

        const usable = Math.min(life, lasts ?? Infinity) - Duration.toMillis("30 seconds")
        if (lasts === undefined) {
          assert.strictEqual(calls, signings)
          assert.isAtMost(signings, 1 + week / (usable * 0.75))
        } else {
          const window = Duration.toMillis("5 minutes")
          assert.isAtLeast(calls, Math.floor(week / lasts))
          assert.isAtMost(calls, 1 + week / (lasts - window))
          // Towards the end of credentials each token is shorter than the one before.
          assert.isAtMost(signings, 1 + week / (usable * 0.75) + 6 * calls)
        }
        assert.isAtLeast(signings, Math.floor(week / (usable * 0.85)))
      })
    )
  })
})

describe("a provider that is down", () => {
  it.scoped("for a whole renewal window harms nobody; for longer, fails typed until it is up again", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      const state = { calls: 0, failing: false }
      const provider: DsqlAuth.Provider = async () => {
        state.calls += 1
        if (state.failing) throw new Error("the provider is down")
        return { accessKeyId: "id", secretAccessKey: "secret" }
      }
      const { get } = yield* DsqlAuth.layerTokenFrom(() =>
        Effect.sync(() => Redacted.make(String(clock.unsafeCurrentTimeMillis())))
      ).pipe(
        Layer.provide(DsqlAuth.layerProvider(provider)),
        Layer.provide(DsqlConfig.layer({ host })),
        Layer.build,
        Effect.map(Context.get(DsqlAuth.DsqlToken))
      )
      const signedAt = Effect.map(get, (token) => Number(Redacted.value(token)))
      const pass = (duration: Duration.DurationInput) =>
        Effect.gen(function* () {
          const end = clock.unsafeCurrentTimeMillis() + Duration.toMillis(duration)
          while (clock.unsafeCurrentTimeMillis() < end) {
            yield* TestClock.adjust("5 seconds")
            yield* settle
          }
        })

      yield* get
      yield* pass("10 minutes")
      state.failing = true
      // Usable for 870 s; renewal is due after 652 to 740 s.
      yield* pass("265 seconds")
      assert.isAbove(state.calls, 2)
      assert.strictEqual(yield* signedAt, 0)
      state.failing = false
      yield* pass("35 seconds")
      const healed = yield* signedAt
      assert.isAbove(healed, 865_000)

      state.failing = true
      yield* pass("15 minutes")
      for (let i = 0; i < 3; i++) {
        const calls = state.calls
        const error = yield* Effect.flip(get)
        assert(error._tag === "DsqlCredentialsError")
        assert.include(error.message, "the provider is down")
        assert.strictEqual(state.calls, calls + 1)
      }
      state.failing = false
      assert.isAbove(yield* signedAt, healed)
    })
  )
})

const quiet = Logger.remove(Logger.defaultLogger)

/** A client of the cluster, with a count of its signings, and a provider that can be switched off. */
const makeClient = (options: Partial<DsqlConfig.Options>) =>
  Effect.gen(function* () {
    const cluster = yield* DsqlLocal
    const state = { calls: 0, signings: 0, failing: false }
    const { accessKeyId, secretAccessKey } = cluster.credentials
    const credentials = DsqlAuth.layerProvider(async () => {
      state.calls += 1
      if (state.failing) throw new Error("the provider is down")
      return { accessKeyId, secretAccessKey: Redacted.value(secretAccessKey) }
    })
    const token = DsqlAuth.layerTokenFrom((request) =>
      Effect.tap(DsqlAuth.sign(request), () => Effect.sync(() => (state.signings += 1)))
    )
    const db = DsqlLayer.layer({ ...cluster.options, ...options }, { credentials, token })
    const sql = Context.get(yield* Layer.build(db), SqlClient.SqlClient)
    return { state, query: sql`SELECT 1 AS one` }
  })

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("tokens on a cluster", (it) => {
  it.scoped("a freeze of two hours: the first who come sign once, and none logs in with the dead token", () =>
    Effect.gen(function* () {
      const { loginCount } = yield* DsqlLocal
      const moveTime = yield* movableTime
      const { query, state } = yield* makeClient({})
      yield* query
      yield* moveTime("2 hours")
      const before = yield* loginCount
      yield* Effect.all(
        Array.from({ length: 100 }, () => query),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(state.signings, 2)
      assert.isAbove(yield* loginCount, before)
    })
  )

  it.scoped(
    "a provider that is down: no query fails while the old token serves, then each fails at once, until it is up",
    () =>
      Effect.gen(function* () {
        const { loginCount } = yield* DsqlLocal
        const moveTime = yield* movableTime
        const client = makeClient({ tokenDuration: "1 hour", pool: { maxLifetime: "1 minute" } })
        const { query, state } = yield* Effect.withClock(client, following)
        /** Runs on a new connection, since the old ones are past their time. */
        const logsIn = Effect.gen(function* () {
          const before = yield* loginCount
          yield* query
          assert.isAbove(yield* loginCount, before)
        })
        yield* query

        state.failing = true
        yield* moveTime("52 minutes")
        yield* until(() => state.calls >= 3)
        yield* logsIn
        yield* moveTime("6 minutes")
        yield* logsIn
        assert.strictEqual(state.signings, 1)
        state.failing = false
        yield* moveTime("40 seconds")
        yield* until(() => state.signings === 2)
        yield* query
        yield* Effect.repeatN(Effect.zipRight(moveTime("2 minutes"), logsIn), 2)

        state.failing = true
        yield* moveTime("1 hour")
        for (let i = 0; i < 3; i++) {
          const error = yield* Effect.flip(query)
          assert(DsqlErrors.unwrap(error)?._tag === "DsqlCredentialsError", String(error.cause))
        }
        state.failing = false
        yield* logsIn
      }).pipe(Effect.provide(quiet))
  )

  it.scoped("a provider that never answers: the query says so, before its time to wait for a connection is over", () =>
    Effect.gen(function* () {
      const cluster = yield* DsqlLocal
      const moveTime = yield* movableTime
      let asked = false
      const credentials = DsqlAuth.layerProvider(() => {
        asked = true
        return new Promise(() => {})
      })
      const db = DsqlLayer.layer({ ...cluster.options, lazy: true }, { credentials })
      const sql = Context.get(yield* Effect.withClock(Layer.build(db), following), SqlClient.SqlClient)
      const waiting = yield* Effect.fork(Effect.flip(sql`SELECT 1`))
      yield* until(() => asked)
      yield* moveTime("21 seconds")
      const error = yield* waiting
      assert(DsqlErrors.unwrap(error)?._tag === "DsqlCredentialsError", String(error.cause))
      assert.include(String(error.cause), "did not answer within 20s")
    })
  )

  // The one run in real time. Tokens of 3 seconds are usable for 1 to 2 (the signing time is cut to whole seconds, and the
  // margin is a second), so that 30 seconds are ten lifetimes; a login has that second, which a busy machine does not
  // use up. Connections live for a second at most, so all through it there are logins at every age of a token.
  it.scoped(
    "ten lifetimes: no login is refused and no query fails",
    () =>
      Effect.gen(function* () {
        const { loginCount } = yield* DsqlLocal
        const failed: Array<string> = []
        const tracer = yield* Effect.tracer
        const recording: Tracer.Tracer = {
          ...tracer,
          span: (name, ...rest) => {
            const span = tracer.span(name, ...rest)
            const end = span.end.bind(span)
            return Object.assign(span, {
              end: (time: bigint, exit: Exit.Exit<unknown, unknown>) => {
                if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) failed.push(`${name}: ${exit.cause}`)
                end(time, exit)
              }
            })
          }
        }
        const before = yield* loginCount
        const { query, state } = yield* Effect.withTracer(
          makeClient({ tokenDuration: "3 seconds", pool: { max: 4, maxLifetime: "1 second" } }),
          recording
        )
        let queries = 0
        const worker = query.pipe(
          Effect.tap(() => Effect.sync(() => (queries += 1))),
          Effect.zipRight(Effect.sleep("10 millis")),
          Effect.forever
        )
        yield* Effect.all([worker, worker, worker, worker], { concurrency: "unbounded" }).pipe(
          Effect.timeoutOption("30 seconds"),
          Effect.withTracer(recording)
        )
        assert.deepStrictEqual(failed, [])
        assert.isAtLeast(state.signings, 10)
        assert.isAtLeast((yield* loginCount) - before, 30)
        assert.isAtLeast(queries, 100)
      }),
    60_000
  )
})
