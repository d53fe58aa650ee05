/**
 * A database role other than admin, as a service should have: its token is for the IAM action dsql:DbConnect. The role is
 * made once, by admin:
 *
 *   CREATE ROLE orders WITH LOGIN;
 *   AWS IAM GRANT orders TO 'arn:aws:iam::<account>:role/<role of the service>';
 *   CREATE SCHEMA orders;
 *   GRANT USAGE, CREATE ON SCHEMA orders TO orders;
 *
 *   CLUSTER_ENDPOINT=… DB_USER=orders npx tsx examples/role.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect } from "effect"
import { DsqlErrors, DsqlLayer } from "effect-dsql"

const Db = DsqlLayer.layerConfig({
  host: Config.string("CLUSTER_ENDPOINT"),
  user: Config.string("DB_USER"),
  session: Config.succeed({ search_path: "orders" })
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ user: string; schema: string }>`SELECT current_user AS user, current_schema() AS schema`
  yield* Console.log(`connected as ${row?.user}, working in ${row?.schema}`)
  yield* sql`CREATE ROLE another`.pipe(
    DsqlErrors.refine,
    Effect.catchTag("DsqlQueryError", ({ sqlState }) => Console.log(`and no more than that: ${sqlState}`))
  )
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
