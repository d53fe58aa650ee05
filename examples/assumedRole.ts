/**
 * Credentials of an IAM role, assumed with the default credentials; new ones are asked for five minutes before they end.
 *
 *   CLUSTER_ENDPOINT=… ROLE_ARN=arn:aws:iam::…:role/… npx tsx examples/assumedRole.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Layer } from "effect"
import { DsqlAuth, DsqlLayer } from "effect-dsql"

const Db = Config.all({ host: Config.string("CLUSTER_ENDPOINT"), roleArn: Config.string("ROLE_ARN") }).pipe(
  Effect.map(({ host, roleArn }) =>
    DsqlLayer.layer(host, { credentials: DsqlAuth.layerAssumedRole({ roleArn, roleSessionName: "reports" }) })
  ),
  Layer.unwrapEffect
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ user: string }>`SELECT current_user AS user`
  yield* Console.log(`connected as ${row?.user}`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
