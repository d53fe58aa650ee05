import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlMigrator } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"

const fresh = Effect.flatMap(DsqlLocal, ({ reset }) => reset)

const fromSql = (files: Readonly<Record<string, string>>) => ({ loader: DsqlMigrator.fromSql(files) })

const planned = ({ migrations }: DsqlMigrator.Plan) =>
  migrations.map(({ file, statements }) => [
    file,
    statements?.map(({ line, position, refusal }) => [position, line, refusal?.rule, refusal?.sqlState])
  ])

const told = (problems: ReadonlyArray<DsqlMigrator.DsqlMigrationError>) =>
  problems.map(({ file, line, migration, reason, statement }) => [reason, migration, file, line, statement])

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "60 seconds" })("migrations", (it) => {
  it.effect("tell how far they are, and what would be run, with what the service would refuse", () =>
    Effect.gen(function* () {
      yield* fresh
      const files = (third: string) => ({
        "1_a.sql": "CREATE TABLE a (n int)",
        "2_b.sql": `INSERT INTO a VALUES (1);\n${third};\nINSERT INTO a VALUES (3)`
      })
      const options = (third: string) => fromSql(files(third))
      const states = Effect.map(DsqlMigrator.status(options("SELECT 2")), ({ holder, migrations, problems }) => [
        ...migrations.map(({ done, id, of, state }) => `${id} ${state} ${done}/${of}`),
        holder,
        ...problems
      ])
      assert.deepStrictEqual(yield* states, ["1 pending 0/1", "2 pending 0/3", undefined])
      const refused = options("CREATE EXTENSION x;\nTRUNCATE a;\nSELEC 1; CREATE INDEX ASYNC i ON a (n)")
      const plan = yield* DsqlMigrator.plan(refused)
      assert.deepStrictEqual(planned(plan), [
        ["1_a.sql", [[1, 1, undefined, undefined]]],
        [
          "2_b.sql",
          [
            [1, 1, undefined, undefined],
            [2, 2, "unsupported-create-extension", "0A000"],
            [3, 3, "unsupported-truncate", "0A000"],
            [4, 4, undefined, "42601"],
            [5, 4, undefined, undefined],
            [6, 5, undefined, undefined]
          ]
        ]
      ])
      assert.deepStrictEqual(plan.problems, [])
      const failed = yield* Effect.flip(DsqlMigrator.run(options("SELECT 1 / 0")))
      assert.deepInclude(failed, { reason: "Statement", migration: "2_b", position: 2 })
      assert.deepStrictEqual(yield* states, ["1 applied 1/1", "2 partial 1/3", undefined])
      yield* DsqlMigrator.run(options("SELECT 2"))
      assert.deepStrictEqual(yield* states, ["1 applied 1/1", "2 applied 3/3", undefined])
      assert.deepStrictEqual(yield* DsqlMigrator.plan(options("SELECT 2")), { migrations: [], problems: [] })
      const edited = yield* DsqlMigrator.status(options("SELECT 3"))
      assert.deepStrictEqual(told(edited.problems), [["Edited", "2_b", "2_b.sql", 2, "SELECT 2"]])
    })
  )

  it.effect("tell everything that is wrong in all of them at once", () =>
    Effect.gen(function* () {
      yield* fresh
      const applied = { "2_two.sql": "CREATE TABLE a (n int); ANALYZE a", "3_three.sql": "SELECT 3" }
      yield* DsqlMigrator.run(fromSql(applied))
      const files = {
        "1_one.sql": "SELECT 1",
        "2_two.sql": "CREATE TABLE a (n int); ANALYZE b",
        "4_four.sql": `BEGIN; INSERT INTO a VALUES (1);
          SAVEPOINT s;
          COMMIT;
          SET search_path TO x; TRUNCATE a;
          SELECT 'never ended`,
        "5_five.sql": "BEGIN;\nCREATE TABLE b (n money);\nINSERT INTO b VALUES (1)",
        "5_fünf.sql": "CREATE TABLE c (id serial PRIMARY KEY)"
      }
      const plan = yield* DsqlMigrator.plan(fromSql(files))
      assert.deepStrictEqual(planned(plan), [
        ["1_one.sql", [[1, 1, undefined, undefined]]],
        [
          "4_four.sql",
          [
            [1, 1, undefined, undefined],
            [1, 2, "savepoint", "0A000"],
            [2, 4, undefined, undefined],
            [3, 4, "unsupported-truncate", "0A000"],
            [4, 5, undefined, "42601"]
          ]
        ],
        [
          "5_five.sql",
          [
            [1, 2, "column-type", "0A000"],
            [1, 3, undefined, undefined]
          ]
        ],
        ["5_fünf.sql", [[1, 1, "serial", "42704"]]]
      ])
      const expected = [
        ["Script", "4_four", "4_four.sql", 2, "SAVEPOINT s"],
        ["Script", "4_four", "4_four.sql", 4, "SET search_path TO x"],
        ["Script", "4_four", "4_four.sql", 5, "SELECT 'never ended"],
        ["Script", "5_five", "5_five.sql", 1, "BEGIN"],
        ["Duplicate", "5_fünf", undefined, undefined, undefined],
        ["Missing", "3_three", undefined, undefined, undefined],
        ["OutOfOrder", "1_one", "1_one.sql", undefined, undefined],
        ["Edited", "2_two", "2_two.sql", 1, "ANALYZE a"]
      ]
      assert.deepStrictEqual(told(plan.problems), expected)
      assert.deepStrictEqual(told((yield* DsqlMigrator.status(fromSql(files))).problems), expected)
      // It fails with the first, and has run nothing.
      const failed = yield* Effect.flip(DsqlMigrator.run(fromSql(files)))
      assert.instanceOf(failed, DsqlMigrator.DsqlMigrationError)
      assert.deepStrictEqual(told([failed])[0], expected[0])
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`SELECT to_regclass('b') AS b, to_regclass('c') AS c`, [{ b: null, c: null }])
    })
  )

  it.effect("tell of one that cannot be loaded beside all others", () =>
    Effect.gen(function* () {
      yield* fresh
      const broken = new Error("no such module")
      const loader = Effect.succeed([
        [1, "gone", Effect.die(broken)],
        [2, "none", Effect.succeed({ default: 7 })],
        [3, "fine", Effect.succeed({ default: Effect.void })]
      ] as ReadonlyArray<DsqlMigrator.ResolvedMigration>)
      const { migrations, problems } = yield* DsqlMigrator.plan({ loader })
      assert.deepStrictEqual(
        migrations.map(({ id, statements }) => [id, statements]),
        [1, 2, 3].map((id) => [id, undefined])
      )
      assert.deepStrictEqual(
        problems.map(({ cause, migration, reason }) => [reason, migration, cause]),
        [
          ["Loader", "1_gone", broken],
          ["Loader", "2_none", undefined]
        ]
      )
      assert.deepInclude(yield* Effect.flip(DsqlMigrator.run({ loader })), { reason: "Loader", migration: "1_gone" })
    })
  )

  it.effect("tell which of them an edit would be noticed in", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const loader = (statement: string) =>
        Effect.zipWith(
          DsqlMigrator.fromSql({ "1_sql.sql": "CREATE TABLE t (n int)" }),
          DsqlMigrator.fromRecord({ "2_effect": Effect.asVoid(sql.unsafe(statement)) }),
          (files, effects) => [...files, ...effects]
        )
      const checked = (statement: string) =>
        Effect.map(DsqlMigrator.status({ loader: loader(statement) }), ({ migrations, problems }) => [
          ...migrations.map(({ checked, state }) => `${state} ${checked}`),
          ...problems.map(({ reason }) => reason)
        ])
      assert.deepStrictEqual(yield* checked("INSERT INTO t VALUES (1)"), ["pending true", "pending true"])
      yield* DsqlMigrator.run({ loader: loader("INSERT INTO t VALUES (1)") })
      assert.deepStrictEqual(yield* checked("INSERT INTO t VALUES (2)"), ["applied true", "applied false"])
      assert.deepStrictEqual(yield* DsqlMigrator.run({ loader: loader("INSERT INTO t VALUES (2)") }), [])
      // As a database is that @effect/sql has migrated.
      yield* sql`DROP TABLE effect_sql_migrations_statements`
      assert.deepStrictEqual(yield* checked("INSERT INTO t VALUES (1)"), ["applied false", "applied false"])
    })
  )
})
