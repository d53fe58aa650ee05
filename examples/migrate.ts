/**
 * Migrations as files of SQL, in `migrations/`. Creates and drops the tables `example_owner` and `example_city`, and the three
 * that the migrator keeps.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/migrate.ts
 */
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect } from "effect"
import { DsqlLayer, DsqlMigrator } from "effect-dsql"
import { fileURLToPath } from "node:url"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const table = "example_migrations"
const loader = DsqlMigrator.fromFileSystem(fileURLToPath(new URL("migrations", import.meta.url)))

const migrate = Effect.gen(function* () {
  const ran = yield* DsqlMigrator.run({
    loader,
    table,
    onEvent: (event) =>
      event._tag === "Job" && event.job.status === "completed" ? Console.log(`${event.job.jobType} done`) : Effect.void
  })
  yield* Console.log(ran.length === 0 ? "nothing to do" : ran.map(([id, name]) => `${id}_${name}`).join(", "))
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* migrate
  yield* migrate
  yield* Console.log(yield* sql`SELECT name, city FROM example_owner`)
  for (const name of ["example_owner", "example_city", table, `${table}_statements`, `${table}_lease`]) {
    yield* sql`DROP TABLE ${sql(name)}`
  }
})

program.pipe(Effect.provide([Db, NodeContext.layer]), NodeRuntime.runMain)
