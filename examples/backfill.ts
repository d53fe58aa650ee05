/**
 * A new column for a table with more rows than a transaction may change: it is added empty, filled in batches, and only then
 * constrained. Creates and drops the table `example_person`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/backfill.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Stream } from "effect"
import { DsqlBatch, DsqlJobs, DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const people = Stream.range(1, 10_000).pipe(
  Stream.map((id) => ({ id, first_name: `first ${id}`, last_name: `last ${id}` }))
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`CREATE TABLE example_person (id int PRIMARY KEY, first_name text, last_name text)`)
  yield* people.pipe(DsqlBatch.insert({ table: "example_person", key: ["id"] }))

  yield* run(sql`ALTER TABLE example_person ADD COLUMN full_name text`)
  const { transactions, written } = yield* DsqlBatch.update({
    table: "example_person",
    key: ["id"],
    set: sql`full_name = first_name || ' ' || last_name`,
    where: sql`full_name IS NULL`,
    repeatable: true
  })
  yield* Console.log(`${written} rows filled in ${transactions} transactions`)

  yield* run(sql`ALTER TABLE example_person ADD CONSTRAINT named CHECK (full_name IS NOT NULL) NOT VALID`)
  yield* DsqlJobs.validateConstraint({ table: "example_person", constraint: "named" })
  yield* DsqlJobs.createIndex({ table: "example_person", columns: [sql`lower(full_name)`] })
  yield* Console.log("no row is without a name, and all can be found by it")
  yield* run(sql`DROP TABLE example_person`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
