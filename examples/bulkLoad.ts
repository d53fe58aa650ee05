/**
 * 100,000 rows, in transactions that stay below the limits of DSQL: 3,000 rows and 10 MiB. Creates and drops the table
 * `example_reading`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/bulkLoad.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Stream } from "effect"
import { DsqlBatch, DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

/** A stream of any size, from a file or another service; it is read as fast as it can be written. */
const readings = Stream.range(1, 100_000).pipe(
  Stream.map((id) => ({ id, sensor: `sensor ${id % 50}`, value: id % 997 }))
)

const load = readings.pipe(
  DsqlBatch.insert({
    table: "example_reading",
    // By it a batch whose answer was lost is looked up, so that each row is written once.
    key: ["id"],
    maxRows: 2_500,
    // The place to keep the cursor of a load that is to go on where it stopped.
    onProgress: ({ last, rows }) => Effect.logDebug(`${rows} rows, up to id ${last?.id}`)
  })
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`CREATE TABLE example_reading (id int PRIMARY KEY, sensor text, value int)`)
  const { rows, transactions } = yield* load
  yield* Console.log(`${rows} rows in ${transactions} transactions`)
  yield* run(sql`DROP TABLE example_reading`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
