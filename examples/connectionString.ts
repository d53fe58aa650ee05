/**
 * A connection string, with parameters under the names that libpq and AWS's connectors have for them.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/connectionString.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Layer } from "effect"
import { DsqlLayer } from "effect-dsql"

const Db = Config.string("CLUSTER_ENDPOINT").pipe(
  Effect.map((host) =>
    DsqlLayer.layer(`postgresql://admin@${host}/postgres?application_name=reports&token_duration_secs=60`)
  ),
  Layer.unwrapEffect
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ application: string }>`SELECT current_setting('application_name') AS application`
  yield* Console.log(`connected as ${row?.application}`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
