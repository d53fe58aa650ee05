/**
 * The example of migrations in the README of `@effect/sql`, moved to Aurora DSQL: the imports and the client are other ones,
 * and in the migration `serial`, which DSQL has not. Creates the table `users` and those of the migrator, and drops them.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/fromPgMigrator.ts
 */
import { Config, Console, Effect, Layer, pipe } from "effect"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { DsqlLayer, DsqlMigrator as PgMigrator } from "effect-dsql"
import { fileURLToPath } from "node:url"

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO users ${sql.insert({ name: "Ana" })}`
  yield* Console.log(yield* sql`SELECT migration_id, name FROM effect_sql_migrations`)
  for (const name of [
    "users",
    "effect_sql_migrations",
    "effect_sql_migrations_statements",
    "effect_sql_migrations_lease"
  ]) {
    yield* sql`DROP TABLE ${sql(name)}`
  }
})

const SqlLive = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const MigratorLive = PgMigrator.layer({
  loader: PgMigrator.fromFileSystem(fileURLToPath(new URL("effectMigrations", import.meta.url))),
  // Not written on DSQL, where pg_dump does not work
  schemaDirectory: "src/migrations"
}).pipe(Layer.provide(SqlLive))

const EnvLive = Layer.mergeAll(SqlLive, MigratorLive).pipe(Layer.provide(NodeContext.layer))

pipe(program, Effect.provide(EnvLive), NodeRuntime.runMain)
