/**
 * A report over several statements: in a read-only transaction they all see the same state of the database, and no writer
 * can make it lose. Creates and drops the table `example_order`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/report.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Stream } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const report = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const cities = yield* sql<{ city: string; cents: number }>`
    SELECT city, sum(cents)::int AS cents FROM example_order GROUP BY city ORDER BY city`
  // Read bit by bit, on the same connection.
  const largest = yield* sql<{ cents: number }>`SELECT cents FROM example_order`.stream.pipe(
    Stream.runFold(0, (largest, { cents }) => Math.max(largest, cents))
  )
  return [...cities.map(({ cents, city }) => `${city} ${cents}`), `largest ${largest}`].join(", ")
}).pipe(DsqlTransaction.withRetry({ name: "report", readOnly: true }))

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`
    CREATE TABLE IF NOT EXISTS example_order (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      city text NOT NULL,
      cents int NOT NULL
    )`)
  yield* run(sql`DELETE FROM example_order`)
  const orders = Array.from({ length: 400 }, (_, n) => ({ city: n % 4 === 0 ? "Porto" : "Lisbon", cents: n }))
  yield* run(sql`INSERT INTO example_order ${sql.insert(orders)}`)
  yield* Console.log(yield* report)

  yield* sql`DELETE FROM example_order`.pipe(
    DsqlTransaction.withRetry({ readOnly: true }),
    Effect.catchTag("DsqlQueryError", ({ sqlState }) => Console.log(`a report changes nothing: ${sqlState}`))
  )
  yield* run(sql`DROP TABLE example_order`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
