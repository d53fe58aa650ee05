import { SqlClient } from "@effect/sql"
import { assert, describe, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream, TestContext } from "effect"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { withInstruments } from "./support/instruments.js"
import { clientThrough, makeProxy } from "./support/proxy.js"
import { until } from "./support/sockets.js"

/** On this clock no time passes: whatever goes on has not waited for any. */
const onStandingClock = Effect.provide(TestContext.TestContext)

/** A look at the server from outside, and a lock for statements to wait at. */
const makeWatch = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS notes (word text)`
  yield* sql`DELETE FROM notes`
  const holder = yield* sql.reserve
  yield* Effect.acquireRelease(holder.executeRaw("SELECT pg_advisory_lock(7)", []), () =>
    Effect.ignore(holder.executeRaw("SELECT pg_advisory_unlock_all()", []))
  )
  return {
    unlock: holder.executeRaw("SELECT pg_advisory_unlock(7)", []),
    notes: Effect.map(sql<{ word: string }>`SELECT word FROM notes ORDER BY word`, (rows) =>
      rows.map((row) => row.word)
    ),
    /** Waits until so many statements with this mark are running. */
    running: (mark: string, expected: number) =>
      sql<{ n: number }>`
        SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE query LIKE ${`%/* ${mark} */%`} AND state = 'active' AND pid <> pg_backend_pid()`.pipe(
        Effect.repeat({ until: ([row]) => row!.n === expected })
      )
  }
})

type Way = (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>

const sleepers: ReadonlyArray<readonly [what: string, way: Way]> = [
  ["a statement", (sql) => sql`SELECT pg_sleep(60) /* sleeper */`],
  ["a statement with parameters", (sql) => sql`SELECT pg_sleep(${60}) /* sleeper */`],
  ["a statement inside of a transaction", (sql) => sql.withTransaction(sql`SELECT pg_sleep(60) /* sleeper */`)],
  [
    "a statement on a reserved connection",
    (sql) =>
      Effect.scoped(
        Effect.flatMap(sql.reserve, (connection) => connection.executeRaw("SELECT pg_sleep(60) /* sleeper */", []))
      )
  ],
  ["a stream", (sql) => Stream.runDrain(sql`SELECT pg_sleep(60) /* sleeper */`.stream)],
  [
    "a stream that has given rows",
    (sql) =>
      Stream.runDrain(
        sql`SELECT CASE WHEN n > 200 THEN pg_sleep(60) END /* sleeper */ FROM generate_series(1, 1000) AS n`.stream
      )
  ],
  [
    "a stream inside of a transaction",
    (sql) => sql.withTransaction(Stream.runDrain(sql`SELECT pg_sleep(60) /* sleeper */`.stream))
  ]
]

const queued: ReadonlyArray<readonly [what: string, way: Way]> = [
  ["a statement", (sql) => sql`INSERT INTO notes VALUES ('queued')`],
  ["a stream", (sql) => Stream.runDrain(sql`INSERT INTO notes VALUES ('queued') RETURNING word`.stream)]
]

layer(DsqlLocal.layerLive({ ...withInstruments, conflicts: "postgres" }), {
  excludeTestServices: true,
  timeout: "60 seconds"
})("interruption", (it) => {
  it.scoped.each(sleepers)("of %s ends its connection, frees its place at once and touches no other", ([, way]) =>
    Effect.gen(function* () {
      const { running, unlock } = yield* makeWatch
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const keeper = yield* Effect.fork(
          sql<{ word: string }>`SELECT pg_advisory_xact_lock(7)::text, 'kept' AS word /* keeper */`
        )
        yield* running("keeper", 1)
        const sleeper = yield* Effect.fork(way(sql))
        yield* running("sleeper", 1)
        assert.strictEqual(proxy.accepted(), 2)

        const exit = yield* Fiber.interrupt(sleeper)
        assert(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
        assert.strictEqual(yield* proxy.dialled, 3, "it was not on a connection of its own")
        yield* running("sleeper", 0)
        yield* until(() => proxy.present() === 2)

        yield* running("keeper", 1)
        yield* unlock
        assert.strictEqual((yield* Fiber.join(keeper))[0]!.word, "kept")
        assert.strictEqual(yield* proxy.dialled, 3)
      }).pipe(Effect.provide(clientThrough(proxy, { pool: { max: 2 } })), onStandingClock)
    })
  )

  it.scoped("of whatever runs, typed, is what closing a layer comes to", () =>
    Effect.gen(function* () {
      const { running } = yield* makeWatch
      const proxy = yield* makeProxy()
      const fibers = yield* Effect.flatMap(SqlClient.SqlClient, (sql) =>
        Effect.zipLeft(
          Effect.forEach(sleepers, ([, way]) => Effect.forkDaemon(Effect.exit(way(sql)))),
          running("sleeper", sleepers.length)
        )
      ).pipe(Effect.provide(clientThrough(proxy)), onStandingClock)
      for (const fiber of fibers) {
        const exit = yield* Fiber.join(fiber)
        assert(Exit.isFailure(exit) && Cause.isFailType(exit.cause), String(exit))
        const error = DsqlErrors.unwrap(exit.cause.error)
        assert(error?._tag === "DsqlConnectionError")
        assert.strictEqual(error.reason, "Closed")
      }
      yield* until(() => proxy.present() === 0)
    })
  )

  describe("of what waits for its turn in a transaction", () => {
    it.scoped.each(queued)("(%s) harms nobody", ([, way]) =>
      Effect.gen(function* () {
        const { notes, running, unlock } = yield* makeWatch
        const proxy = yield* makeProxy()
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`INSERT INTO notes VALUES ('before')`
              const first = yield* Effect.fork(sql`SELECT pg_advisory_xact_lock(7)::text /* first */`)
              yield* running("first", 1)
              const second = yield* Effect.fork(way(sql))
              yield* Effect.yieldNow()
              yield* Fiber.interrupt(second)
              yield* unlock
              yield* Fiber.join(first)
              yield* sql`INSERT INTO notes VALUES ('after')`
            })
          )
          assert.strictEqual(yield* proxy.dialled, 1)
        }).pipe(Effect.provide(clientThrough(proxy, { pool: { max: 1 } })), onStandingClock)
        assert.deepStrictEqual(yield* notes, ["after", "before"])
      })
    )
  })
})
