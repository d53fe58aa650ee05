/**
 * A payment that is made once, however often it is asked for, and also when the answer to COMMIT is lost: whether it took
 * effect is then looked up by its idempotency key. Creates and drops the table `example_payment`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/idempotent.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Array, Config, Console, Effect } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

/** The key comes from whoever asks, and so is the same in every attempt; one drawn in here would not be. */
const pay = (key: string, cents: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const find = Effect.map(sql<{ id: string }>`SELECT id FROM example_payment WHERE key = ${key}`, Array.head)
    return yield* Effect.gen(function* () {
      yield* sql`INSERT INTO example_payment ${sql.insert({ key, cents })} ON CONFLICT (key) DO NOTHING`
      return yield* yield* find
    }).pipe(DsqlTransaction.withRetry({ name: "pay", verify: find }))
  })

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`
    CREATE TABLE IF NOT EXISTS example_payment (
      key text PRIMARY KEY,
      id uuid NOT NULL DEFAULT gen_random_uuid(),
      cents int NOT NULL
    )`)
  const payments = yield* Effect.replicateEffect(pay("order 7", 500), 5, { concurrency: "unbounded" })
  const [row] = yield* run(sql<{ n: number }>`SELECT count(*)::int AS n FROM example_payment WHERE key = 'order 7'`)
  yield* Console.log(
    `${payments.length} requests, ${new Set(payments.map(({ id }) => id)).size} answer, ${row?.n} payment`
  )
  yield* run(sql`DROP TABLE example_payment`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
