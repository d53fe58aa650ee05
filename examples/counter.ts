/**
 * Many transactions at one row. DSQL takes no locks: the first to commit wins, the others learn of it at their COMMIT, and
 * `withRetry` runs them again. Creates and drops the table `example_counter`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/counter.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const increment = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // Without FOR UPDATE it is as right here, since both change the row; with it, on a PostgreSQL that locks as well.
  const [counter] = yield* sql<{ n: number }>`SELECT n FROM example_counter WHERE name = 'visits' FOR UPDATE`
  yield* sql`UPDATE example_counter SET n = ${(counter?.n ?? 0) + 1} WHERE name = 'visits'`
}).pipe(DsqlTransaction.withRetry({ name: "increment" }))

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // Each commits by itself, and may find that the schema has changed since its session last looked (OC001).
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`CREATE TABLE IF NOT EXISTS example_counter (name text PRIMARY KEY, n int NOT NULL)`)
  yield* run(sql`INSERT INTO example_counter VALUES ('visits', 0) ON CONFLICT (name) DO UPDATE SET n = 0`)
  yield* Effect.replicateEffect(increment, 100, { concurrency: 10, discard: true })
  const [counter] = yield* run(sql<{ n: number }>`SELECT n FROM example_counter WHERE name = 'visits'`)
  yield* Console.log(`100 increments by 10 fibers: ${counter?.n}`)
  yield* run(sql`DROP TABLE example_counter`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
