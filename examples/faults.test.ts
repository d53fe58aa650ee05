/**
 * What goes wrong on the service now and then, on demand: does the program get over it?
 *
 *   npx vitest run examples/faults.test.ts
 */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { conflict, unavailable } from "effect-dsql/Testing"

/** The code under test: an order is stored once, however often it is sent. */
const order = (key: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const stored = sql`SELECT key FROM orders WHERE key = ${key}`
    yield* DsqlTransaction.withRetry(sql`INSERT INTO orders VALUES (${key}) ON CONFLICT DO NOTHING`, {
      verify: Effect.map(stored, ([row]) => Option.fromNullable(row))
    })
  })

const count = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT count(*)::int AS n FROM orders`)

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "1 minute" })("an order", (it) => {
  it.effect("is stored once, whatever happens to it", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE orders (key text PRIMARY KEY)`

      yield* local.failNext("COMMIT", conflict(), { times: 2 })
      yield* local.failNext("statement", conflict("Schema"))
      yield* local.failNext("statement", unavailable())
      yield* order("a")

      yield* local.dropAtCommit("before")
      yield* local.dropAtCommit("after")
      yield* order("b")
      yield* order("c")

      assert.deepStrictEqual(yield* count, [{ n: 3 }])
      assert.deepStrictEqual(yield* local.pendingFaults, [])
    })
  )

  it.effect("that takes too long is not stored, and its connection is good for others", () =>
    Effect.gen(function* () {
      const { sessionClock } = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      const slow = Effect.zipRight(sql`INSERT INTO orders VALUES ('d')`, sessionClock.advance("301 seconds"))
      const error = yield* Effect.flip(DsqlErrors.refine(sql.withTransaction(slow)))
      assert(error._tag === "DsqlLimitError")
      assert.strictEqual(error.reason, "Age")
      assert.deepStrictEqual(yield* count, [{ n: 3 }])
    })
  )
})
