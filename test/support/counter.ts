/** One row that everybody reads and writes back, one more. */
import { SqlClient } from "@effect/sql"
import { Effect, type Exit } from "effect"

export const createCounter = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE IF EXISTS counter`
  yield* sql`CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)`
  yield* sql`INSERT INTO counter VALUES (1, 0)`
})

const id = 1

/** Without a transaction around it. */
export const increment = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ n: number }>`SELECT n FROM counter WHERE id = ${id}`
  yield* sql`UPDATE counter SET n = ${row!.n + 1} WHERE id = ${id}`
})

export const counted = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(sql<{ n: number }>`SELECT n FROM counter WHERE id = ${id}`, ([row]) => row!.n)
)

/** Has fibers repeat an effect, all at once, and gives all exits. */
export const race = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  fibers: number,
  rounds: number
): Effect.Effect<ReadonlyArray<Exit.Exit<A, E>>, never, R> =>
  Effect.forEach(Array.from({ length: fibers }), () => Effect.replicateEffect(Effect.exit(effect), rounds), {
    concurrency: "unbounded"
  }).pipe(Effect.map((exits) => exits.flat()))
