/**
 * Options, each of them checked before anything is dialled: `layerConfig` takes an Effect `Config` for each, and functions
 * beside them.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/options.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, String } from "effect"
import { DsqlLayer } from "effect-dsql"

const Db = DsqlLayer.layerConfig(
  {
    host: Config.string("CLUSTER_ENDPOINT"),
    applicationName: Config.succeed("orders"),
    tokenDuration: Config.duration("TOKEN_DURATION").pipe(Config.withDefault("5 minutes")),
    session: Config.succeed({ search_path: "public" }),
    pool: { max: Config.integer("POOL_SIZE").pipe(Config.withDefault(4)) }
  },
  { transformQueryNames: String.camelToSnake, transformResultNames: String.snakeToCamel }
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ currentUser: string }>`SELECT current_user`
  yield* Console.log(`connected as ${row?.currentUser}`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
