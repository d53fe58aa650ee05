/** Many who read one row and write it back, on a cluster whose conflicts come at COMMIT. */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { conflictingCluster } from "./support/conflicting.js"
import { counted, createCounter, increment, race } from "./support/counter.js"
import { startProgram } from "./support/program.js"
import { told } from "./support/transactions.js"

/** Of each process; `npm run soak` has them count as far as the fibers of one, for minutes if the machine has else to do. */
const roundsOfProcess = process.env["DSQL_SOAK"] === undefined ? 10 : 50
const timeout = process.env["DSQL_SOAK"] === undefined ? 180_000 : 600_000

const fibers = 32
const rounds = 50
const connections = 10

/** How often each exit came. */
const tally = (ends: ReadonlyArray<string>): Record<string, number> =>
  ends.reduce<Record<string, number>>((counts, end) => ({ ...counts, [end]: (counts[end] ?? 0) + 1 }), {})

/** Runs with a client of its own, and checks that it has opened its ten connections once, keeps none, and loses none. */
const withoutLeaks = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient>) =>
  Effect.gen(function* () {
    const local = yield* DsqlLocal
    const before = yield* local.loginCount
    const result = yield* Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const result = yield* effect
      yield* Effect.scoped(Effect.replicateEffect(sql.reserve, connections))
      assert.strictEqual(yield* local.connectionCount, connections)
      return result
    }).pipe(Effect.provide(DsqlLocal.layerClient({ pool: { max: connections } })))
    assert.strictEqual((yield* local.loginCount) - before, connections)
    yield* Effect.repeat(local.connectionCount, { until: (count) => count === 0 })
    return result
  })

/** How each of all attempts ended, and what the row says then. */
const countedBy = <E>(attempt: Effect.Effect<void, E, SqlClient.SqlClient>) =>
  Effect.gen(function* () {
    yield* createCounter
    const exits = yield* race(attempt, fibers, rounds)
    return { exits, n: yield* counted }
  })

layer(conflictingCluster(), { excludeTestServices: true, timeout: "60 seconds" })("a row", (it) => {
  it.effect(
    `that ${fibers} fibers increment ${rounds} times each over ${connections} connections has counted every one`,
    () =>
      Effect.gen(function* () {
        let attempts = 0
        const counting = Effect.zipRight(
          Effect.sync(() => attempts++),
          increment
        )
        const { exits, n } = yield* withoutLeaks(countedBy(DsqlTransaction.withRetry(counting)))
        assert.deepStrictEqual(tally(exits.map(told)), { "gives undefined": fibers * rounds })
        assert.strictEqual(n, fibers * rounds)
        // There was something to retry.
        assert.isAbove(attempts, fibers * rounds)
      }),
    timeout
  )

  it.effect(
    "that 8 processes increment has counted every one",
    () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        yield* Effect.provide(createCounter, DsqlLocal.layerClient())
        const environment = {
          ACCESS: JSON.stringify(yield* local.access),
          FIBERS: "4",
          ROUNDS: String(roundsOfProcess)
        }
        const programs = Array.from({ length: 8 }, () => startProgram(["test/support/counterProgram.ts"], environment))
        const ends = yield* Effect.promise(async () => {
          await Promise.all(programs.map((program) => program.printed(/^ready$/m)))
          for (const program of programs) program.tell("begin")
          return Promise.all(
            programs.map(async (program) => {
              const [, ended = ""] = await program.printed(/^ended (.*)$/m)
              assert.deepStrictEqual(await program.exited, { code: 0, signal: null })
              assert.strictEqual(program.errors(), "")
              return JSON.parse(ended) as ReadonlyArray<string>
            })
          )
        }).pipe(Effect.ensuring(Effect.sync(() => programs.forEach((program) => program.cleanUp()))))
        assert.deepStrictEqual(tally(ends.flat()), { "gives undefined": 8 * 4 * roundsOfProcess })
        assert.strictEqual(yield* Effect.provide(counted, DsqlLocal.layerClient()), 8 * 4 * roundsOfProcess)
        yield* Effect.repeat(local.connectionCount, { until: (count) => count === 0 })
      }),
    timeout
  )

  const onlyOnce: ReadonlyArray<
    readonly [way: string, attempt: Effect.Effect<void, unknown, SqlClient.SqlClient>, lost: string]
  > = [
    [
      "withRetry({ times: 0 })",
      DsqlTransaction.withRetry(increment, { times: 0 }),
      "fails with DsqlConflictError Data after 1"
    ],
    [
      "sql.withTransaction",
      Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(increment)),
      "fails with SqlError(DsqlConflictError Data after 1)"
    ]
  ]
  it.effect.each(onlyOnce)(
    "has counted those that succeeded without a retry, and all others are told of their conflict (%s)",
    ([, attempt, lost]) =>
      Effect.gen(function* () {
        const { exits, n } = yield* withoutLeaks(countedBy(attempt))
        const { "gives undefined": won, [lost]: conflicts, ...others } = tally(exits.map(told))
        assert.deepStrictEqual(others, {})
        assert.strictEqual(won, n)
        assert.strictEqual(won! + conflicts!, fibers * rounds)
      }),
    timeout
  )
})
