/** What operators see of transactions: metrics and spans. */
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { DsqlTransaction } from "effect-dsql"
import * as DsqlTesting from "effect-dsql/Testing"
import { makeRecorder, scrape } from "./support/telemetry.js"
import { quick } from "./support/transactions.js"

const withScript = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient | DsqlTesting.Script>) =>
  Effect.provide(effect, DsqlTesting.layerClient([DsqlTesting.answer(/^(?:SELECT|UPDATE)/, [])], { retry: quick }))

/** All but the time that was lost, which is exact only where the clock is the test's. */
const counted = (name: string) =>
  Effect.map(scrape("name", name), ({ dsql_retry_seconds_total: lost = 0, ...metrics }) => {
    assert.strictEqual(
      Number(lost) > 0,
      Object.keys(metrics).some((metric) => metric.startsWith("dsql_retries"))
    )
    return metrics
  })

describe("counters", () => {
  it.live("tell attempts, retries by error, conflicts by reason and unknown outcomes, by name", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const run = DsqlTransaction.withRetry(sql`SELECT 1`, { name: "counted", times: 3 })
        yield* script.failNext("connect", DsqlTesting.connectionRefused("ClusterWaking"))
        yield* script.failNext("BEGIN", DsqlTesting.conflict("Schema"))
        yield* script.failNext("statement", DsqlTesting.conflict("Schema"))
        yield* run
        yield* script.failNext("COMMIT", DsqlTesting.conflict(), { times: 4 })
        yield* Effect.flip(run)
        yield* script.dropAtCommit("during")
        yield* Effect.flip(run)
        yield* Effect.flip(DsqlTransaction.withRetry(Effect.fail("mine"), { name: "counted" }))
        assert.deepStrictEqual(yield* counted("counted"), {
          dsql_attempts_total: 4 + 4 + 1 + 1,
          "dsql_retries_total{error=DsqlConnectionError}": 1,
          "dsql_retries_total{error=DsqlConflictError}": 2 + 3,
          "dsql_conflicts_total{reason=Schema}": 2,
          "dsql_conflicts_total{reason=Data}": 4,
          dsql_unknown_outcomes_total: 1,
          dsql_attempts_per_commit: { count: 1, sum: 4 }
        })
      })
    )
  )

  it.live("tell the same of single statements", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const run = DsqlTransaction.retryStatement(sql`UPDATE t`, { name: "a statement" })
        yield* script.failNext("statement", DsqlTesting.conflict(), { times: 2 })
        yield* run
        yield* script.failNext("statement", DsqlTesting.connectionLost())
        yield* Effect.flip(run)
        assert.deepStrictEqual(yield* counted("a statement"), {
          dsql_attempts_total: 4,
          "dsql_retries_total{error=DsqlConflictError}": 2,
          "dsql_conflicts_total{reason=Data}": 2,
          dsql_unknown_outcomes_total: 1,
          dsql_attempts_per_commit: { count: 1, sum: 3 }
        })
      })
    )
  )

  it.live("count sql.withTransaction under no name, and no attempt that never began", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const before = yield* counted("")
        yield* script.failNext("COMMIT", DsqlTesting.conflict())
        yield* Effect.flip(sql.withTransaction(Effect.ignore(sql.withTransaction(sql`SELECT 1`))))
        const after = yield* counted("")
        const added = (key: string) => Number(after[key]) - Number(before[key] ?? 0)
        assert.deepStrictEqual(["dsql_attempts_total", "dsql_conflicts_total{reason=Data}"].map(added), [1, 1])
        yield* script.delayNext("connect", "1 minute")
        yield* Effect.flip(DsqlTransaction.withRetry(Effect.void, { name: "late", deadline: "5 millis" }))
        assert.deepStrictEqual(yield* counted("late"), {})
      })
    )
  )
})

describe("spans", () => {
  it.live("are one for each attempt, below one for all of them that has its name and tells their number", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const { spans, tracer } = yield* makeRecorder
        yield* script.failNext("COMMIT", DsqlTesting.conflict(), { times: 2 })
        yield* DsqlTransaction.withRetry(sql`SELECT 1`, { name: "traced" }).pipe(Effect.withTracer(tracer))
        const [all, ...attempts] = (yield* spans).filter(({ name }) => name !== "sql.execute")
        assert.deepStrictEqual(
          [all!.name, all!.attributes.get("dsql.name"), all!.attributes.get("dsql.attempts")],
          ["DsqlTransaction.retry", "traced", 3]
        )
        assert.deepStrictEqual(
          attempts.map((span) => [span.name, Option.getOrUndefined(span.parent) === all, span.kind]),
          Array.from({ length: 3 }, () => ["sql.transaction", true, "client"])
        )
        const failed = attempts.map(({ status }) => status._tag === "Ended" && status.exit._tag)
        assert.deepStrictEqual(failed, ["Failure", "Failure", "Success"])
      })
    )
  )
})
