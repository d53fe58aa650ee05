/**
 * Typed SQL: a `Model` says once what a row is, in the database and outside of it; `SqlSchema` and `SqlResolver` send and
 * decode by it. Creates and drops the table `example_owner`.
 *
 * `Model.makeRepository` is not used: it makes defects of all errors, and with a defect nobody can run a transaction again.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/model.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Model, SqlClient, SqlResolver, SqlSchema } from "@effect/sql"
import { Array, Config, Console, DateTime, Effect, Option, Schema } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const OwnerId = Schema.UUID.pipe(Schema.brand("OwnerId"))

class Owner extends Model.Class<Owner>("Owner")({
  // Random, as DSQL likes its keys: those that count up all go to the same place.
  id: Model.Generated(OwnerId),
  name: Schema.NonEmptyString,
  // NULL in the table, an Option here.
  city: Model.FieldOption(Schema.NonEmptyString),
  createdAt: Model.DateTimeInsertFromDate
}) {}

const makeOwners = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const insert = SqlSchema.single({
    Request: Owner.insert,
    Result: Owner,
    execute: (owner) => sql`INSERT INTO example_owner ${sql.insert(owner).returning("*")}`
  })
  const inCity = SqlSchema.findAll({
    Request: Schema.NonEmptyString,
    Result: Owner,
    execute: (city) => sql`SELECT * FROM example_owner WHERE city = ${city} ORDER BY name`
  })
  // However many are asked for at the same time, it is one statement.
  const byId = yield* SqlResolver.findById("Owners.byId", {
    Id: OwnerId,
    Result: Owner,
    ResultId: ({ id }) => id,
    execute: (ids) =>
      Effect.zipRight(
        Console.log(`one statement for ${ids.length} owners`),
        sql`SELECT * FROM example_owner WHERE ${sql.in("id", ids)}`
      )
  })
  return { insert, inCity, byId: byId.execute }
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`
    CREATE TABLE example_owner (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      name text NOT NULL,
      city text,
      "createdAt" timestamptz NOT NULL
    )`)
  const owners = yield* makeOwners

  const people = [
    { name: "Ana", city: Option.some("Lisbon") },
    { name: "Bo", city: Option.none() },
    { name: "Cy", city: Option.some("Lisbon") }
  ].map((person) => Owner.insert.make(person))
  // All or none of them; decoding is a part of the transaction, and so is a resolver that runs in one.
  const found = yield* Effect.forEach(people, owners.insert).pipe(
    Effect.flatMap((inserted) => Effect.forEach(inserted, ({ id }) => owners.byId(id), { batching: true })),
    DsqlTransaction.withRetry({ name: "add owners" })
  )
  for (const { city, createdAt, name } of Array.getSomes(found)) {
    const from = Option.getOrElse(city, () => "somewhere")
    yield* Console.log(`${name} from ${from}, since ${DateTime.formatIsoDateUtc(createdAt)}`)
  }
  yield* Console.log(`in Lisbon: ${(yield* owners.inCity("Lisbon")).map(({ name }) => name).join(", ")}`)
  yield* run(sql`DROP TABLE example_owner`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
