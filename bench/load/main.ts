/**
 * Measures how fast `DsqlBatch.insert` loads rows into a local cluster, beside a loop on plain `pg` with INSERTs of as many
 * rows, each with one connection and with four. Fails when it is slower than this project promises. The two take turns, so
 * that what else the machine does strikes both.
 */
import { SqlClient } from "@effect/sql"
import { Console, Effect, Stream } from "effect"
import { DsqlBatch } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import pg from "pg"
import { startCluster } from "../../src/local/cluster.js"
import { makeClient } from "../../test/local/support.js"

const rows = 100_000
const maxRows = 1_000
const rounds = 5

/** The least part of the loop's speed. */
const promised = 0.8

const rowOf = (id: number) => ({ id, name: `owner ${id}`, city: `city ${id % 100}`, balance: id * 7 })

const columns = Object.keys(rowOf(0))

/** As somebody would write it by hand. */
const insertByHand = async (client: pg.Client, from: number): Promise<void> => {
  const values: Array<unknown> = []
  const places: Array<string> = []
  for (let id = from; id < from + maxRows; id++) {
    const row = rowOf(id)
    places.push(`($${values.length + 1}, $${values.length + 2}, $${values.length + 3}, $${values.length + 4})`)
    values.push(row.id, row.name, row.city, row.balance)
  }
  await client.query(`INSERT INTO loaded (${columns.join(", ")}) VALUES ${places.join(", ")}`, values)
}

const byHand = (clients: ReadonlyArray<pg.Client>) =>
  Effect.promise(async () => {
    let next = 1
    await Promise.all(
      clients.map(async (client) => {
        while (next <= rows) {
          const from = next
          next += maxRows
          await insertByHand(client, from)
        }
      })
    )
  })

const ours = (concurrency: number) =>
  Stream.range(1, rows).pipe(
    Stream.map(rowOf),
    DsqlBatch.insert({ table: "loaded", key: ["id"], maxRows, concurrency })
  )

const seconds = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`DROP TABLE IF EXISTS loaded`
    yield* sql`CREATE TABLE loaded (id int PRIMARY KEY, name text, city text, balance bigint)`
    const start = performance.now()
    yield* effect
    const seconds = (performance.now() - start) / 1000
    const [counted] = yield* sql<{ n: number }>`SELECT count(*)::int AS n FROM loaded`
    if (counted?.n !== rows) return yield* Effect.dieMessage(`${counted?.n} rows in place of ${rows}`)
    return seconds
  })

const median = (numbers: ReadonlyArray<number>): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!

const program = Effect.gen(function* () {
  const cluster = yield* Effect.acquireRelease(
    Effect.promise(() => startCluster()),
    (cluster) => Effect.promise(() => cluster.stop())
  )
  const access = { ...cluster, host: cluster.endpoint }
  for (const connections of [1, 4]) {
    const clients = yield* Effect.acquireRelease(
      Effect.promise(() =>
        Promise.all(
          Array.from({ length: connections }, async () => {
            const client = await makeClient(cluster)
            await client.connect()
            return client
          })
        )
      ),
      (clients) => Effect.promise(() => Promise.all(clients.map((client) => client.end())))
    )
    const results = yield* Effect.replicateEffect(
      Effect.all({ byHand: seconds(byHand(clients)), ours: seconds(ours(connections)) }),
      rounds
    ).pipe(Effect.provide(DsqlLocal.layerFrom(access)))
    const speeds = [results.map(({ byHand }) => rows / byHand), results.map(({ ours }) => rows / ours)].map(median)
    const [hand, batch] = speeds as [number, number]
    const part = batch / hand
    yield* Console.log(
      `${connections} connection${connections === 1 ? "" : "s"}: by hand ${Math.round(hand)} rows/s, DsqlBatch ${Math.round(batch)} rows/s: ${part.toFixed(2)}`
    )
    if (part < promised) process.exitCode = 1
  }
})

await Effect.runPromise(Effect.scoped(program))
