import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, layer } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { DsqlAuth, DsqlClient, DsqlConfig, DsqlConnection, DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { withInstruments } from "./support/instruments.js"

const live = { excludeTestServices: true, timeout: "60 seconds" } as const

/** A client with one connection, and that connection's protocol layer to count messages on. */
const OneConnection = Layer.unwrapEffect(
  Effect.map(DsqlLocal, (cluster) =>
    DsqlClient.layer.pipe(
      Layer.provideMerge(DsqlConnection.layer),
      Layer.provide(DsqlAuth.layerToken),
      Layer.provide(DsqlAuth.layerStatic(cluster.credentials)),
      Layer.provide(
        DsqlConfig.layer({
          ...cluster.options,
          pool: { max: 1 },
          transformResultNames: (name) => (name === "upper_me" ? "UPPER" : name),
          types: {
            getTypeParser: (oid: number) => (text: string | Buffer) => {
              if (String(text) === "bad") throw new TypeError("this value is bad")
              return oid === 23 ? Number(text) : String(text)
            }
          }
        })
      )
    )
  )
).pipe(Layer.provideMerge(DsqlLocal.layer(withInstruments)))

/** How many messages of a kind the server sends while an effect runs. */
const messages =
  (...names: ReadonlyArray<string>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const { use } = yield* DsqlConnection.DsqlConnection
      const protocol = yield* use(({ driver }) => Effect.succeed(driver))
      const counts = names.map(() => 0)
      const counters = names.map((name, index) => {
        const count = () => void counts[index]!++
        protocol.on(name, count)
        return [name, count] as const
      })
      yield* effect
      for (const [name, count] of counters) protocol.off(name, count)
      return counts
    })

/** What the server keeps for the connection; without parameters, so that asking keeps nothing. */
const kept = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ statement: string }>`SELECT statement FROM pg_prepared_statements ORDER BY prepare_time`
  return rows.map((row) => row.statement)
})

const forgetAll = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`DEALLOCATE ALL`)

layer(OneConnection, live)("prepared statements", (it) => {
  it.effect("with parameters are parsed and described once", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* forgetAll
      const twice = (n: number) => sql<{ twice: number }>`SELECT ${n}::int * 2 AS twice`
      const counts = yield* messages(
        "parseComplete",
        "rowDescription",
        "readyForQuery"
      )(
        Effect.forEach([1, 2, 3, 4], (n) =>
          Effect.map(twice(n), (rows) => assert.deepStrictEqual(rows, [{ twice: 2 * n }]))
        )
      )
      assert.deepStrictEqual(counts, [1, 1, 4])
      assert.deepStrictEqual(yield* kept, ["SELECT $1::int * 2 AS twice"])
      assert.deepStrictEqual(yield* twice(5).values, [[10]])
      const raw = (yield* twice(6).raw) as { readonly fields: ReadonlyArray<{ readonly name: string }> }
      assert.deepStrictEqual(
        raw.fields.map((field) => field.name),
        ["twice"]
      )
    })
  )

  it.effect("without rows are described once as well", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TEMPORARY TABLE filled (n int)`
      const [noData] = yield* messages("noData")(
        Effect.forEach([1, 2, 3], (n) =>
          Effect.map(sql`INSERT INTO filled VALUES (${n})`, (rows) => assert.isEmpty(rows))
        )
      )
      assert.isAtMost(noData!, 1)
      assert.deepStrictEqual(yield* sql`SELECT count(*)::int AS n FROM filled`, [{ n: 3 }])
    })
  )

  it.effect("are bounded; what is given up is closed without a round trip, the least recently used first", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* forgetAll
      const texts = Array.from({ length: 150 }, (_, n) => `SELECT $1::int + ${n} AS n`)
      const run = (text: string) => sql.unsafe(text, [0])
      const counts = yield* messages(
        "readyForQuery",
        "closeComplete",
        "parseComplete"
      )(Effect.forEach(texts, (text) => Effect.zipRight(run(text), run(texts[0]!))))
      const held = yield* kept
      assert.include(held, texts[0])
      assert.include(held, texts.at(-1))
      assert.notInclude(held, texts[1])
      // One that has been given up is still there, to be closed with the next request.
      assert.isAtMost(held.length, 101)
      assert.strictEqual(counts[0], 2 * texts.length)
      assert.isAtLeast(counts[1]!, texts.length - 101)
      assert.strictEqual(counts[2], texts.length)
      assert.deepStrictEqual(yield* run(texts[1]!), [{ n: 1 }])
    })
  )

  it.effect("are kept only where that is of use", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* forgetAll
      yield* sql`SELECT ${1}::int AS n`.unprepared
      yield* sql.unsafe(`SELECT $1::int AS n /* ${"long".repeat(5000)} */`, [1])
      yield* sql`SELECT 1 AS n`
      yield* Stream.runDrain(sql`SELECT ${1}::int AS n`.stream)
      assert.isEmpty(yield* kept)
    })
  )

  it.effect("that failed, at whatever stage, work afterwards", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* forgetAll
      const sqlStateOf = (statement: Effect.Effect<unknown, unknown>) =>
        Effect.map(Effect.flip(statement), (error) => {
          const cause = DsqlErrors.unwrap(error)
          return cause?._tag === "DsqlQueryError" ? cause.sqlState : cause?._tag
        })
      const number = (text: string) => sql`SELECT ${text}::int AS n`
      assert.strictEqual(yield* sqlStateOf(number("none")), "22P02")
      assert.deepStrictEqual(yield* number("7"), [{ n: 7 }])
      const late = () => sql`SELECT n FROM appears_later WHERE n = ${1}`
      assert.strictEqual(yield* sqlStateOf(late()), "42P01")
      yield* sql`CREATE TEMPORARY TABLE appears_later (n int)`
      assert.deepStrictEqual(yield* late(), [])
      const divide = (by: number) => sql`SELECT 10 / ${by}::int AS n`
      assert.strictEqual(yield* sqlStateOf(divide(0)), "22012")
      assert.deepStrictEqual(yield* divide(5), [{ n: 2 }])
      assert.strictEqual(yield* sqlStateOf(sql`SELECT ${"bad"}::text AS t`), "22000")
      assert.deepStrictEqual(yield* sql`SELECT ${"good"}::text AS t`, [{ t: "good" }])
    })
  )

  it.effect("whose rows have changed are prepared anew, once", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE evolving (id int)`
      yield* sql`INSERT INTO evolving VALUES (1)`
      const read = () => sql`SELECT * FROM evolving WHERE id = ${1}`
      assert.deepStrictEqual(yield* read(), [{ id: 1 }])
      yield* sql`ALTER TABLE evolving ADD COLUMN name text DEFAULT 'new'`
      assert.deepStrictEqual(yield* read(), [{ id: 1, name: "new" }])
      yield* sql`ALTER TABLE evolving ADD COLUMN age int`
      const lost = yield* Effect.flip(sql.withTransaction(read()))
      assert.isTrue(DsqlErrors.isConflict(lost))
      assert.isTrue(DsqlErrors.isRetryable(lost))
      assert.deepStrictEqual(yield* sql.withTransaction(read()), [{ id: 1, name: "new", age: null }])
    })
  )

  it.effect("that somebody else has deallocated are prepared anew", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const read = () => sql`SELECT ${"kept"}::text AS word`
      yield* read()
      yield* forgetAll
      assert.deepStrictEqual(yield* read(), [{ word: "kept" }])
      // Hidden from the client, as a function that deallocates would be.
      yield* sql`DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$`
      assert.deepStrictEqual(yield* read(), [{ word: "kept" }])
    })
  )

  it.effect("with more parameters than the protocol can count are refused before anything is sent", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const values = Array.from({ length: 65_536 }, (_, n) => n)
      const error = yield* Effect.flip(DsqlErrors.refine(sql`SELECT 1 WHERE ${sql.in("n", values)}`))
      assert(error._tag === "DsqlLimitError")
      assert.strictEqual(error.reason, "Parameters")
      assert.match(error.message, /65536 parameters.*65,535/)
      const most = yield* sql`SELECT 1 AS one WHERE ${sql.in("1", values.slice(1))}`.pipe(Effect.exit)
      assert.isFalse(Exit.isSuccess(most) && most.value.length > 1)
    })
  )
})

layer(OneConnection, live)("results", (it) => {
  it.effect("of a text with several statements come one by one, transformed", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const text =
        "SELECT 1 AS upper_me; CREATE TEMPORARY TABLE multi (n int); INSERT INTO multi VALUES (1), (2); SELECT 2 AS b"
      assert.deepStrictEqual(yield* sql.unsafe(text.replace("TABLE multi", "TABLE IF NOT EXISTS multi")), [
        [{ UPPER: 1 }],
        [],
        [],
        [{ b: 2 }]
      ])
      const raw = (yield* sql.unsafe("SELECT 1 AS a; INSERT INTO multi VALUES (3); SELECT 1, 2").raw) as ReadonlyArray<{
        readonly command: string
        readonly rowCount: number
        readonly fields: ReadonlyArray<unknown>
      }>
      assert.deepStrictEqual(
        raw.map(({ command, fields, rowCount }) => [command, rowCount, fields.length]),
        [
          ["SELECT", 1, 1],
          ["INSERT", 1, 0],
          ["SELECT", 1, 2]
        ]
      )
    })
  )

  it.effect("of an empty text are none", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql.unsafe(""), [])
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Stream.runCollect(sql.unsafe("").stream)), [])
    })
  )

  it.effect("may have columns of any name", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql.unsafe('SELECT 1 AS "__proto__", 2 AS constructor, 3 AS twice, 4 AS twice')
        .withoutTransform
      assert.deepStrictEqual(Object.entries(row!), [
        ["__proto__", 1],
        ["constructor", 2],
        ["twice", 4]
      ])
      assert.strictEqual(Object.getPrototypeOf(row), Object.prototype)
    })
  )
})

layer(OneConnection, live)("streams", (it) => {
  const numbers = (sql: SqlClient.SqlClient, last: number) =>
    sql<{ n: number }>`SELECT n FROM generate_series(1, ${last}::int) AS n`.stream
  /** The portals that the transaction holds; asked with a parameter, since what is to be closed goes along with those. */
  const portals = (sql: SqlClient.SqlClient) =>
    Effect.map(sql<{ name: string }>`SELECT name FROM pg_cursors WHERE name <> ${""}`, (rows) => rows.length)

  describe("inside a transaction", () => {
    it.effect("are read bit by bit, with other statements in between", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const open = yield* numbers(sql, 1000).pipe(
          Stream.chunks,
          Stream.mapEffect((chunk) => Effect.map(portals(sql), (open) => [Chunk.size(chunk), open] as const)),
          Stream.runCollect,
          sql.withTransaction
        )
        const read = Chunk.toReadonlyArray(open)
        assert.isAbove(read.length, 5)
        assert.strictEqual(
          read.reduce((sum, [size]) => sum + size, 0),
          1000
        )
        assert.strictEqual(read[0]![1], 1)
      })
    )

    it.effect("run side by side", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const pairs = yield* Stream.zip(numbers(sql, 500), numbers(sql, 400)).pipe(
          Stream.runCollect,
          sql.withTransaction
        )
        assert.strictEqual(Chunk.size(pairs), 400)
        assert.isTrue(Chunk.every(pairs, ([a, b]) => a.n === b.n))
      })
    )

    it.effect("ended early free their portal without a round trip", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [ready] = yield* messages("readyForQuery")(
          sql.withTransaction(
            Effect.gen(function* () {
              yield* Stream.runDrain(Stream.take(numbers(sql, 10_000), 3))
              assert.strictEqual(yield* portals(sql), 0)
            })
          )
        )
        // BEGIN, one fetch, the question for portals, COMMIT.
        assert.strictEqual(ready, 4)
      })
    )

    it.effect("fail typed in the middle, and the transaction rolls back", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const seen: Array<unknown> = []
        const error = yield* sql`SELECT 1 / (${500}::int - n) AS q FROM generate_series(1, 1000) AS n`.stream.pipe(
          Stream.runForEach((row) => Effect.sync(() => seen.push(row))),
          sql.withTransaction,
          DsqlErrors.refine,
          Effect.flip
        )
        assert(error._tag === "DsqlQueryError")
        assert.strictEqual(error.sqlState, "22012")
        assert.isAbove(seen.length, 0)
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
      })
    )

    it.effect("fail typed on a value that cannot be parsed, in any bit", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const at of [1, 300]) {
          const stream =
            sql`SELECT CASE n WHEN ${at}::int THEN 'bad' ELSE 'good' END AS x FROM generate_series(1, 1000) AS n`.stream
          for (const effect of [Stream.runDrain(stream), sql.withTransaction(Stream.runDrain(stream))]) {
            const error = yield* Effect.flip(DsqlErrors.refine(effect))
            assert(error._tag === "DsqlQueryError")
            assert.strictEqual(error.sqlState, "22000")
          }
        }
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
      })
    )

    it.effect("cannot be read on when it has ended", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const ended = yield* Deferred.make<void>()
        const stray = yield* numbers(sql, 1000).pipe(
          Stream.tap(({ n }) => (n === 100 ? Deferred.await(ended) : Effect.void)),
          Stream.runDrain,
          DsqlErrors.refine,
          Effect.exit,
          Effect.forkDaemon,
          Effect.tap(portals(sql)),
          sql.withTransaction
        )
        yield* Deferred.succeed(ended, undefined)
        const exit = yield* Fiber.join(stray)
        assert(Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error._tag === "DsqlTransactionError")
        assert.strictEqual(exit.cause.error.reason, "Finished")
      })
    )

    it.effect("interrupted while they wait for rows end the connection", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const first = yield* Deferred.make<void>()
        const pid = Effect.map(sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row!.pid)
        const before = yield* pid
        const fiber =
          yield* sql`SELECT n, CASE WHEN n > 200 THEN pg_sleep(60) END AS s FROM generate_series(1, 1000) AS n`.stream.pipe(
            Stream.tap(() => Deferred.succeed(first, undefined)),
            Stream.runDrain,
            sql.withTransaction,
            Effect.fork
          )
        yield* Deferred.await(first)
        yield* Fiber.interrupt(fiber)
        assert.notStrictEqual(yield* pid, before)
      })
    )
  })

  describe("on a reserved connection", () => {
    it.effect("leave room for its other statements, in a transaction block or not", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const [begin, end] of [
          ["SELECT 1", "SELECT 1"],
          ["BEGIN", "COMMIT"]
        ] as const) {
          const sum = yield* Effect.scoped(
            Effect.gen(function* () {
              const connection = yield* sql.reserve
              yield* connection.executeRaw(begin, [])
              const sum = yield* connection
                .executeStream("SELECT n FROM generate_series(1, $1::int) AS n", [300], undefined)
                .pipe(
                  Stream.mapEffect((row: { readonly n: number }) =>
                    connection.executeValues("SELECT $1::int * 2", [row.n])
                  ),
                  Stream.runFold(0, (sum, [row]) => sum + Number(row![0]))
                )
              yield* connection.executeRaw(end, [])
              return sum
            })
          )
          assert.strictEqual(sum, 300 * 301)
        }
      })
    )
  })

  it.effect("end at once where a statement has no rows, and do what it says", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      yield* sql`CREATE TEMPORARY TABLE streamed (n int)`
      yield* Stream.runDrain(sql`INSERT INTO streamed SELECT generate_series(1, ${300}::int)`.stream)
      yield* sql.withTransaction(Stream.runDrain(sql`INSERT INTO streamed VALUES (${1})`.stream))
      const returned = yield* Stream.runCollect(sql`DELETE FROM streamed RETURNING n`.stream)
      assert.strictEqual(Chunk.size(returned), 301)
      assert.deepStrictEqual(yield* sql`SELECT n FROM streamed`, [])
    })
  )
})
