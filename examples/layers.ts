/**
 * The layers put together by hand, to swap or to share any of them: here one token for two pools, one of them for reports
 * that must not take connections from the rest.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/layers.ts
 */
import { Reactivity } from "@effect/experimental"
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Context, Effect, Layer } from "effect"
import { DsqlAuth, DsqlClient, DsqlConfig, DsqlConnection } from "effect-dsql"

class Reports extends Context.Tag("Reports")<Reports, SqlClient.SqlClient>() {}

const ConfigLive = DsqlConfig.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const TokenLive = DsqlAuth.layerToken.pipe(Layer.provide(DsqlAuth.layerCredentials))

/** A layer is built once, however often it is asked for; `fresh` makes a pool of its own for each client. */
const MainLive = DsqlClient.layer.pipe(Layer.provide(Layer.fresh(DsqlConnection.layer)))
const ReportsLive = Layer.scoped(Reports, DsqlClient.make).pipe(
  Layer.provide(Layer.fresh(DsqlConnection.layer)),
  Layer.provide(Reactivity.layer)
)

const Db = Layer.merge(MainLive, ReportsLive).pipe(Layer.provide(TokenLive), Layer.provide(ConfigLive))

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const reports = yield* Reports
  const pid = (client: SqlClient.SqlClient) =>
    Effect.map(client<{ pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row?.pid)
  yield* Console.log((yield* pid(sql)) === (yield* pid(reports)) ? "one pool" : "two pools, one token")
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
