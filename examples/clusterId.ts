/**
 * Just the id of a cluster. Its region comes from AWS_REGION or AWS_DEFAULT_REGION, else from the AWS profile.
 *
 *   CLUSTER_ID=… AWS_REGION=us-east-1 npx tsx examples/clusterId.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Layer } from "effect"
import { DsqlLayer } from "effect-dsql"

const Db = Config.string("CLUSTER_ID").pipe(
  Effect.map((id) => DsqlLayer.layer(id)),
  Layer.unwrapEffect
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ user: string }>`SELECT current_user AS user`
  yield* Console.log(`connected as ${row?.user}`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
