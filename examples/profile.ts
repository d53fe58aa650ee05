/**
 * Credentials of an AWS profile: keys, SSO, a role to assume, a process or a web identity, whatever the profile says.
 *
 *   CLUSTER_ENDPOINT=… DB_PROFILE=my-team npx tsx examples/profile.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect } from "effect"
import { DsqlErrors, DsqlLayer } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT"), profile: Config.string("DB_PROFILE") })

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ user: string }>`SELECT current_user AS user`
  yield* Console.log(`connected as ${row?.user}`)
})

program.pipe(
  Effect.provide(Db),
  // Building the layer fails with our errors, so a wrong profile can be told from a wrong cluster.
  Effect.catchIf(
    (error) => error instanceof DsqlErrors.DsqlCredentialsError && error.command !== undefined,
    (error) => Console.error(`log in first: ${error.message}`)
  ),
  NodeRuntime.runMain
)
