/**
 * One connection for several statements: `sql.reserve` lends it until the scope closes, for what belongs to a session.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/singleConnection.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect } from "effect"
import { DsqlLayer } from "effect-dsql"

/** `lazy` opens nothing before the first statement, `max: 1` never more than this one. */
const Db = DsqlLayer.layerConfig({
  host: Config.string("CLUSTER_ENDPOINT"),
  lazy: Config.succeed(true),
  pool: { max: Config.succeed(1) }
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* sql.reserve
      yield* connection.executeUnprepared("SET search_path TO archive", [], undefined)
      const rows = yield* connection.executeValues("SHOW search_path", [])
      yield* Console.log(`the session that was lent works in ${String(rows[0]?.[0])}`)
    })
  )
  // What was set is undone before anybody else gets the connection.
  const [row] = yield* sql<{ path: string }>`SELECT current_setting('search_path') AS path`
  yield* Console.log(`the next one does not: ${row?.path}`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
