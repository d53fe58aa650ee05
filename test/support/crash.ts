/** A server that is killed under load and comes back, as a client sees it: fifty fibers on ten connections. */
import { SqlClient } from "@effect/sql"
import { Deferred, Effect, type Exit, Fiber, Stream } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { asSuperuser } from "./superuser.js"

const connections = 10
const fibers = 50

/** Rows whose COMMIT takes a minute. Made by the superuser, since Aurora DSQL has nothing that could do it. */
const slowCommit = `
CREATE TABLE slow (id int);
GRANT INSERT ON slow TO admin;
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()`

const prepare = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { caFile } = yield* DsqlLocal
  yield* sql`CREATE TABLE ledger (fiber int NOT NULL, round int NOT NULL, PRIMARY KEY (fiber, round))`
  yield* Effect.tryPromise(() => asSuperuser(caFile, ({ run }) => run(slowCommit)))
})

/** What hangs in the server until that is killed, by name. */
const hanging = (sql: SqlClient.SqlClient) =>
  ({
    statement: sql`SELECT pg_sleep(${60})`,
    transaction: sql`SELECT 1`.pipe(Effect.zipRight(sql`SELECT pg_sleep(60)`), sql.withTransaction),
    stream: Stream.runDrain(
      sql`SELECT n, CASE n WHEN 500 THEN pg_sleep(60) END FROM generate_series(1, 1000) AS n`.stream
    ),
    commit: sql.withTransaction(sql`INSERT INTO slow VALUES (1)`)
  }) as const

export type Hanging = keyof ReturnType<typeof hanging>

/** A statement, a transaction and a stream; gives how many rows the stream had. */
const round = (sql: SqlClient.SqlClient, fiber: number, round: number) =>
  Effect.gen(function* () {
    yield* sql`SELECT ${fiber}::int AS fiber`
    yield* sql.withTransaction(sql`INSERT INTO ledger ${sql.insert({ fiber, round })}`)
    return yield* Stream.runCount(sql`SELECT n FROM generate_series(1, 300) AS n`.stream)
  })

/** How many statements of all clients hang. */
const asleep = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ n: number }>`SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event = 'PgSleep'`
).pipe(Effect.map(([row]) => row!.n))

/**
 * Kills the server in the midst of it all, brings it back, and does as much again. Gives how each fiber ended, and what was
 * there afterwards.
 */
export const crashUnderLoad = Effect.gen(function* () {
  const local = yield* DsqlLocal
  yield* Effect.provide(prepare, DsqlLocal.layerClient())
  const result = yield* Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let committed = 0
    const warm = yield* Deferred.make<void>()
    const working = (fiber: number) =>
      Effect.gen(function* () {
        for (let n = 0; ; n++) {
          yield* round(sql, fiber, n)
          committed++
          if (committed === fibers) yield* Deferred.succeed(warm, undefined)
        }
      })
    const kinds = Object.entries<Effect.Effect<unknown, unknown>>(hanging(sql)).flatMap((entry) => [entry, entry])
    const hung = yield* Effect.forEach(kinds, ([kind, effect]) =>
      Effect.map(Effect.fork(effect), (fiber) => ({ kind: kind as Hanging, fiber }))
    )
    const worked = yield* Effect.forEach(
      Array.from({ length: fibers - kinds.length }, (_, n) => n),
      (n) => Effect.fork(working(n))
    )
    yield* Effect.provide(
      Effect.repeat(asleep, { until: (n) => n === kinds.length }),
      DsqlLocal.layerClient({ pool: { max: 1 } })
    )
    yield* Deferred.await(warm)

    yield* local.stop
    const hungExits = yield* Effect.forEach(hung, ({ fiber, kind }) =>
      Effect.map(Fiber.await(fiber), (exit): readonly [Hanging, Exit.Exit<unknown, unknown>] => [kind, exit])
    )
    const workedExits: ReadonlyArray<Exit.Exit<unknown, unknown>> = yield* Effect.forEach(worked, Fiber.await)
    const whileDown = yield* Effect.exit(sql`SELECT 1`)
    const connectionsWhileDown = yield* local.connectionCount

    yield* local.start
    const after = yield* Effect.forEach(
      Array.from({ length: fibers }, (_, n) => fibers + n),
      (n) => round(sql, n, 0),
      { concurrency: "unbounded" }
    )
    const [ledger] = yield* sql<{ rows: number }>`SELECT count(*)::int AS rows FROM ledger WHERE fiber < ${fibers}`
    const [backends] = yield* sql<{ n: number }>`
      SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend'`
    return {
      hung: hungExits,
      worked: workedExits,
      whileDown,
      connectionsWhileDown,
      after,
      committed,
      stored: ledger!.rows,
      backends: backends!.n,
      connections: yield* local.connectionCount
    }
  }).pipe(Effect.provide(DsqlLocal.layerClient({ pool: { max: connections } })))
  // The cluster learns a little later that a client has gone.
  const connectionsInTheEnd = yield* local.connectionCount.pipe(
    Effect.delay("5 millis"),
    Effect.repeat({ until: (count) => count === 0, times: 1_000 })
  )
  return { ...result, connectionsInTheEnd }
})
