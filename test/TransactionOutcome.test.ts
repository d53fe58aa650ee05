/** A COMMIT whose answer is lost, decided by an idempotency key. */
import { SqlClient } from "@effect/sql"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger, LogLevel, Option, TestClock, TestContext } from "effect"
import { DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { clientThrough, makeProxy } from "./support/proxy.js"
import { quick, told } from "./support/transactions.js"

/** The row that the key leads to, seen by a client of its own. */
const committed = (key: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT cents FROM payment WHERE key = ${key}`)

const createTable = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql`CREATE TABLE IF NOT EXISTS payment (key text PRIMARY KEY, id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1), cents int)`
)

/** A client with connections that a proxy can cut. */
const proxied = Effect.gen(function* () {
  yield* createTable
  const proxy = yield* makeProxy()
  const context = yield* Layer.build(clientThrough(proxy, { pool: { max: 2 } }))
  return { proxy, sql: Context.get(context, SqlClient.SqlClient) }
})

/** A payment, and how often its body and its question have run; `strike` comes last in the first run. */
const payment = (sql: SqlClient.SqlClient, key: string, strike: Effect.Effect<unknown, never, SqlClient.SqlClient>) => {
  const runs = { body: 0, verify: 0 }
  const insert = Effect.map(
    sql<{ id: number }>`INSERT INTO payment (key, cents) VALUES (${key}, 500) RETURNING id`,
    ([row]) => `paid as ${row!.id}`
  )
  const body = Effect.suspend(() => Effect.zipLeft(insert, runs.body++ === 0 ? strike : Effect.void))
  const verify = Effect.suspend(() => {
    runs.verify++
    return Effect.map(sql<{ id: number }>`SELECT id FROM payment WHERE key = ${key}`, ([row]) =>
      Option.map(Option.fromNullable(row), ({ id }) => `had been paid as ${id}`)
    )
  })
  return { body, runs, verify }
}

describe("verify", () => {
  const lost = DsqlTesting.connectionLost()
  const withScript = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient | DsqlTesting.Script>) =>
    Effect.provide(
      effect,
      DsqlTesting.layerClient([DsqlTesting.answer(/^SELECT/, [{ id: 7 }])], {
        retry: { ...quick, deadline: "1 second" }
      })
    )
  const unknown = "fails with DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed"

  it.live("is asked again when its own answer is lost, and runs outside of any transaction", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        yield* script.dropAtCommit("after")
        const verify = Effect.map(sql<{ id: number }>`SELECT id`, ([row]) => Option.fromNullable(row?.id))
        const strike = Effect.zipRight(
          script.failNext("statement", lost),
          script.failNext("statement", DsqlTesting.unavailable())
        )
        assert.strictEqual(yield* DsqlTransaction.withRetry(strike, { verify, times: 0 }), 7)
        const recorded = yield* script.recorded
        assert.deepStrictEqual(
          recorded.map(({ error, sql, transaction }) => [sql, transaction, error?._tag]),
          [
            ["BEGIN", 1, undefined],
            ["COMMIT", 1, undefined],
            ["SELECT id", undefined, "DsqlConnectionError"],
            ["SELECT id", undefined, "DsqlUnavailableError"],
            ["SELECT id", undefined, undefined]
          ]
        )
      })
    )
  )

  it.effect("that cannot tell leaves the outcome unknown, at the latest at the deadline; its defects are its own", () =>
    withScript(
      Effect.gen(function* () {
        const script = yield* DsqlTesting.Script
        const exitWith = (verify: Effect.Effect<Option.Option<never>, unknown>) =>
          Effect.gen(function* () {
            yield* script.dropAtCommit("during")
            let asked = 0
            const counted = Effect.suspend(() => (asked++, verify))
            const options = { verify: counted, base: "20 millis", cap: "20 millis" } as const
            const slow = Effect.sleep("900 millis")
            const fiber = yield* Effect.fork(Effect.exit(DsqlTransaction.withRetry(slow, options)))
            yield* TestClock.adjust("1 second")
            return [told(yield* Fiber.join(fiber)), asked > 1] as const
          })
        assert.deepStrictEqual(yield* exitWith(Effect.fail("no idea")), [unknown, false])
        assert.deepStrictEqual(yield* exitWith(Effect.fail(lost)), [unknown, true])
        assert.deepStrictEqual(yield* exitWith(Effect.die("mistake")), ["dies with mistake", false])
      })
    ).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.live("is not asked about a COMMIT that was not sent, that was refused, or that is another client's", () =>
    withScript(
      Effect.gen(function* () {
        const script = yield* DsqlTesting.Script
        let asked = 0
        const verify = Effect.sync(() => (asked++, Option.some("asked")))
        yield* script.dropAtCommit("before")
        yield* script.failNext("COMMIT", DsqlTesting.conflict())
        assert.strictEqual(yield* DsqlTransaction.withRetry(Effect.succeed("done"), { verify }), "done")
        const others = Effect.fail(DsqlTesting.commitOutcomeUnknown())
        const exit = yield* Effect.exit(DsqlTransaction.withRetry(others, { verify }))
        assert.strictEqual(told(exit), unknown)
        assert.strictEqual(asked, 0)
        assert.isFalse(DsqlErrors.isRetryable(DsqlTesting.commitOutcomeUnknown()))
      })
    )
  )
})

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "60 seconds" })("a COMMIT that is lost", (it) => {
  it.scoped("before it took effect is found not to be there, and runs again, once", () =>
    Effect.gen(function* () {
      const { proxy, sql } = yield* proxied
      const { body, runs, verify } = payment(sql, "before", proxy.cutOnNextWord)
      const exit = yield* Effect.exit(
        Effect.provideService(DsqlTransaction.withRetry(body, { ...quick, verify }), SqlClient.SqlClient, sql)
      )
      assert.match(told(exit), /^gives paid as \d+$/)
      assert.deepStrictEqual(runs, { body: 2, verify: 1 })
      assert.deepStrictEqual(yield* committed("before"), [{ cents: 500 }])
    })
  )

  it.scoped("after it took effect is found to be there, and does not run again", () =>
    Effect.gen(function* () {
      const { proxy, sql } = yield* proxied
      const watcher = yield* SqlClient.SqlClient
      const cutWhenCommitted = Effect.zipRight(
        Effect.repeat(committed("after"), { until: (rows) => rows.length === 1 }),
        proxy.cut
      ).pipe(Effect.provideService(SqlClient.SqlClient, watcher))
      const strike = Effect.zipRight(proxy.silence, Effect.forkDaemon(cutWhenCommitted))
      const { body, runs, verify } = payment(sql, "after", strike)
      const exit = yield* Effect.exit(
        Effect.provideService(DsqlTransaction.withRetry(body, { ...quick, verify }), SqlClient.SqlClient, sql)
      )
      const [row] = yield* sql<{ id: number }>`SELECT id FROM payment WHERE key = 'after'`
      assert.strictEqual(told(exit), `gives had been paid as ${row!.id}`)
      assert.strictEqual(runs.body, 1)
      assert.isAtLeast(runs.verify, 1)
      assert.deepStrictEqual(yield* committed("after"), [{ cents: 500 }])
    })
  )

  it.scoped("without anybody to ask is raised, whatever `while` says", () =>
    Effect.gen(function* () {
      const { proxy, sql } = yield* proxied
      const { body, runs } = payment(sql, "not asked", proxy.cutOnNextWord)
      const exit = yield* Effect.exit(
        Effect.provideService(
          DsqlTransaction.withRetry(body, { ...quick, while: () => true }),
          SqlClient.SqlClient,
          sql
        )
      )
      assert.strictEqual(told(exit), "fails with DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed")
      assert.strictEqual(runs.body, 1)
    })
  )

  it.scoped("because nobody answers for 10 seconds closes the connection, and may have taken effect", () =>
    Effect.gen(function* () {
      const { proxy, sql } = yield* proxied
      const watcher = yield* SqlClient.SqlClient
      const { body } = payment(sql, "unanswered", proxy.silence)
      yield* Effect.gen(function* () {
        const fiber = yield* Effect.fork(Effect.exit(sql.withTransaction(body)))
        yield* Effect.repeat(committed("unanswered"), { until: (rows) => rows.length === 1 })
        yield* TestClock.adjust("9 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(
          told(yield* Fiber.join(fiber)),
          "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed)"
        )
      }).pipe(Effect.provideService(SqlClient.SqlClient, watcher), Effect.provide(TestContext.TestContext))
    })
  )
})
