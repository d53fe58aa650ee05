/**
 * A worker that goes through a table of any size with the memory of a few pages. It reads by the key, page by page: DSQL ends
 * a transaction after 5 minutes and a connection after 60, and a page is a short statement that can be asked again, where one
 * long stream would have to begin anew. It keeps how far it is, and goes on there when it is started again. Creates and drops
 * the tables `example_event` and `example_progress`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/worker.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Chunk, Config, Console, Effect, Option, Stream } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({ host: Config.string("CLUSTER_ENDPOINT") })

interface Event {
  readonly id: number
  readonly payload: string
}

const pageSize = 500

/** All events behind a key. A page is asked for when the one before has been taken. */
const eventsAfter = (start: number) =>
  Stream.paginateChunkEffect(start, (after) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const page = yield* sql<Event>`
        SELECT id, payload FROM example_event WHERE id > ${after} ORDER BY id LIMIT ${pageSize}`
      const last = Option.map(Option.fromNullable(page.at(-1)), ({ id }) => id)
      return [Chunk.unsafeFromArray(page), last] as const
    }).pipe(DsqlTransaction.withRetry({ name: "next page", readOnly: true }))
  )

/** Stands for what the worker is there for. It may happen twice: what was done since the last page was noted, for a start. */
const handle = ({ payload }: Event) => Effect.succeed(payload.length)

const work = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const progress = sql<{ last: number }>`SELECT last FROM example_progress WHERE worker = 'sum'`
  const note = (last: number) => sql`
    INSERT INTO example_progress VALUES ('sum', ${last}) ON CONFLICT (worker) DO UPDATE SET last = ${last}`
  const [begun] = yield* progress
  return yield* eventsAfter(begun?.last ?? 0).pipe(
    Stream.mapEffect((event) => Effect.map(handle(event), (size) => ({ id: event.id, size })), { concurrency: 8 }),
    Stream.grouped(pageSize),
    Stream.tap((done) => DsqlTransaction.retryStatement(note(Chunk.unsafeLast(done).id), { name: "note" })),
    Stream.runFold({ events: 0, bytes: 0 }, (sum, done) => ({
      events: sum.events + done.length,
      bytes: sum.bytes + Chunk.reduce(done, 0, (bytes, { size }) => bytes + size)
    }))
  )
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const run = DsqlTransaction.retryStatement()
  yield* run(sql`CREATE TABLE example_event (id int PRIMARY KEY, payload text NOT NULL)`)
  yield* run(sql`CREATE TABLE example_progress (worker text PRIMARY KEY, last int NOT NULL)`)
  // 120 MB, below the limits of a transaction each time.
  yield* Effect.forEach(
    Array.from({ length: 12 }, (_, n) => n * 1000),
    (from) =>
      run(sql`
      INSERT INTO example_event SELECT id, repeat('x', 10000) FROM generate_series(${from}::int + 1, ${from}::int + 1000) id`),
    { discard: true }
  )
  const { bytes, events } = yield* work
  yield* Console.log(`${events} events of together ${bytes / 1_000_000} MB`)
  yield* Console.log(`started again, it finds ${(yield* work).events} left to do`)
  yield* run(sql`DROP TABLE example_event`)
  yield* run(sql`DROP TABLE example_progress`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
