import { PgClient } from "@effect/sql-pg"
import { SqlClient, SqlError, SqlResolver, SqlSchema } from "@effect/sql"
import { assert, describe, layer } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, Option, Schema, Stream } from "effect"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { withInstruments } from "./support/instruments.js"

const live = { excludeTestServices: true, timeout: "60 seconds" } as const

/** How many backends of this client PostgreSQL has, seen from one of them. */
const backends = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ n: number }>`SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'admin'`
  return row!.n
})

const backendPid = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
  return row!.pid
})

layer(DsqlLocal.layerLive(withInstruments), live)("Client", (it) => {
  describe("statements", () => {
    it.effect("run with and without parameters", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one, ${"two"}::text AS two, ${null}::int AS nothing`, [
          { one: 1, two: "two", nothing: null }
        ])
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one WHERE false`, [])
      })
    )

    it.effect("give values, raw results and several results of one text", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.deepStrictEqual(yield* sql`SELECT 1 AS a, 2 AS a`.values, [[1, 2]])
        const raw = (yield* sql`SELECT 1 AS a`.raw) as { readonly command: string; readonly rowCount: number }
        assert.deepStrictEqual([raw.command, raw.rowCount], ["SELECT", 1])
        assert.deepStrictEqual(yield* sql.unsafe("SELECT 1 AS a; SELECT 2 AS b"), [[{ a: 1 }], [{ b: 2 }]])
        assert.deepStrictEqual(yield* sql`SELECT 1 AS a`.unprepared, [{ a: 1 }])
      })
    )

    it.effect("build inserts, updates and JSON as @effect/sql-pg does", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* sql`CREATE TABLE pets (id int PRIMARY KEY, name text, tags jsonb)`
        yield* sql`INSERT INTO pets ${sql.insert([
          { id: 1, name: "Rex", tags: sql.json(["dog"]) },
          { id: 2, name: "Tom", tags: sql.json({ kind: "cat" }) }
        ])}`
        yield* sql`UPDATE pets SET ${sql.update({ name: "Max" })} WHERE id = ${1}`
        assert.deepStrictEqual(yield* sql`SELECT * FROM pets WHERE ${sql.in("id", [1, 2])} ORDER BY id`, [
          { id: 1, name: "Max", tags: ["dog"] },
          { id: 2, name: "Tom", tags: { kind: "cat" } }
        ])
        yield* sql`UPDATE pets SET name = data.name FROM ${sql.updateValues([{ id: 2, name: "Kim" }], "data")} WHERE pets.id = data.id::int`
        const [row] =
          yield* sql`SELECT name, ${sql.json("text")}::jsonb AS a, ${sql.json(null)}::jsonb AS b FROM pets WHERE id = 2`
        assert.deepStrictEqual(row, { name: "Kim", a: "text", b: null })
      })
    )

    it.effect("work with SqlSchema and SqlResolver", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const double = SqlSchema.single({
          Request: Schema.Int,
          Result: Schema.Struct({ twice: Schema.Int }),
          execute: (n) => sql`SELECT ${n}::int * 2 AS twice`
        })
        assert.deepStrictEqual(yield* double(21), { twice: 42 })
        const resolver = yield* SqlResolver.findById("Number", {
          Id: Schema.Int,
          Result: Schema.Struct({ n: Schema.Int }),
          ResultId: (row) => row.n,
          execute: (ids) => sql`SELECT n FROM generate_series(1, 10) AS n WHERE ${sql.in("n", ids)}`
        })
        const found = yield* Effect.all([resolver.execute(3), resolver.execute(11)], { batching: true })
        assert.deepStrictEqual(found, [Option.some({ n: 3 }), Option.none()])
      })
    )

    it.effect("fail with a SqlError whose cause is one of ours", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const error = yield* Effect.flip(sql`SELECT * FROM no_such_table`)
        assert.instanceOf(error, SqlError.SqlError)
        assert.instanceOf(error.cause, DsqlErrors.DsqlQueryError)
        const refined = yield* Effect.flip(DsqlErrors.refine(sql`SELECT * FROM no_such_table`))
        assert(refined._tag === "DsqlQueryError")
        assert.strictEqual(refined.sqlState, "42P01")
        assert.match(refined.message, /"no_such_table" does not exist \[42P01\] at character 15/)
      })
    )

    it.effect("name the violated constraint", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE constrained (id int PRIMARY KEY, age int NOT NULL CONSTRAINT adult CHECK (age >= 18))`
        yield* sql`INSERT INTO constrained VALUES (1, 20)`
        const reasonOf = (values: string) =>
          DsqlErrors.refine(sql.unsafe(`INSERT INTO constrained VALUES ${values}`)).pipe(
            Effect.flip,
            Effect.map((error) =>
              error._tag === "DsqlConstraintError" ? [error.reason, error.constraint, error.table, error.column] : []
            )
          )
        assert.deepStrictEqual(yield* reasonOf("(1, 30)"), ["Unique", "constrained_pkey", "constrained", undefined])
        assert.deepStrictEqual(yield* reasonOf("(2, 3)"), ["Check", "adult", "constrained", undefined])
        assert.deepStrictEqual(yield* reasonOf("(2, NULL)"), ["NotNull", undefined, "constrained", "age"])
      })
    )

    it.effect("fail typed on a parameter that cannot be sent, and the connection lives on", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const circular: Record<string, unknown> = {}
        circular["self"] = circular
        const error = yield* Effect.flip(
          DsqlErrors.refine(sql.unsafe("SELECT $1::jsonb", [circular as unknown as object]))
        )
        assert(error._tag === "DsqlQueryError")
        assert.strictEqual(error.sqlState, "22000")
        assert.match(error.message, /circular/)
      })
    )

    it.effect("LISTEN and NOTIFY are refused by name", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const listen = yield* Effect.flip(DsqlErrors.refine(Stream.runDrain(sql.listen("channel"))))
        const notify = yield* Effect.flip(DsqlErrors.refine(sql.notify("channel", "payload")))
        assert.deepStrictEqual(
          [listen, notify].map((error) => [error._tag, "feature" in error && error.feature]),
          [
            ["DsqlUnsupportedError", "LISTEN"],
            ["DsqlUnsupportedError", "NOTIFY"]
          ]
        )
      })
    )
  })

  describe("streams", () => {
    it.effect("give all rows, chunk by chunk", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const chunks = yield* sql<{ n: number }>`SELECT n FROM generate_series(1, 1000) AS n`.stream.pipe(
          Stream.chunks,
          Stream.runCollect
        )
        assert.isAbove(Chunk.size(chunks), 1)
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(Chunk.flatten(chunks)).map((row) => row.n),
          Array.from({ length: 1000 }, (_, index) => index + 1)
        )
      })
    )

    it.effect("ended early give their connection back", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const before = yield* backends
        for (let round = 0; round < 20; round++) {
          const rows = yield* sql`SELECT n FROM generate_series(1, 100000) AS n`.stream.pipe(
            Stream.take(3),
            Stream.runCollect
          )
          assert.strictEqual(Chunk.size(rows), 3)
        }
        // More rounds than the pool has connections, so one that is not given back would be missed; backends of earlier
        // tests may still be on their way out of the first count.
        assert.isAtMost(yield* backends, before)
      })
    )

    it.effect("inside a transaction leave room for the statements of their consumer", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const sum = yield* sql<{ n: number }>`SELECT n FROM generate_series(1, 300) AS n`.stream.pipe(
          Stream.mapEffect(({ n }) => sql<{ twice: number }>`SELECT ${n}::int * 2 AS twice`),
          Stream.runFold(0, (sum, [row]) => sum + row!.twice),
          sql.withTransaction
        )
        assert.strictEqual(sum, 300 * 301)
      })
    )

    it.effect("fail typed at the start and in the middle, and the pool goes on", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const atStart = yield* Effect.flip(DsqlErrors.refine(Stream.runDrain(sql`SELECT * FROM no_such_table`.stream)))
        assert.strictEqual(atStart._tag, "DsqlQueryError")
        const rows: Array<unknown> = []
        const inMiddle = yield* sql`SELECT 1 / (500 - n) AS q FROM generate_series(1, 1000) AS n`.stream.pipe(
          Stream.runForEach((row) => Effect.sync(() => rows.push(row))),
          DsqlErrors.refine,
          Effect.flip
        )
        assert(inMiddle._tag === "DsqlQueryError")
        assert.strictEqual(inMiddle.sqlState, "22012")
        assert.isAbove(rows.length, 0)
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
      })
    )
  })

  describe("sessions", () => {
    it.effect("changed by SET or set_config are reset before the next use", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const setting = Effect.map(sql<{ s: string }>`SELECT current_setting('search_path') AS s`, ([row]) => row!.s)
        const before = yield* setting
        const pid = yield* backendPid
        yield* sql`SET search_path TO elsewhere`
        assert.strictEqual(yield* setting, before)
        yield* sql`SELECT set_config('search_path', 'elsewhere', false)`
        assert.strictEqual(yield* setting, before)
        assert.strictEqual(yield* backendPid, pid)
      })
    )

    it.effect("left inside a transaction block are not lent to others", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`BEGIN`
        const [row] = yield* sql<{ x: boolean }>`SELECT now() = statement_timestamp() AS x`
        assert.isTrue(row!.x)
      })
    )

    it.effect("reserved are one connection for all statements", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* Effect.scoped(
          Effect.gen(function* () {
            const connection = yield* sql.reserve
            const pids = yield* Effect.all(
              Array.from({ length: 5 }, () => connection.executeValues("SELECT pg_backend_pid()", [])),
              { concurrency: "unbounded" }
            )
            assert.strictEqual(new Set(pids.map(([row]) => row![0])).size, 1)
          })
        )
      })
    )
  })

  describe("withTransaction", () => {
    it.effect("commits, and rolls back on failure, defect and interruption", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE ledger (id int PRIMARY KEY)`
        yield* sql.withTransaction(sql`INSERT INTO ledger VALUES (1)`)
        const failed = yield* Effect.exit(
          sql.withTransaction(Effect.zipRight(sql`INSERT INTO ledger VALUES (2)`, Effect.fail("mine")))
        )
        assert.deepStrictEqual(failed, Exit.fail("mine"))
        yield* Effect.exit(sql.withTransaction(Effect.zipRight(sql`INSERT INTO ledger VALUES (3)`, Effect.die("mine"))))
        const inserted = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          sql.withTransaction(
            sql`INSERT INTO ledger VALUES (4)`.pipe(
              Effect.zipRight(Deferred.succeed(inserted, undefined)),
              Effect.zipRight(Effect.never)
            )
          )
        )
        yield* Deferred.await(inserted)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* sql`SELECT id FROM ledger ORDER BY id`, [{ id: 1 }])
      })
    )

    it.effect("makes a failing COMMIT a typed error, where stock @effect/sql has a defect", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const aborted = yield* sql
          .withTransaction(Effect.ignore(sql`SELECT 1 / 0`))
          .pipe(DsqlErrors.refine, Effect.flip)
        assert(aborted._tag === "DsqlTransactionError")
        assert.strictEqual(aborted.reason, "Aborted")
        yield* sql`CREATE TABLE deferred (id int PRIMARY KEY, parent int REFERENCES deferred DEFERRABLE INITIALLY DEFERRED)`
        const violated = yield* sql
          .withTransaction(sql`INSERT INTO deferred VALUES (1, 2)`)
          .pipe(DsqlErrors.refine, Effect.flip)
        assert(violated._tag === "DsqlConstraintError")
        assert.strictEqual(violated.reason, "ForeignKey")
      })
    )

    it.effect("joins nested calls; one that failed dooms the outer", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE nested (id int PRIMARY KEY)`
        yield* sql.withTransaction(
          Effect.zipRight(sql`INSERT INTO nested VALUES (1)`, sql.withTransaction(sql`INSERT INTO nested VALUES (2)`))
        )
        const error = yield* sql
          .withTransaction(
            Effect.zipRight(
              sql`INSERT INTO nested VALUES (3)`,
              Effect.ignore(sql.withTransaction(Effect.fail("caught by the outer one")))
            )
          )
          .pipe(DsqlErrors.refine, Effect.flip)
        assert(error._tag === "DsqlTransactionError")
        assert.strictEqual(error.reason, "NestedFailure")
        assert.deepStrictEqual(yield* sql`SELECT id FROM nested ORDER BY id`, [{ id: 1 }, { id: 2 }])
      })
    )

    it.effect("refuses a statement after its end", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const ended = yield* Deferred.make<void>()
        const stray = yield* sql.withTransaction(
          Effect.forkDaemon(Effect.zipRight(Deferred.await(ended), Effect.exit(DsqlErrors.refine(sql`SELECT 1`))))
        )
        yield* Deferred.succeed(ended, undefined)
        const exit = yield* Fiber.join(stray)
        assert(Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error._tag === "DsqlTransactionError")
        assert.strictEqual(exit.cause.error.reason, "Finished")
      })
    )
  })
})

const caseTransforms = {
  transformQueryNames: (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  transformResultNames: (name: string) =>
    name.replace(/(?<=[a-z])_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

layer(
  DsqlLocal.layerLive(withInstruments, {
    ...caseTransforms,
    types: { getTypeParser: () => (text: string | Buffer) => `parsed ${String(text)}` }
  }),
  live
)("Client with transforms", (it) => {
  it.effect("transforms names in statements, results and streams", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const rows = [{ firstName: "parsed Ana" }]
      assert.deepStrictEqual(yield* sql`SELECT 'Ana' AS ${sql("firstName")}`, rows)
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(yield* Stream.runCollect(sql`SELECT 'Ana' AS ${sql("firstName")}`.stream)),
        rows
      )
      assert.deepStrictEqual(yield* sql`SELECT 'Ana' AS first_name`.withoutTransform, [{ first_name: "parsed Ana" }])
      const [json] = yield* sql`SELECT ${sql.json({ firstName: [{ lastName: 1 }] })}::jsonb::text AS t`
      assert.deepStrictEqual(json, { t: `parsed {"first_name": [{"last_name": 1}]}` })
      const plain = sql.withoutTransforms()
      assert.deepStrictEqual(yield* plain`SELECT 'Ana' AS ${plain("firstName")}`, [{ firstName: "parsed Ana" }])
    })
  )

  const json: ReadonlyArray<readonly [sent: unknown, stored: string]> = [
    [[null, { petName: "Rex" }], `[null, {"pet_name": "Rex"}]`],
    [[{ petName: "Rex" }, null, 7, "dog"], `[{"pet_name": "Rex"}, null, 7, "dog"]`],
    [[{ petName: ["a", "b"] }, [{ petName: null }]], `[{"pet_name": ["a", "b"]}, [{"pet_name": null}]]`],
    [[1, { petName: "Rex" }], `[1, {"petName": "Rex"}]`],
    [JSON.parse(`{"__proto__": {"petName": 1}}`), `{"__proto__": {"pet_name": 1}}`]
  ]
  it.effect.each(json)("sends %j as it is but for its names, and gives it back", ([sent, stored]) =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const [row] = yield* sql<{ text: string; value: object }>`
        SELECT ${sql.json(sent)}::jsonb::text AS text, ${stored}::jsonb AS value`
      assert.strictEqual(row!.text, stored)
      // Compared as text, since `__proto__` is no property like others to an assertion.
      assert.strictEqual(JSON.stringify(row!.value), JSON.stringify(sent))
    }).pipe(Effect.provide(DsqlLocal.layerClient(caseTransforms)))
  )
})
