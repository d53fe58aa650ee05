/** Every metric after a run of which all numbers are known. */
import { SqlClient } from "@effect/sql"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Redacted, Runtime, Scope, TestClock } from "effect"
import { DsqlAuth, DsqlConfig, DsqlErrors, DsqlLayer, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { readFileSync } from "node:fs"
import { file, withTable } from "../scripts/metric-docs.js"
import { all } from "../src/internal/metrics.js"
import { freezable } from "./support/clock.js"
import { scrape } from "./support/telemetry.js"

const hostOf = (letter: string) => `${letter.repeat(26)}.dsql.us-east-1.on.aws`

const credentials: DsqlAuth.Credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: Redacted.make("secret") }

describe("the metrics", () => {
  it("are in their document as they are declared; npm run docs:metrics writes them there", async () => {
    const document = readFileSync(file, "utf8")
    assert.strictEqual(document, await withTable(document))
    for (const { name } of all) assert.include(document, `| \`${name}\``)
  })

  it("have a name each, which ends in its unit or in total", () => {
    assert.strictEqual(new Set(all.map(({ name }) => name)).size, all.length)
    for (const { kind, name, unit } of all) {
      assert.match(name, /^dsql_[a-z_]+$/)
      assert.strictEqual(name.endsWith("_total"), kind === "counter", name)
      if (unit === "seconds") assert.match(name, /_seconds(?:_total)?$/)
    }
  })

  it.effect("of transactions tell attempts, conflicts, attempts per commit and the time that was lost", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const script = yield* DsqlTesting.Script
      const run = (name: string) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Effect.exit(DsqlTransaction.withRetry(sql`SELECT 1`, { name, times: 2 })))
          yield* TestClock.adjust("10 seconds")
          return yield* Fiber.join(fiber)
        })
      // 1 s for each attempt, and half of 5 ms, then of 10 ms, between them.
      yield* script.delayNext("COMMIT", "1 second", { times: 6 })
      yield* script.failNext("COMMIT", DsqlTesting.conflict(), { times: 2 })
      assert.isTrue(Exit.isSuccess(yield* run("metered")))
      assert.deepStrictEqual(yield* scrape("name", "metered"), {
        dsql_attempts_total: 3,
        "dsql_conflicts_total{reason=Data}": 2,
        "dsql_retries_total{error=DsqlConflictError}": 2,
        dsql_retry_seconds_total: 2.0075,
        dsql_attempts_per_commit: { count: 1, sum: 3 }
      })
      // The third of them is not run again, so nothing is lost behind it.
      yield* script.failNext("COMMIT", DsqlTesting.conflict("Schema"), { times: 3 })
      assert.isTrue(Exit.isFailure(yield* run("in vain")))
      assert.deepStrictEqual(yield* scrape("name", "in vain"), {
        dsql_attempts_total: 3,
        "dsql_conflicts_total{reason=Schema}": 3,
        "dsql_retries_total{error=DsqlConflictError}": 2,
        dsql_retry_seconds_total: 2.0075
      })
    }).pipe(Effect.provide(DsqlTesting.layerClient([DsqlTesting.answer(/^SELECT/, [])])), Effect.withRandomFixed([0.5]))
  )

  it.scoped("of tokens tell age and remaining life, and refreshes that failed", () =>
    Effect.gen(function* () {
      const host = hostOf("t")
      let signed = 0
      const sign: DsqlAuth.Sign = ({ host }) =>
        ++signed === 1
          ? Effect.succeed(Redacted.make("a token"))
          : Effect.fail(new DsqlErrors.DsqlTokenError({ reason: "SigningFailed", host }))
      const context = yield* Layer.build(
        DsqlAuth.layerTokenFrom(sign).pipe(
          Layer.provide(DsqlAuth.layerStatic(credentials)),
          Layer.provide(DsqlConfig.layer({ host, user: "orders" }))
        )
      )
      yield* Context.get(context, DsqlAuth.DsqlToken).get
      const signedOnce = { "dsql_token_signings_total{user=orders}": 1 }
      const life = (age: number, remaining: number) => ({
        "dsql_token_age_seconds{user=orders}": age,
        "dsql_token_remaining_seconds{user=orders}": remaining
      })
      assert.deepStrictEqual(yield* scrape("host", host), { ...signedOnce, ...life(0, 870) })
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* scrape("host", host), { ...signedOnce, ...life(600, 270) })
      yield* TestClock.adjust("10 minutes")
      assert.isAbove(signed, 5)
      assert.deepStrictEqual(yield* scrape("host", host), {
        ...signedOnce,
        ...life(1200, 0),
        "dsql_token_failures_total{user=orders,error=DsqlTokenError,reason=SigningFailed}": signed - 1
      })
    })
  )

  it.scoped("of credential providers tell how often each was called, how long it took, and what came of it", () =>
    Effect.gen(function* () {
      const runtime = yield* Effect.runtime()
      let outcome: Effect.Effect<{ accessKeyId: string; secretAccessKey: string }, Error> = Effect.never
      const provider = () => Runtime.runPromise(runtime)(outcome)
      const { get } = Context.get(yield* Layer.build(DsqlAuth.layerProvider(provider)), DsqlAuth.DsqlCredentials)
      const call = (result: typeof outcome) =>
        Effect.gen(function* () {
          outcome = result
          const fiber = yield* Effect.fork(Effect.exit(get))
          yield* TestClock.adjust("30 seconds")
          yield* Fiber.join(fiber)
        })
      const keys = Effect.succeed({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" })
      yield* call(Effect.delay(keys, "2 seconds"))
      yield* call(Effect.delay(keys, "4 seconds"))
      yield* call(Effect.delay(Effect.fail(new Error("no")), "3 seconds"))
      yield* call(Effect.never)
      assert.deepStrictEqual(yield* scrape("of", "providers"), {
        dsql_provider_call_seconds: { count: 2, sum: 6 },
        // The last of them is given up after 20 seconds.
        "dsql_provider_call_seconds{error=DsqlCredentialsError,reason=ProviderFailed}": { count: 2, sum: 23 }
      })
    }).pipe(Effect.tagMetrics("of", "providers"))
  )
})

/** How long something took is not known before. */
const countsOf = (metrics: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [
      name,
      name.startsWith("dsql_connect_seconds") ? (value as { readonly count: number }).count : value
    ])
  )

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("the metrics of connections", (it) => {
  it.effect(
    "tell which are opened, refused, in use, idle and closed, and who waits",
    () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        const clock = yield* freezable
        const scope = yield* Scope.make()
        // Of these the tokens have nothing to tell here.
        const scraped = Effect.map(scrape("host", local.endpoint), (metrics) =>
          Object.fromEntries(Object.entries(countsOf(metrics)).filter(([name]) => !name.startsWith("dsql_token")))
        )
        const becomes = (expected: Readonly<Record<string, number>>) =>
          scraped.pipe(
            Effect.delay("1 millis"),
            Effect.repeat({
              until: (metrics) => Object.entries(expected).every(([name, value]) => metrics[name] === value)
            }),
            Effect.timeout("10 seconds"),
            Effect.catchTag("TimeoutException", () => Effect.map(scraped, (m) => assert.deepStrictEqual(m, expected)))
          )
        yield* local.failNext("connect", DsqlTesting.connectionRefused("ClusterWaking"))
        const Db = DsqlLayer.layer(
          { ...local.options, user: "admin", pool: { max: 2, acquireTimeout: "1 second" } },
          { credentials: DsqlAuth.layerStatic(local.credentials) }
        )
        yield* clock.on(
          Effect.gen(function* () {
            yield* Effect.flip(Layer.buildWithScope(Db, scope))
            const sql = Context.get(yield* Layer.buildWithScope(Layer.fresh(Db), scope), SqlClient.SqlClient)
            const opened = {
              "dsql_connect_seconds{user=admin}": 1,
              "dsql_connect_seconds{user=admin,error=DsqlConnectionError,reason=ClusterWaking}": 1,
              "dsql_connections_opened_total{user=admin}": 1,
              "dsql_pool_connections{user=admin,state=idle}": 1,
              "dsql_pool_connections{user=admin,state=in_use}": 0,
              "dsql_pool_waiting{user=admin}": 0
            }
            assert.deepStrictEqual(yield* scraped, opened)

            const both = yield* Effect.forkDaemon(
              Effect.scoped(Effect.zipRight(sql.reserve, Effect.zipRight(sql.reserve, Effect.never)))
            )
            yield* becomes({ "dsql_pool_connections{user=admin,state=in_use}": 2 })
            const third = yield* Effect.forkDaemon(Effect.exit(sql`SELECT 1`))
            yield* becomes({ "dsql_pool_waiting{user=admin}": 1 })
            assert.isTrue(Exit.isFailure(yield* Fiber.join(third)))
            const held = {
              ...opened,
              "dsql_connect_seconds{user=admin}": 2,
              "dsql_connections_opened_total{user=admin}": 2,
              "dsql_pool_connections{user=admin,state=idle}": 0,
              "dsql_pool_connections{user=admin,state=in_use}": 2,
              "dsql_pool_timeouts_total{user=admin}": 1
            }
            assert.deepStrictEqual(yield* scraped, held)
            yield* Fiber.interrupt(both)
            const idle = {
              ...held,
              "dsql_pool_connections{user=admin,state=idle}": 2,
              "dsql_pool_connections{user=admin,state=in_use}": 0
            }
            assert.deepStrictEqual(yield* scraped, idle)

            const stuck = yield* Effect.forkDaemon(sql`SELECT pg_sleep(60)`)
            yield* becomes({ "dsql_pool_connections{user=admin,state=in_use}": 1 })
            yield* Fiber.interrupt(stuck)
            yield* sql.unsafe("BEGIN")
            const one = { ...idle, "dsql_pool_connections{user=admin,state=idle}": 0 }
            const broken = {
              ...one,
              "dsql_connections_closed_total{user=admin,reason=destroyed}": 1,
              "dsql_connections_closed_total{user=admin,reason=unfit}": 1
            }
            assert.deepStrictEqual(yield* scraped, broken)

            yield* sql`SELECT 1`
            yield* local.dropConnections
            // It is found out when somebody asks for it.
            yield* Effect.repeat(Effect.exit(sql`SELECT 1`), { until: Exit.isSuccess })
            yield* clock.freeze("56 minutes")
            yield* sql`SELECT 1`
            const aged = {
              ...broken,
              "dsql_connect_seconds{user=admin}": 5,
              "dsql_connections_opened_total{user=admin}": 5,
              "dsql_connections_closed_total{user=admin,reason=lost}": 1,
              "dsql_connections_closed_total{user=admin,reason=lifetime}": 1,
              "dsql_pool_connections{user=admin,state=idle}": 1
            }
            assert.deepStrictEqual(yield* scraped, aged)

            yield* Scope.close(scope, Exit.void)
            assert.deepStrictEqual(yield* scraped, {
              ...aged,
              "dsql_connections_closed_total{user=admin,reason=shutdown}": 1,
              "dsql_pool_connections{user=admin,state=idle}": 0
            })
          })
        )
      }).pipe(Effect.ensuring(Effect.flatMap(DsqlLocal, ({ clearFaults }) => clearFaults))),
    60_000
  )
})
