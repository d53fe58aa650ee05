/**
 * Money between accounts: all of a transfer or nothing of it, whoever else is at the same accounts, and a typed error of the
 * program's own that takes it back. Creates and drops the table `example_account`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/transfer.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Data, Effect } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

class NotEnough extends Data.TaggedError("NotEnough")<{ readonly account: string }> {}

const transfer = (from: string, to: string, cents: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const changes = [
      { name: from, change: -cents },
      { name: to, change: cents }
    ]
    // In one order for all, so that no two can wait for each other on a PostgreSQL that locks; DSQL does not mind.
    for (const { change, name } of changes.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const [account] = yield* sql<{ cents: number }>`
        UPDATE example_account SET cents = cents + ${change} WHERE name = ${name} RETURNING cents`
      if (account === undefined || account.cents < 0) return yield* new NotEnough({ account: name })
    }
  }).pipe(DsqlTransaction.withRetry({ name: "transfer" }))

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`CREATE TABLE IF NOT EXISTS example_account (name text PRIMARY KEY, cents int NOT NULL)`)
  const accounts = ["ana", "bo", "cy"].map((name) => ({ name, cents: 1000 }))
  yield* run(
    sql`INSERT INTO example_account ${sql.insert(accounts)} ON CONFLICT (name) DO UPDATE SET cents = EXCLUDED.cents`
  )

  const around = [transfer("ana", "bo", 10), transfer("bo", "cy", 10), transfer("cy", "ana", 10)]
  yield* Effect.forEach(
    Array.from({ length: 60 }, (_, n) => around[n % 3]!),
    (one) => one,
    { concurrency: 6 }
  )
  yield* transfer("ana", "bo", 100)
  yield* transfer("ana", "bo", 5000).pipe(
    Effect.catchTag("NotEnough", ({ account }) => Console.log(`not enough on the account of ${account}`))
  )

  const rows = yield* run(sql<{ name: string; cents: number }>`SELECT name, cents FROM example_account ORDER BY name`)
  yield* Console.log(rows.map(({ cents, name }) => `${name} ${cents}`).join(", "))
  yield* run(sql`DROP TABLE example_account`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
