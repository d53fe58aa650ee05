/** Batches while everything goes wrong that can: at full size in `npm run soak`, with fewer rows in `npm test`. */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Random, Stream } from "effect"
import { DsqlBatch, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { conflict, connectionLost, type DropMoment, unavailable } from "effect-dsql/Testing"
import { quick } from "./support/transactions.js"

const rows = process.env["DSQL_SOAK"] === undefined ? 5_000 : 100_000

/** A hundred batches, if none were split. */
const maxRows = rows / 100

/** Of every 25 batches five have rows of this size, and are more than a transaction of this cluster may write. */
const wide = 600
const limits = { transactionBytes: maxRows * 400 }
const nameOf = (id: number): string => `owner ${id} `.padEnd(Math.floor(id / maxRows) % 25 < 5 ? wide : 40, ".")

const options = {
  table: "owner",
  key: ["id"],
  maxRows,
  concurrency: 4,
  retry: { ...quick, deadline: "2 minutes" }
} as const

const run = DsqlTransaction.retryStatement({ ...quick, deadline: "2 minutes" })

const emptyTable = (id: string) =>
  Effect.gen(function* () {
    yield* (yield* DsqlLocal).reset
    const sql = yield* SqlClient.SqlClient
    yield* run(sql.unsafe(`CREATE TABLE owner (id ${id} PRIMARY KEY, name text, visits int DEFAULT 0)`))
    yield* run(sql`CREATE INDEX ASYNC owner_visits ON owner (visits)`)
  })

/** Cuts off one of the connections, whatever it is doing. */
const cut = Effect.gen(function* () {
  const local = yield* DsqlLocal
  const connections = yield* local.connections
  const one = connections[yield* Random.nextIntBetween(0, Math.max(1, connections.length))]
  return one !== undefined && (yield* local.dropConnection(one.id))
})

/**
 * Runs batches while their statements and COMMITs fail, and breaks a connection after each of them while others are under way.
 * Gives how many broke; all faults must have struck.
 */
const underFire = <A, E, R>(
  commits: boolean,
  load: (onProgress: () => Effect.Effect<void>) => Effect.Effect<A, E, R>
): Effect.Effect<{ readonly result: A; readonly cuts: number }, E, R | DsqlLocal> =>
  Effect.gen(function* () {
    const local = yield* DsqlLocal
    const context = yield* Effect.context<DsqlLocal>()
    let cuts = 0
    let seed = 0
    const sometimes = () => ({ times: 5, probability: 0.2, seed: ++seed })
    yield* local.failNext("statement", conflict("Schema"), sometimes())
    yield* local.failNext("statement", unavailable(), sometimes())
    yield* local.failNext("statement", connectionLost(), sometimes())
    if (commits) {
      yield* local.failNext("COMMIT", conflict(), sometimes())
      yield* local.failNext("COMMIT", unavailable(), sometimes())
      const moments: ReadonlyArray<DropMoment> = ["before", "during", "after"]
      yield* Effect.forEach(moments, (moment) => local.dropAtCommit(moment, sometimes()))
    }
    const onProgress = () => Effect.map(Effect.provide(cut, context), (done) => void (cuts += done ? 1 : 0))
    const result = yield* load(onProgress)
    assert.deepStrictEqual(yield* local.pendingFaults, [])
    return { result, cuts }
  })

/** Rows, different ones, and what would be another if one were there twice, or wrong. */
const stored = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`
    SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, count(DISTINCT name)::int AS names,
      sum(length(name))::int AS letters, sum(visits)::int AS visits FROM owner`
).pipe(DsqlTransaction.withRetry({ readOnly: true }))

const expected = (visits: number) => [
  {
    rows,
    ids: rows,
    names: rows,
    letters: Array.from({ length: rows }, (_, n) => nameOf(n + 1).length).reduce((a, b) => a + b),
    visits
  }
]

layer(DsqlLocal.layerLive({ limits }, { pool: { connectRate: 1_000 } }), {
  excludeTestServices: true,
  timeout: "60 seconds"
})(`${rows} rows in batches`, (it) => {
  const ids = Stream.range(1, rows)
  const timeout = rows * 12

  it.effect(
    "are written once each, by statements that fail and on connections that break",
    () =>
      Effect.gen(function* () {
        yield* emptyTable("int")
        const source = Stream.map(ids, (id) => ({ id, name: nameOf(id) }))
        const { cuts, result } = yield* underFire(false, (onProgress) =>
          DsqlBatch.insert<object>({ ...options, onProgress })(source)
        )
        assert.deepInclude(result, { rows, written: rows })
        // Twenty of the hundred were too much for a transaction.
        assert.isAtLeast(result.transactions, 120)
        assert.isAbove(cuts, 50)
        assert.deepStrictEqual(yield* stored, expected(0))

        const update = yield* underFire(false, (onProgress) =>
          Effect.flatMap(SqlClient.SqlClient, (sql) =>
            DsqlBatch.update({
              ...options,
              set: sql`visits = 1`,
              where: sql`visits = 0`,
              repeatable: true,
              onProgress
            })
          )
        )
        assert.deepInclude(update.result, { rows, last: [String(rows)] })
        assert.deepStrictEqual(yield* stored, expected(rows))
      }).pipe(Effect.withRandom(Random.make("batches"))),
    timeout
  )

  it.effect(
    "are written once each when the table makes their keys, by transactions whose COMMITs fail or are not answered",
    () =>
      Effect.gen(function* () {
        yield* emptyTable("bigint GENERATED ALWAYS AS IDENTITY (CACHE 1)")
        const source = Stream.map(ids, (id) => ({ name: nameOf(id) }))
        const { cuts, result } = yield* underFire(true, (onProgress) =>
          DsqlBatch.insert<object>({ ...options, onProgress })(source)
        )
        assert.deepInclude(result, { rows, written: rows })
        assert.isAtLeast(result.transactions, 120)
        assert.isAbove(cuts, 50)
        assert.deepStrictEqual(yield* stored, expected(0))
      }).pipe(Effect.withRandom(Random.make("batches"))),
    timeout
  )
})
