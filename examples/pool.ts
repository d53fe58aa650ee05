/**
 * A pool: at most `max` connections, `min` of them opened together at the start, all of them replaced before the service
 * ends them. Who waits longer than `acquireTimeout` fails with a typed error.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/pool.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect } from "effect"
import { DsqlErrors, DsqlLayer } from "effect-dsql"

const Db = DsqlLayer.layerConfig({
  host: Config.string("CLUSTER_ENDPOINT"),
  pool: {
    max: Config.succeed(2),
    min: Config.succeed(2),
    idleTimeout: Config.succeed("5 minutes"),
    maxLifetime: Config.succeed("50 minutes"),
    acquireTimeout: Config.succeed("3 seconds")
  }
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const hold = sql`SELECT pg_sleep(4)`
  const results = yield* Effect.all([hold, hold, sql`SELECT 1`].map(DsqlErrors.refine), {
    concurrency: "unbounded",
    mode: "either"
  })
  for (const result of results) {
    yield* Console.log(result._tag === "Right" ? "served" : `${result.left._tag}: ${result.left.message}`)
  }
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
