import { SqlClient } from "@effect/sql"
import { assert, describe, it, layer } from "@effect/vitest"
import { Chunk, Effect, Exit, Stream } from "effect"
import { DsqlBatch, DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { quick, told } from "./support/transactions.js"

interface Owner {
  readonly id: number
  readonly name: string
}

const owners = (count: number): Stream.Stream<Owner> =>
  Stream.map(Stream.range(1, count), (id) => ({ id, name: `owner ${id}` }))

const options = { table: "owner", key: ["id"], retry: quick, concurrency: 1 } as const

/** What was committed, as the first word of each statement and how many rows it had. */
const statements = Effect.gen(function* () {
  const script = yield* DsqlTesting.Script
  return (yield* script.recorded).map(({ error, params, sql }) => {
    const [word] = sql.split(" ")
    return `${word}${params.length === 0 ? "" : ` ${params.length / 2}`}${error === undefined ? "" : ` ${error._tag}`}`
  })
})

const scripted = (counted: (keys: number) => number = () => 0) =>
  DsqlTesting.layerClient([
    DsqlTesting.answer(/^INSERT INTO "owner"/, (params) => ({ rowCount: params.length / 2 })),
    DsqlTesting.answer(/^SELECT count/, (params) => [{ count: counted(params.length) }])
  ])

describe("inserting in batches", () => {
  it.live("puts as many rows into a transaction as it may", () =>
    Effect.gen(function* () {
      const seen: Array<DsqlBatch.Progress<Owner>> = []
      const progress = yield* DsqlBatch.insert({
        ...options,
        maxRows: 4,
        onProgress: (progress: DsqlBatch.Progress<Owner>) => Effect.sync(() => seen.push(progress))
      })(owners(10))
      assert.deepStrictEqual(progress, { rows: 10, written: 10, transactions: 3, last: { id: 10, name: "owner 10" } })
      assert.deepStrictEqual(
        seen.map(({ last, rows }) => [rows, last?.id]),
        [
          [4, 4],
          [8, 8],
          [10, 10]
        ]
      )
      assert.deepStrictEqual(
        yield* statements,
        [4, 4, 2].map((rows) => `INSERT ${rows}`)
      )
    }).pipe(Effect.provide(scripted()))
  )

  it.live("counts bytes too", () =>
    Effect.gen(function* () {
      const rows = Stream.make(100, 5_000, 600, 100, 100).pipe(
        Stream.map((size) => ({ id: 1, name: "x".repeat(size) }))
      )
      const { transactions } = yield* DsqlBatch.insert({ ...options, maxBytes: 1_024 })(rows)
      assert.strictEqual(transactions, 3)
      const inserts = (yield* statements).filter((statement) => statement.startsWith("INSERT"))
      assert.deepStrictEqual(inserts, ["INSERT 1", "INSERT 1", "INSERT 3"])
    }).pipe(Effect.provide(scripted()))
  )

  it.live("splits what the service calls too much, until it is not", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.failNext("statement", DsqlTesting.rowLimitExceeded(), { times: 2 })
      const progress = yield* DsqlBatch.insert({ ...options, maxRows: 8 })(owners(8))
      assert.deepStrictEqual(progress, { rows: 8, written: 8, transactions: 3, last: { id: 8, name: "owner 8" } })
      const failed = [8, 4].map((rows) => `INSERT ${rows} DsqlLimitError`)
      const done = [2, 2, 4].map((rows) => `INSERT ${rows}`)
      assert.deepStrictEqual(yield* statements, [...failed, ...done])
    }).pipe(Effect.provide(scripted()))
  )

  it.live("tells of one row that is too much by itself", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.failNext("statement", DsqlTesting.rowLimitExceeded(), { times: 3 })
      const error = yield* Effect.flip(DsqlBatch.insert({ ...options, maxRows: 4 })(owners(4)))
      assert.instanceOf(error, DsqlBatch.DsqlBatchError)
      assert.deepInclude(error, { reason: "Failed", table: "owner", from: 1, to: 4, last: undefined })
      assert.strictEqual(DsqlErrors.isDsqlError(error.cause) && error.cause._tag, "DsqlLimitError")
    }).pipe(Effect.provide(scripted()))
  )

  it.live("runs a batch again that lost a conflict", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.failNext("statement", DsqlTesting.conflict(), { times: 2 })
      yield* script.failNext("connect", DsqlTesting.connectionRefused("ClusterWaking"))
      const progress = yield* DsqlBatch.insert(options)(owners(3))
      assert.deepInclude(progress, { written: 3, transactions: 1 })
    }).pipe(Effect.provide(scripted()))
  )

  it.live("looks by the key whether a statement that was not answered took effect", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.failNext("statement", DsqlTesting.connectionLost())
      const progress = yield* DsqlBatch.insert(options)(owners(3))
      assert.deepInclude(progress, { written: 3, transactions: 1 })
      assert.deepStrictEqual(yield* statements, ["INSERT 3 DsqlConnectionError", "SELECT 1.5"])
    }).pipe(Effect.provide(scripted((keys) => keys)))
  )

  it.live("writes a batch again that was not there", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.failNext("statement", DsqlTesting.connectionLost())
      const progress = yield* DsqlBatch.insert(options)(owners(3))
      assert.deepInclude(progress, { written: 3, transactions: 1 })
      assert.deepStrictEqual(yield* statements, ["INSERT 3 DsqlConnectionError", "SELECT 1.5", "INSERT 3"])
    }).pipe(Effect.provide(scripted()))
  )

  it.live("takes a batch for written only if all of it is there", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.failNext("statement", DsqlTesting.connectionLost())
      yield* DsqlBatch.insert(options)(owners(3))
      assert.strictEqual((yield* statements).at(-1), "INSERT 3")
    }).pipe(Effect.provide(scripted((keys) => keys - 1)))
  )

  it.live("knows before COMMIT the keys that the table has made", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.answer(/^INSERT INTO "owner" \("name"\) VALUES .* RETURNING "id"$/, [{ id: 7 }, { id: 8 }])
      yield* script.dropAtCommit("after")
      const names = Stream.make({ name: "Ana" }, { name: "Bo" })
      const progress = yield* DsqlBatch.insert<object>(options)(names)
      assert.deepInclude(progress, { written: 2, transactions: 1 })
      const recorded = yield* script.recorded
      assert.deepStrictEqual(recorded.at(-1)?.params, [7, 8])
      assert.deepStrictEqual(
        recorded.map(({ sql }) => sql.split(" ")[0]),
        ["BEGIN", "INSERT", "COMMIT", "SELECT"]
      )
    }).pipe(Effect.provide(scripted((keys) => keys)))
  )

  it.live("finds what arrived after it had looked", () => {
    let looks = 0
    return Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      let inserts = 0
      yield* script.answer(/^INSERT INTO "owner"/, () =>
        Effect.fail(
          inserts++ === 0
            ? DsqlTesting.connectionLost()
            : DsqlTesting.uniqueViolation({ table: "owner", constraint: "owner_pkey" })
        )
      )
      const progress = yield* DsqlBatch.insert(options)(owners(3))
      assert.deepInclude(progress, { written: 3, transactions: 1 })
      assert.strictEqual(inserts, 2)
      assert.strictEqual(looks, 2)
    }).pipe(Effect.provide(scripted((keys) => (looks++ === 0 ? 0 : keys))))
  })

  it.live("cannot tell without a key, and says which rows to look for", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      const insert = DsqlBatch.insert<Owner>({ ...options, key: undefined, maxRows: 2 })
      let commits = 0
      yield* script.answer(/^INSERT/, () => (commits++ === 1 ? Effect.fail(DsqlTesting.connectionLost()) : []))
      const error = yield* Effect.flip(insert(owners(6)))
      assert.instanceOf(error, DsqlBatch.DsqlBatchError)
      assert.deepInclude(error, { reason: "OutcomeUnknown", from: 3, to: 4, last: { id: 2, name: "owner 2" } })
      assert.match(error.message, /Rows 3 to 4 .* look in the table/)
    }).pipe(Effect.provide(scripted()))
  )

  it.live("refuses rows of other columns where they come", () =>
    Effect.gen(function* () {
      const rows = Stream.make<[object, ...Array<object>]>({ id: 1 }, { id: 2 }, { id: 3, name: "x" }, { id: 4 })
      const error = yield* Effect.flip(DsqlBatch.insert({ ...options, maxRows: 2 })(rows))
      assert.instanceOf(error, DsqlBatch.DsqlBatchError)
      assert.deepInclude(error, { reason: "Columns", column: "name", from: 3, to: 4, last: { id: 2 } })
      assert.deepStrictEqual(yield* statements, ["INSERT 1"])
    }).pipe(Effect.provide(scripted()))
  )

  it.live("lets the stream's own failure pass", () =>
    Effect.gen(function* () {
      const rows = Stream.concat(owners(2), Stream.fail("mine" as const))
      assert.strictEqual(yield* Effect.flip(DsqlBatch.insert(options)(rows)), "mine")
    }).pipe(Effect.provide(scripted()))
  )

  it.live("refuses options that cannot be right, and to be a part of a transaction", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const failing = (wrong: Partial<DsqlBatch.InsertOptions<Owner>>) =>
        Effect.map(Effect.exit(DsqlBatch.insert({ ...options, ...wrong })(owners(1))), told)
      const invalid = "fails with DsqlConfigError InvalidOption"
      assert.strictEqual(yield* failing({ maxRows: 3_001 }), invalid)
      assert.strictEqual(yield* failing({ maxBytes: 11 << 20 }), invalid)
      assert.strictEqual(yield* failing({ concurrency: 0 }), invalid)
      assert.strictEqual(yield* failing({ key: undefined, onConflict: "update" }), invalid)
      assert.strictEqual(yield* failing({ retry: { base: "1 hour" } }), invalid)
      assert.strictEqual(
        told(yield* Effect.exit(sql.withTransaction(DsqlBatch.insert(options)(owners(1))))),
        "fails with DsqlTransactionError InsideTransaction"
      )
    }).pipe(Effect.provide(scripted()))
  )
})

const count = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ rows: number; ids: number }>`SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids FROM owner`,
    ([row]) => row!
  )
).pipe(DsqlTransaction.withRetry({ readOnly: true }))

const emptyTable = (definition: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.zipRight(
      DsqlTransaction.withRetry(sql`DROP TABLE IF EXISTS owner`),
      DsqlTransaction.withRetry(sql.unsafe(`CREATE TABLE owner (${definition})`))
    )
  )

layer(DsqlLocal.layerLive({}, { pool: { connectRate: 1_000 } }), { excludeTestServices: true, timeout: "60 seconds" })(
  "batches on a cluster",
  (it) => {
    it.effect("insert rows, pass over those that are there, and put others in their place", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* emptyTable("id int PRIMARY KEY, name text")
        const named = (from: number, to: number, name: string) =>
          Stream.map(Stream.range(from, to), (id) => ({ id, name }))
        const insert = DsqlBatch.insert<Owner>({ ...options, concurrency: 4, maxRows: 300 })
        assert.deepInclude(yield* insert(named(1, 1_000, "a")), { rows: 1_000, written: 1_000, transactions: 4 })
        const error = yield* Effect.flip(insert(named(901, 1_100, "b")))
        assert.instanceOf(error, DsqlBatch.DsqlBatchError)
        assert.deepInclude(error, { reason: "Failed", from: 1, to: 200 })
        assert.strictEqual(error.cause?._tag, "DsqlConstraintError")
        const ignore = DsqlBatch.insert<Owner>({ ...options, onConflict: "ignore" })
        assert.deepInclude(yield* ignore(named(901, 1_100, "b")), { rows: 200, written: 100 })
        const upsert = DsqlBatch.insert<Owner>({ ...options, onConflict: "update" })
        assert.deepInclude(yield* upsert(named(1_051, 1_150, "c")), { rows: 100, written: 100 })
        const names = yield* sql`SELECT name, count(*)::int AS n FROM owner GROUP BY name ORDER BY name`
        assert.deepStrictEqual(names, [
          { name: "a", n: 1_000 },
          { name: "b", n: 50 },
          { name: "c", n: 100 }
        ])
      })
    )

    it.effect("write wide rows in several statements of one transaction", () =>
      Effect.gen(function* () {
        const columns = Array.from({ length: 40 }, (_, n) => `c${n}`)
        yield* emptyTable(`id int PRIMARY KEY, ${columns.map((name) => `${name} int`).join(", ")}`)
        const values = Object.fromEntries(columns.map((name, n) => [name, n]))
        const rows = Stream.map(Stream.range(1, 3_000), (id) => ({ id, ...values }))
        const progress = yield* DsqlBatch.insert<object>({ ...options, maxRows: 3_000 })(rows)
        assert.deepInclude(progress, { written: 3_000, transactions: 1 })
        assert.deepStrictEqual(yield* count, { rows: 3_000, ids: 3_000 })
      })
    )

    it.effect("go on from the last row that a run has told of", () =>
      Effect.gen(function* () {
        yield* emptyTable("id int PRIMARY KEY, name text CHECK (name <> 'owner 700')")
        let cursor = 0
        const load = (from: number, mend: (row: Owner) => Owner) =>
          DsqlBatch.insert<Owner>({
            ...options,
            concurrency: 4,
            maxRows: 100,
            onConflict: "ignore",
            onProgress: ({ last }) => Effect.sync(() => (cursor = last!.id))
          })(Stream.filter(owners(1_000), ({ id }) => id > from).pipe(Stream.map(mend)))
        const error = yield* Effect.flip(load(0, (row) => row))
        assert.instanceOf(error, DsqlBatch.DsqlBatchError)
        assert.deepInclude(error, { reason: "Failed", from: 601, to: 700, last: { id: 600, name: "owner 600" } })
        assert.strictEqual(cursor, 600)
        yield* load(cursor, (row) => (row.id === 700 ? { ...row, name: "mended" } : row))
        assert.deepStrictEqual(yield* count, { rows: 1_000, ids: 1_000 })
      })
    )

    it.effect("update and delete a range of keys, all or from a key on", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* emptyTable("id int, part text, name text, PRIMARY KEY (id, part)")
        yield* sql`INSERT INTO owner SELECT n, p, NULL FROM generate_series(1, 500) AS n, unnest(ARRAY['a', 'b']) AS p`
        const range = { table: "owner", key: ["id", "part"], maxRows: 150, retry: quick } as const
        const update = DsqlBatch.update({
          ...range,
          set: sql`name = part || id`,
          where: sql`id % 2 = 0`,
          after: ["100", "a"]
        })
        const progress = yield* update
        assert.deepStrictEqual(progress, { rows: 401, written: 401, transactions: 3, last: ["500", "b"] })
        const [updated] =
          yield* sql`SELECT count(*)::int AS n, min(id)::int AS first FROM owner WHERE name = part || id`
        assert.deepStrictEqual(updated, { n: 401, first: 100 })
        assert.deepInclude(yield* DsqlBatch.delete({ ...range, where: sql`name IS NULL` }), { rows: 599, written: 599 })
        assert.deepStrictEqual(yield* count, { rows: 401, ids: 201 })
      })
    )

    it.effect("keep to the keys of a page as they are in the database", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* emptyTable("id timestamptz PRIMARY KEY, name text")
        yield* sql`INSERT INTO owner SELECT '2026-01-01'::timestamptz + n * interval '1 microsecond' FROM generate_series(1, 100) AS n`
        const progress = yield* DsqlBatch.update({ ...options, maxRows: 7, set: sql`name = coalesce(name, '') || 'x'` })
        assert.deepInclude(progress, { rows: 100, written: 100, transactions: 15 })
        assert.deepStrictEqual(yield* sql`SELECT DISTINCT name FROM owner`, [{ name: "x" }])
      })
    )
  }
)

describe("changing a range of keys", () => {
  const keys = Chunk.toReadonlyArray(Chunk.range(1, 6)).map((id) => ({ key_0: String(id) }))
  const ranged = DsqlTesting.layerClient([
    DsqlTesting.answer(/^SELECT "id"::text/, keys),
    DsqlTesting.answer(/^UPDATE "owner"/, { rowCount: 3 })
  ])
  const update = (repeatable: boolean) =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      DsqlBatch.update({ ...options, set: sql`n = n + 1`, repeatable, maxRows: 1_000 })
    )

  it.live("changes a batch again that was not answered only if that does no harm", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.answerOnce(/^UPDATE/, Effect.fail(DsqlTesting.connectionLost()))
      const error = yield* Effect.flip(update(false))
      assert.instanceOf(error, DsqlBatch.DsqlBatchError)
      assert.deepInclude(error, { reason: "OutcomeUnknown", from: 1, to: 6 })
      yield* script.answerOnce(/^UPDATE/, Effect.fail(DsqlTesting.connectionLost()))
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(update(true))))
    }).pipe(Effect.provide(ranged))
  )

  it.live("splits a range between its keys", () =>
    Effect.gen(function* () {
      const script = yield* DsqlTesting.Script
      yield* script.answerOnce(/^UPDATE/, Effect.fail(DsqlTesting.rowLimitExceeded()))
      const progress = yield* update(false)
      assert.deepStrictEqual(progress, { rows: 6, written: 6, transactions: 2, last: ["6"] })
      const updates = (yield* script.recorded).filter(({ sql }) => sql.startsWith("UPDATE"))
      assert.deepStrictEqual(
        updates.map(({ params }) => params),
        [["6"], ["3"], ["3", "6"]]
      )
    }).pipe(Effect.provide(ranged))
  )
})
