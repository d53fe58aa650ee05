/**
 * Traces and metrics: what this package tells Effect's `Tracer` and `Metric` goes to OpenTelemetry, here with exporters that
 * write to the console. Creates and drops the table `example_visit`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/observability.ts
 */
import { NodeSdk } from "@effect/opentelemetry"
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { ConsoleMetricExporter, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { ConsoleSpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Config, Effect, Layer } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

/** In production: a `BatchSpanProcessor`, and exporters that send to a collector. */
const Telemetry = NodeSdk.layer(() => ({
  resource: { serviceName: "visits" },
  spanProcessor: new SimpleSpanProcessor(new ConsoleSpanExporter()),
  metricReader: new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter() })
}))

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

const visit = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`UPDATE example_visit SET visits = visits + 1 WHERE page = ${"home"}`
}).pipe(DsqlTransaction.withRetry({ name: "visit" }))

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement({ name: "set-up" })
  yield* run(sql`CREATE TABLE IF NOT EXISTS example_visit (page text PRIMARY KEY, visits int NOT NULL)`)
  yield* run(sql`INSERT INTO example_visit VALUES ('home', 0) ON CONFLICT DO NOTHING`)
  // Several at one row, so that some lose and are run again.
  yield* Effect.replicateEffect(visit, 5, { concurrency: 5, discard: true }).pipe(Effect.withSpan("visits"))
  yield* run(sql`DROP TABLE example_visit`)
})

// The telemetry is below the database, so that it also sees how that is opened and closed.
program.pipe(Effect.provide(Layer.provideMerge(Db, Telemetry)), NodeRuntime.runMain)
