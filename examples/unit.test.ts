/**
 * A unit test without a database: the client answers from a script.
 *
 *   npx vitest run examples/unit.test.ts
 */
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlErrors } from "effect-dsql"
import * as DsqlTesting from "effect-dsql/Testing"

/** The code under test. */
const transfer = (from: string, to: string, cents: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [account] = yield* sql<{ cents: number }>`SELECT cents FROM account WHERE id = ${from}`
    if (account === undefined || account.cents < cents) return yield* Effect.fail("not enough" as const)
    yield* sql`UPDATE account SET cents = cents - ${cents} WHERE id = ${from}`
    yield* sql`UPDATE account SET cents = cents + ${cents} WHERE id = ${to}`
  }).pipe(
    (body) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(body)),
    Effect.retry({ while: DsqlErrors.isConflict, times: 2 })
  )

const Accounts = DsqlTesting.layerClient([
  DsqlTesting.answer(/^SELECT cents/, ([id]) => (id === "ana" ? [{ cents: 500 }] : [])),
  DsqlTesting.answer(/^UPDATE account/, { rowCount: 1 })
])

describe("transfer", () => {
  it.effect("moves the money in one transaction", () =>
    Effect.gen(function* () {
      yield* transfer("ana", "rui", 200)
      const script = yield* DsqlTesting.Script
      const recorded = yield* script.recorded
      assert.deepStrictEqual(
        recorded.map(({ params, sql }) => [sql.split(" ")[0], ...params]),
        [["BEGIN"], ["SELECT", "ana"], ["UPDATE", 200, "ana"], ["UPDATE", 200, "rui"], ["COMMIT"]]
      )
    }).pipe(Effect.provide(Accounts))
  )

  it.effect("takes nothing from an account without cover", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(transfer("eva", "rui", 1)), "not enough")
      const script = yield* DsqlTesting.Script
      assert.strictEqual((yield* script.recorded).at(-1)?.sql, "ROLLBACK")
    }).pipe(Effect.provide(Accounts))
  )

  it.effect("starts again when COMMIT loses a conflict", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.failNext("COMMIT", DsqlTesting.conflict())
      yield* transfer("ana", "rui", 200)
      const commits = (yield* script.recorded).filter(({ sql }) => sql === "COMMIT")
      assert.deepStrictEqual(
        commits.map(({ error }) => error?._tag),
        ["DsqlConflictError", undefined]
      )
    }).pipe(Effect.provide(Accounts))
  )
})
