/** Which connection a transaction has, for how long, and what becomes of it. */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Random } from "effect"
import { type DsqlConfig, DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { withInstruments } from "./support/instruments.js"
import { clientThrough, makeProxy } from "./support/proxy.js"
import { conflict, contender, lose, prepare, quick, told } from "./support/transactions.js"

/** A client of its own pool. */
const clientWith = (options: Partial<DsqlConfig.Options>) =>
  Effect.map(Layer.build(Layer.fresh(DsqlLocal.layerClient(options))), (context) =>
    Context.get(context, SqlClient.SqlClient)
  )

const withClient =
  (sql: SqlClient.SqlClient) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, SqlClient.SqlClient, sql)

const pid = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row!.pid)

const names = (sql: SqlClient.SqlClient, table: string) =>
  Effect.map(sql<{ name: string }>`SELECT name FROM ${sql(table)} ORDER BY name`, (rows) =>
    rows.map(({ name }) => name)
  )

/** Until a statement that contains these words is being run, or waits for a lock. */
const running = (sql: SqlClient.SqlClient, words: string) =>
  sql<{ n: number }>`
    SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE query LIKE ${`%${words}%`} AND state = 'active' AND pid <> pg_backend_pid()`.pipe(
    Effect.repeat({ until: ([row]) => row!.n === 1 })
  )

/** Both ways into a transaction. */
const both = [
  [
    "sql.withTransaction",
    <A, E>(sql: SqlClient.SqlClient, body: Effect.Effect<A, E>) => DsqlErrors.refine(sql.withTransaction(body))
  ],
  [
    "withRetry",
    <A, E>(sql: SqlClient.SqlClient, body: Effect.Effect<A, E>) => withClient(sql)(DsqlTransaction.withRetry(body))
  ]
] as const

layer(DsqlLocal.layerLive({ ...withInstruments, conflicts: "postgres" }), {
  excludeTestServices: true,
  timeout: "60 seconds"
})("the connection of", (it) => {
  it.scoped("one client's transaction is not used by another, which commits on its own", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* clientWith({}), yield* clientWith({})]
      yield* a`CREATE TABLE isolated (name text)`
      const write = (sql: SqlClient.SqlClient, name: string) => sql`INSERT INTO isolated VALUES (${name})`
      const exit = yield* Effect.gen(function* () {
        const [of, outside] = [yield* pid(a), yield* pid(b)]
        yield* write(a, "a, rolled back")
        yield* write(b, "b, by itself")
        yield* b.withTransaction(
          Effect.gen(function* () {
            yield* write(b, "b, in a transaction of its own")
            // Inside of both: each on its own connection still.
            yield* write(a, "a inside of b, rolled back")
            yield* a.withTransaction(write(a, "a nested inside of b, rolled back"))
            assert.strictEqual(yield* pid(a), of)
            assert.notStrictEqual(yield* pid(b), of)
          })
        )
        yield* withClient(b)(DsqlTransaction.withRetry(write(b, "b, with retries")))
        assert.notStrictEqual(outside, of)
        assert.strictEqual(yield* pid(a), of)
        return yield* Effect.fail("mine")
      }).pipe(a.withTransaction, Effect.exit)
      assert.deepStrictEqual(exit, Exit.fail("mine"))
      assert.deepStrictEqual(yield* names(a, "isolated"), [
        "b, by itself",
        "b, in a transaction of its own",
        "b, with retries"
      ])
    })
  )

  it.scoped("a nested call of the outer client inside of another's transaction dooms the outer one, not that", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* clientWith({}), yield* clientWith({})]
      yield* a`CREATE TABLE doomed (name text)`
      const exit = yield* b`INSERT INTO doomed VALUES ('b')`.pipe(
        Effect.zipRight(Effect.ignore(a.withTransaction(Effect.fail("mine")))),
        b.withTransaction,
        Effect.zipRight(a`INSERT INTO doomed VALUES ('a')`),
        a.withTransaction,
        Effect.exit
      )
      assert.strictEqual(told(exit), "fails with SqlError(DsqlTransactionError NestedFailure)")
      assert.deepStrictEqual(yield* names(a, "doomed"), ["b"])
    })
  )

  it.scoped("an attempt is given back before the next one: a second transaction comes in between", () =>
    Effect.gen(function* () {
      yield* prepare
      const { loginCount } = yield* DsqlLocal
      const before = yield* loginCount
      const sql = yield* clientWith({ pool: { max: 1 } })
      const order: Array<string> = []
      const failed = yield* Deferred.make<void>()
      // Its first attempt loses, and then it would wait for 24 seconds.
      const first = yield* Effect.suspend(() => {
        order.push("first")
        return Effect.zipRight(Deferred.succeed(failed, undefined), lose(sql, conflict))
      }).pipe(
        DsqlTransaction.withRetry({ base: "30 seconds", cap: "1 minute" }),
        withClient(sql),
        Effect.withRandom(Random.fixed([0.8])),
        Effect.fork
      )
      yield* Deferred.await(failed)
      const second = Effect.map(sql`SELECT 1`, () => void order.push("second"))
      yield* withClient(sql)(DsqlTransaction.withRetry(second))
      assert.deepStrictEqual(order, ["first", "second"])
      assert.strictEqual((yield* loginCount) - before, 1)
      yield* Fiber.interrupt(first)
    })
  )

  it.scoped("two transactions that lose again and again is one, when the pool has no more", () =>
    Effect.gen(function* () {
      yield* prepare
      const { loginCount } = yield* DsqlLocal
      const before = yield* loginCount
      yield* Effect.gen(function* () {
        const contenders = yield* Effect.all([contender("competing_a", 6), contender("competing_b", 6)])
        yield* Effect.forEach(contenders, ({ body }) => DsqlTransaction.withRetry(body, quick), {
          concurrency: "unbounded"
        })
        for (const { attempts, written } of contenders) {
          assert.deepStrictEqual([yield* attempts, yield* written], [6, 1])
        }
      }).pipe(withClient(yield* clientWith({ pool: { max: 1 } })))
      assert.strictEqual((yield* loginCount) - before, 1)
    })
  )

  it.scoped("somebody else is waited for until the deadline, also before the first attempt", () =>
    Effect.gen(function* () {
      const sql = yield* clientWith({ pool: { max: 1 } })
      const waits = DsqlTransaction.withRetry(sql`SELECT 1`, { deadline: "50 millis" })
      const exit = yield* Effect.scoped(Effect.zipRight(sql.reserve, withClient(sql)(Effect.exit(waits))))
      assert.strictEqual(told(exit), "fails with DsqlConnectionError AcquireTimeout")
      assert.deepStrictEqual(yield* withClient(sql)(waits), [{ "?column?": 1 }])
    })
  )

  it.scoped("somebody else is waited for until the deadline, after which the last attempt's failure counts", () =>
    Effect.gen(function* () {
      yield* prepare
      const sql = yield* clientWith({ pool: { max: 1 } })
      const lost = yield* Deferred.make<void>()
      const taken = yield* Deferred.make<void>()
      let runs = 0
      const fiber = yield* Effect.suspend(() => (runs++, lose(sql, conflict))).pipe(
        // While it waits to try again, somebody takes the connection for good.
        DsqlTransaction.withRetry({
          deadline: "1 second",
          while: () => Effect.runSync(Deferred.succeed(lost, undefined))
        }),
        withClient(sql),
        Effect.exit,
        Effect.fork
      )
      yield* Effect.fork(
        Effect.scoped(Deferred.await(lost).pipe(Effect.zipRight(sql.reserve), Effect.zipRight(Deferred.await(taken))))
      )
      assert.strictEqual(told(yield* Fiber.join(fiber)), `fails with DsqlConflictError Data after ${runs}`)
      yield* Deferred.succeed(taken, undefined)
    })
  )

  it.scoped("a queued statement that is interrupted stays, and so does what the transaction has done", () =>
    Effect.gen(function* () {
      const watcher = yield* SqlClient.SqlClient
      const sql = yield* clientWith({ pool: { max: 1 } })
      yield* sql`CREATE TABLE queued (name text)`
      const before = yield* pid(sql)
      const transaction = yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* watcher.reserve
          yield* connection.executeRaw("SELECT pg_advisory_lock(7)", [])
          const interrupted = yield* Deferred.make<void>()
          const fiber = yield* Effect.gen(function* () {
            const slow = sql`INSERT INTO queued SELECT 'slow' FROM (SELECT pg_advisory_xact_lock(7)) AS held`
            const first = yield* Effect.fork(slow)
            yield* running(watcher, "AS held")
            const second = yield* Effect.fork(sql`INSERT INTO queued VALUES ('interrupted')`)
            yield* Effect.yieldNow()
            yield* Fiber.interrupt(second)
            yield* Deferred.succeed(interrupted, undefined)
            yield* sql`INSERT INTO queued VALUES ('last')`
            yield* Fiber.join(first)
          }).pipe(sql.withTransaction, Effect.fork)
          yield* Deferred.await(interrupted)
          yield* connection.executeRaw("SELECT pg_advisory_unlock(7)", [])
          return fiber
        })
      )
      yield* Fiber.join(transaction)
      assert.deepStrictEqual(yield* names(sql, "queued"), ["last", "slow"])
      assert.strictEqual(yield* pid(sql), before)
    })
  )

  it.scoped.each(both)("a body interrupted between statements is rolled back and used again (%s)", ([, run]) =>
    Effect.gen(function* () {
      const sql = yield* clientWith({ pool: { max: 1 } })
      yield* sql`CREATE TABLE IF NOT EXISTS interrupted (name text)`
      const before = yield* pid(sql)
      const inserted = yield* Deferred.make<void>()
      const body = sql`INSERT INTO interrupted VALUES ('lost')`.pipe(
        Effect.zipRight(Deferred.succeed(inserted, undefined)),
        Effect.zipRight(Effect.never)
      )
      const fiber = yield* Effect.fork(run(sql, body))
      yield* Deferred.await(inserted)
      assert.strictEqual(told(yield* Fiber.interrupt(fiber)), "is interrupted")
      assert.deepStrictEqual(yield* names(sql, "interrupted"), [])
      assert.strictEqual(yield* pid(sql), before)
    })
  )

  it.scoped.each(both)("a body interrupted in a statement is closed, and the backend ends (%s)", ([, run]) =>
    Effect.gen(function* () {
      const watcher = yield* SqlClient.SqlClient
      const sql = yield* clientWith({ pool: { max: 1 } })
      const before = yield* pid(sql)
      const fiber = yield* Effect.fork(run(sql, sql`SELECT pg_sleep(60) AS interrupted`))
      yield* running(watcher, "AS interrupted")
      assert.strictEqual(told(yield* Fiber.interrupt(fiber)), "is interrupted")
      assert.notStrictEqual(yield* pid(sql), before)
      yield* watcher<{ n: number }>`SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = ${before}`.pipe(
        Effect.repeat({ until: ([row]) => row!.n === 0 })
      )
    })
  )

  it.scoped.each(both)("a body that fails beside a statement that nobody awaits is closed at once (%s)", ([, run]) =>
    Effect.gen(function* () {
      const watcher = yield* SqlClient.SqlClient
      const sql = yield* clientWith({ pool: { max: 1 } })
      const before = yield* pid(sql)
      const body = Effect.gen(function* () {
        const stray = yield* Effect.fork(Effect.exit(DsqlErrors.refine(sql`SELECT pg_sleep(60) AS stray`)))
        yield* running(watcher, "AS stray")
        return yield* Effect.fail(stray)
      })
      const stray = yield* Effect.flip(run(sql, body))
      assert(Fiber.isFiber(stray))
      assert.strictEqual(told(yield* Fiber.join(stray)), "fails with DsqlConnectionError Closed")
      assert.notStrictEqual(yield* pid(sql), before)
    })
  )

  it.scoped.each(both)("a body whose ROLLBACK is not confirmed is closed, and the first error stays (%s)", ([, run]) =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const context = yield* Layer.build(clientThrough(proxy, { pool: { max: 1 } }))
      const sql = Context.get(context, SqlClient.SqlClient)
      const before = yield* pid(sql)
      const exit = yield* Effect.exit(run(sql, Effect.zipRight(proxy.cutOnNextWord, Effect.fail("mine"))))
      assert.deepStrictEqual(exit, Exit.fail("mine"))
      assert.notStrictEqual(yield* pid(sql), before)
      assert.strictEqual(proxy.present(), 1)
    })
  )

  it.scoped.each(both)("a COMMIT is kept until it is answered, whoever interrupts (%s)", ([way, run]) =>
    Effect.gen(function* () {
      const watcher = yield* SqlClient.SqlClient
      const sql = yield* clientWith({ pool: { max: 1 } })
      const table = way === "withRetry" ? "held_retry" : "held_plain"
      yield* sql`CREATE TABLE ${sql(table)} (name text)`
      yield* sql`
        CREATE OR REPLACE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN PERFORM pg_advisory_xact_lock(8); RETURN NULL; END'`
      yield* sql.unsafe(`
        CREATE CONSTRAINT TRIGGER held AFTER INSERT ON ${table}
          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit()`)
      const before = yield* pid(sql)
      const interruption = yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* watcher.reserve
          yield* connection.executeRaw("SELECT pg_advisory_lock(8)", [])
          const fiber = yield* Effect.fork(run(sql, sql`INSERT INTO ${sql(table)} VALUES ('kept')`))
          yield* running(watcher, "COMMIT")
          const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
          yield* running(watcher, "COMMIT")
          yield* connection.executeRaw("SELECT pg_advisory_unlock(8)", [])
          return interruption
        })
      )
      assert.strictEqual(told(yield* Fiber.join(interruption)), "is interrupted")
      assert.deepStrictEqual(yield* names(sql, table), ["kept"])
      assert.strictEqual(yield* pid(sql), before)
    })
  )

  it.scoped.each(both)("a transaction that has ended is not used by a fiber that goes on (%s)", ([, run]) =>
    Effect.gen(function* () {
      const sql = yield* clientWith({})
      const ended = yield* Deferred.make<void>()
      const late = Effect.all(
        [
          sql`SELECT 1`,
          sql.withTransaction(sql`SELECT 1`),
          withClient(sql)(DsqlTransaction.withRetry(sql`SELECT 1`))
        ].map((effect) => Effect.map(Effect.exit(DsqlErrors.refine(effect)), told))
      )
      const stray = yield* run(sql, Effect.forkDaemon(Effect.zipRight(Deferred.await(ended), late)))
      yield* Deferred.succeed(ended, undefined)
      const finished = "fails with DsqlTransactionError Finished"
      assert.deepStrictEqual(yield* Fiber.join(stray), [finished, finished, finished])
    })
  )

  it.scoped("a transaction that cannot be interrupted commits all the same", () =>
    Effect.gen(function* () {
      const sql = yield* clientWith({})
      yield* sql`CREATE TABLE uninterrupted (name text)`
      for (const [way, run] of both) {
        const started = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const body = Deferred.succeed(started, undefined).pipe(
          Effect.zipRight(Deferred.await(goOn)),
          Effect.zipRight(sql`INSERT INTO uninterrupted VALUES (${way})`)
        )
        const fiber = yield* Effect.fork(Effect.uninterruptible(run(sql, body)))
        yield* Deferred.await(started)
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* Effect.yieldNow()
        yield* Deferred.succeed(goOn, undefined)
        yield* Fiber.join(interruption)
      }
      assert.deepStrictEqual(yield* names(sql, "uninterrupted"), ["sql.withTransaction", "withRetry"])
    })
  )
})
