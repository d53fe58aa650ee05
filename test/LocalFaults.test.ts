/** What a program of ours sees of the faults that the local cluster has on demand, and that it gets over them. */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { ageLimitExceeded, conflict, connectionLost, connectionRefused, unavailable } from "effect-dsql/Testing"
import { quick, told } from "./support/transactions.js"

const createTable = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`CREATE TABLE IF NOT EXISTS noted (name text, by text DEFAULT current_user)`
)

const insert = (name: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO noted (name) VALUES (${name}) RETURNING name`)

const noted = (name: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(sql`SELECT 1 FROM noted WHERE name = ${name}`, (rows) => rows.length)
  )

const verify = (name: string) =>
  Effect.map(noted(name), (count) => (count === 1 ? Option.some("found there") : Option.none<string>()))

/** Once without a retry, then with: gives how both went, how often the body ran, and what is left in the table. */
const outcomes = (name: string, arm: Effect.Effect<void>) =>
  Effect.gen(function* () {
    yield* createTable
    const sql = yield* SqlClient.SqlClient
    const local = yield* DsqlLocal
    let runs = 0
    const body = Effect.zipRight(
      Effect.sync(() => runs++),
      Effect.as(insert(name), "done")
    )
    yield* arm
    const plain = told(yield* Effect.exit(sql.withTransaction(body)))
    yield* sql`DELETE FROM noted WHERE name = ${name}`
    runs = 0
    yield* arm
    const retried = told(yield* Effect.exit(DsqlTransaction.withRetry(body, { ...quick, verify: verify(name) })))
    assert.deepStrictEqual(yield* local.pendingFaults, [])
    return { plain, retried, runs, left: yield* noted(name) }
  })

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "60 seconds" })("faults on demand", (it) => {
  const twice = { plain: "", retried: "gives done", runs: 2, left: 1 }

  it.effect.each([
    ["COMMIT", conflict(), "DsqlConflictError Data after 1"],
    ["COMMIT", conflict("Schema"), "DsqlConflictError Schema after 1"],
    ["statement", conflict("Schema"), "DsqlConflictError Schema after 1"],
    ["statement", unavailable(), "DsqlUnavailableError"],
    ["statement", connectionLost(), "DsqlConnectionError Closed"],
    ["BEGIN", unavailable(), "DsqlUnavailableError"]
  ] as const)("fail the next %s, typed, and a retry gets over them: %s", ([step, error, plain]) =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      assert.deepStrictEqual(yield* outcomes(`${step} ${plain}`, local.failNext(step, error)), {
        ...twice,
        plain: `fails with SqlError(${plain})`,
        runs: step === "BEGIN" ? 1 : 2
      })
    })
  )

  it.effect("fail the next COMMIT with an outcome that only looking can tell", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      assert.deepStrictEqual(yield* outcomes("XX000", local.failNext("COMMIT", unavailable())), {
        ...twice,
        plain: "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlUnavailableError)"
      })
    })
  )

  it.effect.each([
    ["before", { retried: "gives done", runs: 2 }],
    ["after", { retried: "gives found there", runs: 1 }]
  ] as const)("drop the connection %s COMMIT, and verify tells what became of it", ([moment, seen]) =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      assert.deepStrictEqual(yield* outcomes(moment, local.dropAtCommit(moment)), {
        plain: "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed)",
        ...seen,
        left: 1
      })
    })
  )

  it.effect("drop the connection during COMMIT, which still takes effect", () =>
    Effect.gen(function* () {
      yield* createTable
      const sql = yield* SqlClient.SqlClient
      const local = yield* DsqlLocal
      yield* local.dropAtCommit("during")
      assert.strictEqual(
        told(yield* Effect.exit(sql.withTransaction(insert("during")))),
        "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed)"
      )
      yield* Effect.repeat(noted("during"), { until: (count) => count === 1 })
    })
  )

  it.scoped.each([
    ["TooManyConnections", "53300"],
    ["RateExceeded", "53400"],
    ["ClusterWaking", "XX000"]
  ] as const)("refuse logins: %s", ([reason, sqlState]) =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      yield* local.failNext("connect", connectionRefused(reason))
      const refused = yield* Effect.exit(Effect.scoped(Layer.build(DsqlLocal.layerClient())))
      assert.strictEqual(told(refused), `fails with DsqlConnectionError ${reason} ${sqlState}`)

      const client = Context.get(yield* Layer.build(DsqlLocal.layerClient()), SqlClient.SqlClient)
      // So that the transaction needs another connection.
      yield* client.reserve
      yield* local.failNext("connect", connectionRefused(reason), { times: 2 })
      const body = DsqlTransaction.withRetry(Effect.succeed("done"), quick)
      assert.strictEqual(
        told(yield* Effect.exit(Effect.provideService(body, SqlClient.SqlClient, client))),
        "gives done"
      )
      assert.deepStrictEqual(yield* local.pendingFaults, [])
    })
  )

  it.effect("delay by the session clock, which nobody has to wait for", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const local = yield* DsqlLocal
      const before = yield* local.sessionClock.now
      yield* local.delayNext("statement", "1 hour")
      const fiber = yield* Effect.fork(sql`SELECT 1 AS one`)
      while ((yield* local.pendingFaults).length > 0) yield* Effect.yieldNow()
      assert.isNull(fiber.unsafePoll())
      // Less than what would close the connection.
      yield* local.sessionClock.advance("30 minutes")
      assert.isNull(fiber.unsafePoll())
      const after = yield* local.sessionClock.now
      assert.isAtLeast(after.getTime() - before.getTime(), 30 * 60_000)
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("let a transaction become too old, for a statement and for its COMMIT", () =>
    Effect.gen(function* () {
      yield* createTable
      const sql = yield* SqlClient.SqlClient
      const local = yield* DsqlLocal
      const tooOld = "fails with SqlError(DsqlLimitError Age)"
      const atCommit = Effect.zipRight(insert("old"), local.sessionClock.advance("301 seconds"))
      assert.strictEqual(told(yield* Effect.exit(sql.withTransaction(atCommit))), tooOld)
      const atStatement = Effect.zipRight(local.sessionClock.advance("301 seconds"), insert("old"))
      assert.strictEqual(told(yield* Effect.exit(sql.withTransaction(atStatement))), tooOld)
      yield* Effect.flip(DsqlErrors.refine(sql.withTransaction(atCommit))).pipe(
        Effect.map((error) => assert.strictEqual(error.message, ageLimitExceeded().message))
      )
      // The connection is good for others.
      assert.strictEqual(yield* sql.withTransaction(noted("old")), 0)
    })
  )

  it.effect("end a connection after 60 minutes, and the pool opens another", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const local = yield* DsqlLocal
      yield* sql`SELECT 1`
      const before = yield* local.loginCount
      yield* local.sessionClock.advance("60 minutes")
      yield* Effect.repeat(local.connectionCount, { until: (count) => count === 0 })
      yield* Effect.retry(sql`SELECT 1`, { times: 1 })
      assert.strictEqual(yield* local.loginCount, before + 1)
    })
  )

  it.scoped("put the cluster to sleep until it has been woken up", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      yield* local.inactivate
      const waking = Layer.build(DsqlLocal.layerClient())
      const refused = yield* Effect.exit(Effect.scoped(waking))
      assert.strictEqual(told(refused), "fails with DsqlConnectionError ClusterWaking XX000")
      yield* local.sessionClock.advance("5 seconds")
      yield* waking
    })
  )

  it.effect("stop at the limits that were set", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const context = yield* Layer.build(DsqlLocal.layerClient())
      const sql = Context.get(context, SqlClient.SqlClient)
      const full = yield* Effect.exit(Effect.scoped(Layer.build(DsqlLocal.layerClient())))
      assert.strictEqual(told(full), "fails with DsqlConnectionError TooManyConnections 53300")
      const aged = sql.withTransaction(Effect.zipRight(local.sessionClock.advance("11 seconds"), sql`SELECT 1`))
      assert.strictEqual(told(yield* Effect.exit(aged)), "fails with SqlError(DsqlLimitError Age)")
      yield* local.sessionClock.advance("1 minute")
      yield* Effect.repeat(local.connectionCount, { until: (count) => count === 0 })
    }).pipe(
      Effect.scoped,
      Effect.provide(
        DsqlLocal.layer({ limits: { connections: 1, transactionAge: "10 seconds", connectionLifetime: "1 minute" } })
      )
    )
  )

  it.effect("are told in words until they have struck or are cleared", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      yield* local.failNext("COMMIT", conflict(), { times: 2 })
      yield* local.dropAtCommit("after", { probability: 0.5, seed: 1 })
      yield* local.delayNext("connect", "20 millis", { times: Infinity })
      yield* local.failNext("ROLLBACK", ageLimitExceeded(), { times: 0 })
      assert.deepStrictEqual(yield* local.pendingFaults, [
        { step: "connect", fault: "wait 20ms", times: Infinity, probability: 1 },
        {
          step: "COMMIT",
          fault: "40001 change conflicts with another transaction (OC000)",
          times: 2,
          probability: 1
        },
        { step: "COMMIT", fault: "drop after", times: 1, probability: 0.5 }
      ])
      yield* local.clearFaults
      assert.deepStrictEqual(yield* local.pendingFaults, [])
      yield* local.failNext("COMMIT", conflict())
      yield* local.reset
      assert.deepStrictEqual(yield* local.pendingFaults, [])
    })
  )
})
