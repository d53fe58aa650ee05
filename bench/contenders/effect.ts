/** A `SqlClient` of `@effect/sql`, whoever made it. */
import type { SqlError } from "@effect/sql"
import { SqlClient } from "@effect/sql"
import { Effect, type Layer, ManagedRuntime, Stream } from "effect"
import type { Client, Job } from "../contender.js"

export const effectClient = async <E>(
  layer: Layer.Layer<SqlClient.SqlClient, E>,
  connections: number
): Promise<Client> => {
  const runtime = ManagedRuntime.make(layer)
  const sql = await runtime.runPromise(SqlClient.SqlClient)
  const point = (row: number) => sql`SELECT id, name, n FROM item WHERE id = ${row}`
  const write = (row: number) => sql`UPDATE item SET n = n + 1 WHERE id = ${row}`
  const jobs: Readonly<Record<Job, (row: number) => Effect.Effect<unknown, SqlError.SqlError>>> = {
    point,
    hundred: (row) => sql`SELECT id, name, n FROM item WHERE id >= ${row} ORDER BY id LIMIT 100`,
    transaction: (row) =>
      point(row).pipe(
        Effect.zipRight(write(row)),
        Effect.zipRight(point(row + 1)),
        Effect.zipRight(write(row + 1)),
        Effect.zipRight(point(row)),
        sql.withTransaction
      )
  }
  return {
    repeat: ({ callers, job, milliseconds, rowFor }) => {
      const latencies: Array<number> = []
      const end = performance.now() + milliseconds
      const work = (caller: number) =>
        Effect.gen(function* () {
          for (let began = performance.now(); began < end;) {
            yield* jobs[job](rowFor(caller))
            const now = performance.now()
            latencies.push(now - began)
            began = now
          }
        })
      const all = Effect.forEach(
        Array.from({ length: callers }, (_, caller) => caller),
        work,
        { concurrency: "unbounded", discard: true }
      )
      return runtime.runPromise(Effect.as(all, latencies))
    },
    stream: (rows, onRow) =>
      runtime.runPromise(
        Stream.runForEach(
          sql`SELECT i AS id, 'row ' || i AS name, i % 7 AS n FROM generate_series(1, ${rows}::int) AS i`.stream,
          () => Effect.sync(onRow)
        )
      ),
    openAll: () =>
      runtime.runPromise(
        Effect.scoped(Effect.replicateEffect(sql.reserve, connections, { concurrency: "unbounded", discard: true }))
      ),
    close: () => runtime.dispose()
  }
}
