/**
 * Just the endpoint of a cluster: the region is in it, and everything else has a default.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/host.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Layer } from "effect"
import { DsqlLayer } from "effect-dsql"

const Db = Config.string("CLUSTER_ENDPOINT").pipe(
  Effect.map((host) => DsqlLayer.layer(host)),
  Layer.unwrapEffect
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ user: string }>`SELECT current_user AS user`
  yield* Console.log(`connected as ${row?.user}`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
