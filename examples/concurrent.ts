/**
 * Many statements at once over a pool: fibers wait for a connection in the order in which they asked.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/concurrent.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect } from "effect"
import { DsqlLayer } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT"), pool: { max: Config.succeed(10) } })

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const squares = yield* Effect.forEach(
    Array.from({ length: 500 }, (_, n) => n),
    (n) => Effect.map(sql<{ square: number }>`SELECT ${n}::int * ${n}::int AS square`, ([row]) => row?.square ?? 0),
    { concurrency: 100 }
  )
  yield* Console.log(`500 statements by 100 fibers over 10 connections: ${squares.reduce((sum, n) => sum + n, 0)}`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
