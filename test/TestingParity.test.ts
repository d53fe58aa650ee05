/** The scripted client and the real one, side by side: what a program sees must be the same. */
import { SqlClient, SqlResolver } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Schema, Scope, Stream } from "effect"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"

const { answer } = DsqlTesting

const transforms = {
  transformQueryNames: (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  transformResultNames: (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** What both must agree on: not the place in the server's text or sources, which no script can know. */
const facts = (error: unknown): unknown => {
  const ours = DsqlErrors.unwrap(error)
  if (ours === undefined) return error
  const { message } = error as Error
  const { _tag, ...fields } = ours as unknown as Record<string, unknown>
  const { detail, hint, schema, severity } = (fields["server"] ?? {}) as Record<string, unknown>
  const { column, constraint, feature, outcomeUnknown, reason, sqlState, table } = fields
  return {
    _tag,
    message,
    fields: { column, constraint, feature, outcomeUnknown, reason, sqlState, table },
    server: { detail, hint, schema, severity }
  }
}

const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.map(Effect.flip(effect), facts)

const cases: Record<
  string,
  {
    readonly answers: ReadonlyArray<DsqlTesting.Answer>
    readonly program: Effect.Effect<unknown, unknown, SqlClient.SqlClient | PgClient.PgClient>
  }
> = {
  "rows in every form": {
    answers: [answer(/^SELECT/, [{ first_name: "Ana", pet_name: null }])],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const statement = sql`SELECT 'Ana' AS first_name, NULL AS pet_name`
      const { command, fields, rowCount, rows } = (yield* statement.raw) as {
        readonly command: string
        readonly rowCount: number
        readonly fields: ReadonlyArray<{ readonly name: string }>
        readonly rows: unknown
      }
      return [
        yield* statement,
        yield* statement.values,
        yield* statement.unprepared,
        yield* statement.withoutTransform,
        yield* Effect.map(Stream.runCollect(statement.stream), (rows) => [...rows]),
        yield* sql.withTransaction(Effect.map(Stream.runCollect(statement.stream), (rows) => [...rows])),
        { command, rowCount, rows, fields: fields.map(({ name }) => name) }
      ]
    })
  },
  "the texts of statements": {
    answers: [],
    program: Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const plain = sql.withoutTransforms()
      return [
        sql`INSERT INTO ${sql("petOwner")} ${sql.insert([{ firstName: "Ana" }, { firstName: "Rui" }]).returning("*")}`,
        sql`UPDATE pets SET ${sql.update({ petName: "Max" })} WHERE ${sql.in("id", [1, 2])}`,
        sql`SELECT ${sql.and([sql`a = ${1}`, sql`b = ${"two"}`])} ORDER BY ${sql.csv(["a", "b"])}`,
        plain`SELECT ${plain("firstName")}`
      ].map((statement) => statement.compile())
    })
  },
  "counts of what was changed": {
    answers: [answer(/^(?:INSERT|UPDATE)/, { rowCount: 2 }), answer(/^DELETE/, { rowCount: 0 })],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const run = (text: string) =>
        Effect.map(sql.unsafe(text).raw, (raw) => {
          const { command, rowCount, rows } = raw as Record<string, unknown>
          return { command, rowCount, rows }
        })
      return [
        yield* run("INSERT INTO counted VALUES (1), (2)"),
        yield* run("UPDATE counted SET id = id + 2"),
        yield* run("DELETE FROM counted WHERE id = 0"),
        yield* sql`UPDATE counted SET id = id + 2`
      ]
    })
  },
  "violated constraints": {
    answers: [
      answer(
        /^INSERT INTO parent/,
        DsqlTesting.uniqueViolation({
          constraint: "parent_pkey",
          table: "parent",
          detail: "Key (id)=(1) already exists."
        })
      ),
      answer(
        (_, [id]) => id === 2,
        DsqlTesting.foreignKeyViolation({
          constraint: "child_parent_fkey",
          table: "child",
          detail: 'Key (parent)=(9) is not present in table "parent".'
        })
      ),
      answer(
        (_, [id]) => id === 3,
        DsqlTesting.checkViolation({
          constraint: "adult",
          table: "child",
          detail: "Failing row contains (3, 1, 17)."
        })
      ),
      answer(
        (_, [id]) => id === 4,
        DsqlTesting.notNullViolation({
          column: "age",
          table: "child",
          detail: "Failing row contains (4, 1, null)."
        })
      )
    ],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const child = (id: number, parent: number, age: number | null) =>
        sql`INSERT INTO child ${sql.insert({ id, parent, age })}`
      return [
        yield* failure(sql`INSERT INTO parent VALUES (1)`),
        yield* failure(child(2, 9, 18)),
        yield* failure(child(3, 1, 17)),
        yield* failure(child(4, 1, null)),
        yield* failure(sql.withTransaction(child(4, 1, null)))
      ]
    })
  },
  "other errors of the server": {
    answers: [
      answer(/no_such/, DsqlTesting.serverError({ sqlState: "42883", message: "function no_such() does not exist" })),
      answer(/0$/, DsqlTesting.serverError({ sqlState: "22012", message: "division by zero" }))
    ],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return [yield* failure(sql`SELECT 1 / 0`), yield* failure(Stream.runDrain(sql`SELECT 1 / 0`.stream))]
    })
  },
  "parameters that cannot be sent": {
    answers: [answer("SELECT 1 AS one", [{ one: 1 }])],
    program: Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const noJson = { count: 1n }
      return [
        yield* failure(sql`SELECT ${sql.json(noJson)}::jsonb`),
        yield* sql.withTransaction(
          Effect.zipRight(Effect.ignore(sql`SELECT ${sql.json(noJson)}`), sql`SELECT 1 AS one`)
        ),
        yield* failure(sql.withTransaction(Effect.zipRight(sql`SELECT 1 AS one`, sql`SELECT ${sql.json(noJson)}`))),
        yield* sql`SELECT 1 AS one`
      ]
    })
  },
  "a failed statement aborts its transaction": {
    answers: [
      answer(/0$/, DsqlTesting.serverError({ sqlState: "22012", message: "division by zero" })),
      answer("SELECT 1 AS one", [{ one: 1 }])
    ],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const ignored = Effect.ignore(sql`SELECT 1 / 0`)
      return [
        yield* failure(sql.withTransaction(ignored)),
        yield* failure(sql.withTransaction(Effect.zipRight(ignored, sql`SELECT 1 AS one`))),
        yield* sql.withTransaction(sql`SELECT 1 AS one`)
      ]
    })
  },
  "nested calls join, and doom the outer one": {
    answers: [answer("SELECT 1 AS one", [{ one: 1 }])],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const one = sql`SELECT 1 AS one`
      return [
        yield* sql.withTransaction(Effect.zip(one, sql.withTransaction(one))),
        yield* failure(sql.withTransaction(Effect.zipRight(Effect.ignore(sql.withTransaction(Effect.fail("a"))), one))),
        yield* Effect.exit(sql.withTransaction(sql.withTransaction(Effect.fail("mine")))),
        yield* Effect.exit(sql.withTransaction(Effect.die("mine")))
      ]
    })
  },
  "statements after the end": {
    answers: [answer("SELECT 1 AS one", [{ one: 1 }])],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const ended = yield* Deferred.make<void>()
      const stray = yield* sql.withTransaction(
        Effect.forkDaemon(Effect.zipRight(Deferred.await(ended), failure(sql`SELECT 1 AS one`)))
      )
      yield* Deferred.succeed(ended, undefined)
      const scope = yield* Scope.make()
      const reserved = yield* Scope.extend(sql.reserve, scope)
      const before = yield* reserved.execute("SELECT 1 AS one", [], undefined)
      yield* Scope.close(scope, Exit.void)
      return [yield* Fiber.join(stray), before, yield* failure(reserved.execute("SELECT 1 AS one", [], undefined))]
    })
  },
  "resolvers inside of transactions": {
    answers: [answer(/^SELECT n/, (ids) => ids.filter((id) => Number(id) <= 10).map((n) => ({ n })))],
    program: Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const resolver = yield* SqlResolver.findById("Number", {
        Id: Schema.Int,
        Result: Schema.Struct({ n: Schema.Int }),
        ResultId: (row) => row.n,
        execute: (ids) => sql`SELECT n FROM generate_series(1, 10) AS n WHERE ${sql.in("n", ids)}`
      })
      const found = yield* sql.withTransaction(
        Effect.all([resolver.execute(3), resolver.execute(11)], { batching: true })
      )
      return found.map(Option.getOrNull)
    })
  },
  "what DSQL has nothing for": {
    answers: [],
    program: Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      return [yield* failure(Stream.runDrain(sql.listen("a"))), yield* failure(sql.notify("a", "b"))]
    })
  }
}

const schema = [
  "CREATE TABLE counted (id int PRIMARY KEY)",
  "CREATE TABLE parent (id int PRIMARY KEY)",
  `CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent,
     age int NOT NULL CONSTRAINT adult CHECK (age >= 18))`,
  "INSERT INTO parent VALUES (1)"
]

const prepared = Layer.effectDiscard(
  Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.forEach(schema, (statement) => sql.unsafe(statement)))
)

layer(Layer.provideMerge(prepared, DsqlLocal.layerLive(undefined, transforms)), {
  excludeTestServices: true,
  timeout: "60 seconds"
})("the scripted client is as the real one in", (it) => {
  for (const [name, { answers, program }] of Object.entries(cases)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const real = yield* program
        const scripted = yield* Effect.provide(program, DsqlTesting.layerClient(answers, transforms))
        assert.deepStrictEqual(scripted, real)
      })
    )
  }
})
