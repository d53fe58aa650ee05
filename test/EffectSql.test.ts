import { Model, SqlClient, SqlResolver, SqlSchema } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"

class Owner extends Model.Class<Owner>("Owner")({
  id: Schema.UUID.pipe(Model.GeneratedByApp),
  name: Schema.NonEmptyString,
  pets: Model.JsonFromString(Schema.Array(Schema.Struct({ kind: Schema.String }))),
  nickname: Model.FieldOption(Schema.String),
  createdAt: Model.DateTimeInsertFromDate,
  updatedAt: Model.DateTimeUpdateFromDate
}) {}

const table = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`
    CREATE TABLE IF NOT EXISTS owners (
      id uuid PRIMARY KEY, name text NOT NULL, pets text NOT NULL, nickname text,
      "createdAt" timestamptz NOT NULL, "updatedAt" timestamptz NOT NULL
    )`
)

const anOwner = (name: string) =>
  Owner.insert.make({
    id: crypto.randomUUID(),
    name,
    pets: [{ kind: "cat" }],
    nickname: Option.none(),
    createdAt: undefined,
    updatedAt: undefined
  })

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "60 seconds" })(
  "the modules of @effect/sql",
  (it) => {
    it.scoped("Model: a repository inserts, finds, updates and deletes, and its data loader batches", () =>
      Effect.gen(function* () {
        yield* table
        const options = { tableName: "owners", idColumn: "id", spanPrefix: "Owners" } as const
        const owners = yield* Model.makeRepository(Owner, options)
        const loader = yield* Model.makeDataLoaders(Owner, { ...options, window: "5 millis" })

        const ana = yield* owners.insert(anOwner("Ana"))
        assert.deepStrictEqual(
          Option.map(yield* owners.findById(ana.id), (owner) => owner.pets),
          Option.some([{ kind: "cat" }])
        )
        const renamed = yield* owners.update({
          ...ana,
          name: "Ana Maria",
          nickname: Option.some("Aninha"),
          updatedAt: undefined
        })
        assert.strictEqual(renamed.name, "Ana Maria")
        const both = yield* Effect.all([loader.insert(anOwner("Bo")), loader.insert(anOwner("Cy"))], {
          concurrency: "unbounded"
        })
        const found = yield* Effect.all(
          both.map((owner) => loader.findById(owner.id)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          found.map((owner) => Option.map(owner, ({ name }) => name)),
          [Option.some("Bo"), Option.some("Cy")]
        )
        yield* owners.delete(ana.id)
        assert.isTrue(Option.isNone(yield* owners.findById(ana.id)))
      })
    )

    it.effect("SqlSchema: requests are encoded, results decoded, and ours are the errors", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const range = SqlSchema.findAll({
          Request: Schema.Struct({ from: Schema.Int, to: Schema.NumberFromString }),
          Result: Schema.Struct({ n: Schema.Int }),
          execute: ({ from, to }) => sql`SELECT generate_series(${from}::int, ${to}::int) AS n`
        })
        assert.deepStrictEqual(yield* range({ from: 1, to: 3 }), [{ n: 1 }, { n: 2 }, { n: 3 }])
        const broken = SqlSchema.void({ Request: Schema.Int, execute: (n) => sql`SELECT 1 / ${n}::int` })
        const error = yield* Effect.flip(DsqlErrors.refine(broken(0)))
        assert.strictEqual(error._tag, "DsqlQueryError")
      })
    )

    it.effect("SqlResolver: one statement for many requests, inside of a transaction on its connection", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* table
        const statements: Array<ReadonlyArray<string>> = []
        const insert = yield* SqlResolver.ordered("InsertOwner", {
          Request: Owner.insert,
          Result: Owner,
          execute: (rows) => {
            statements.push(rows.map((row) => row.name))
            return sql`INSERT INTO owners ${sql.insert(rows)} RETURNING owners.*`
          }
        })
        const byId = yield* SqlResolver.findById("OwnerById", {
          Id: Schema.UUID,
          Result: Owner,
          ResultId: (owner) => owner.id,
          execute: (ids) => sql`SELECT * FROM owners WHERE ${sql.in("id", ids)}`
        })
        const inserted = Effect.forEach(["Di", "Ed"], (name) => insert.execute(anOwner(name)), { batching: true })
        const rolledBack = yield* Effect.flip(
          sql.withTransaction(
            Effect.gen(function* () {
              const owners = yield* inserted
              const seen = yield* Effect.forEach(owners, ({ id }) => byId.execute(id), { batching: true })
              return yield* Effect.fail({ owners, seen })
            })
          )
        )
        assert("seen" in rolledBack)
        assert.deepStrictEqual(statements, [["Di", "Ed"]])
        assert.isTrue(rolledBack.seen.every(Option.isSome))
        const after = yield* Effect.forEach(rolledBack.owners, ({ id }) => byId.execute(id), { batching: true })
        assert.isTrue(after.every(Option.isNone), "an insert of the resolver was committed outside of its transaction")
      })
    )
  }
)
