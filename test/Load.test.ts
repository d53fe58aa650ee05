import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Random, Stream } from "effect"
import { DsqlAuth, DsqlClient, DsqlConfig, DsqlConnection } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { makeProxy, type Proxy } from "./support/proxy.js"
import { until } from "./support/sockets.js"

const statements = 5_000
const callers = 500
const max = 10

/** A client whose every lending is looked at: no connection in two hands, never more open than the pool may have. */
const watchedClient = (proxy: Proxy, broken: Array<string>) => {
  const lent = new Set<DsqlConnection.Connection>()
  const known = new Set<DsqlConnection.Connection>()
  const take = (connection: DsqlConnection.Connection) => {
    if (lent.has(connection)) broken.push("lent twice")
    lent.add(connection)
    known.add(connection)
    const open = Array.from(known).filter((connection) => connection.isOpen()).length
    if (open > max) broken.push(`${open} open`)
  }
  const watched = Layer.effect(
    DsqlConnection.DsqlConnection,
    Effect.map(DsqlConnection.DsqlConnection, ({ request, reserve, use }) => ({
      use: <A, E, R>(f: (connection: DsqlConnection.Connection) => Effect.Effect<A, E, R>) =>
        use((connection) =>
          Effect.acquireUseRelease(
            Effect.sync(() => take(connection)),
            () => f(connection),
            () => Effect.sync(() => lent.delete(connection))
          )
        ),
      reserve: Effect.tap(reserve, (connection) =>
        Effect.acquireRelease(
          Effect.sync(() => take(connection)),
          () => Effect.sync(() => lent.delete(connection))
        )
      ),
      request: <A, E>({ start, stop }: DsqlConnection.Request<A, E>) =>
        request<A, E>({
          start: (connection, end) => {
            take(connection)
            start(connection, (outcome) => {
              lent.delete(connection)
              end(outcome)
            })
          },
          stop: (connection) => {
            lent.delete(connection)
            stop(connection)
          }
        })
    }))
  ).pipe(Layer.provide(DsqlConnection.layer))
  return DsqlClient.layer.pipe(
    Layer.provide(watched),
    Layer.provide(DsqlAuth.layerToken),
    Layer.provide(proxy.credentials),
    Layer.provide(DsqlConfig.layer({ ...proxy.options, pool: { max, connectRate: 1000 } }))
  )
}

const letOthersRun = Effect.flatMap(Random.nextIntBetween(0, 20), (times) =>
  Effect.replicateEffect(Effect.yieldNow(), times, { discard: true })
)

/** One piece of work of any kind. It succeeds, is interrupted from here, or fails with what it says. */
const work = (sql: SqlClient.SqlClient, n: number): Effect.Effect<"done" | "interrupted", unknown> =>
  Effect.flatMap(Random.next, (random) => {
    const echo = Effect.flatMap(sql<{ n: number }>`SELECT ${n}::int AS n`, ([row]) =>
      row?.n === n ? Effect.succeed("done" as const) : Effect.fail(`${row?.n} instead of ${n}`)
    )
    const interrupted = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.flatMap(Effect.fork(effect), (fiber) =>
        Effect.flatMap(Effect.zipRight(letOthersRun, Fiber.interrupt(fiber)), (exit) =>
          Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)
            ? Effect.succeed("interrupted" as const)
            : Effect.failCause(exit.cause)
        )
      )
    // Surely under way when it is interrupted, which ends the connection and with it the transaction.
    if (random < 0.02) {
      return Effect.as(Effect.either(sql.withTransaction(interrupted(sql`SELECT pg_sleep(60)`))), "interrupted")
    }
    if (random < 0.1) return interrupted(echo)
    if (random < 0.2) return sql.withTransaction(Effect.zipRight(echo, echo))
    if (random < 0.3) {
      return Effect.flatMap(Stream.runCount(sql`SELECT generate_series(1, ${n % 300}::int)`.stream), (count) =>
        count === n % 300 ? Effect.succeed("done" as const) : Effect.fail(`${count} rows`)
      )
    }
    if (random < 0.31) return Effect.zipRight(sql`SET search_path TO leaked`, echo)
    return echo
  })

const load = (proxy: Proxy, seed: number) =>
  Effect.gen(function* () {
    const broken: Array<string> = []
    const exits = yield* Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.forEach(
        Array.from({ length: callers }, (_, caller) => caller),
        (caller) => Effect.replicateEffect(Effect.exit(Effect.suspend(() => work(sql, caller))), statements / callers),
        { concurrency: "unbounded" }
      )
    ).pipe(Effect.provide(watchedClient(proxy, broken)), Effect.withRandom(Random.make(seed)))
    return { broken, exits: exits.flat() }
  })

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("two pools at once", (it) => {
  it.scoped(
    `with ${callers} callers, ${max} connections and ${statements} statements each, many interrupted, lose nothing`,
    () =>
      Effect.gen(function* () {
        const { connectionCount } = yield* DsqlLocal
        const proxies = [yield* makeProxy(), yield* makeProxy()]
        const results = yield* Effect.forEach(proxies, load, { concurrency: "unbounded" })
        for (const { broken, exits } of results) {
          assert.deepStrictEqual(broken, [])
          assert.lengthOf(exits, statements)
          const failed = exits.filter(Exit.isFailure)
          assert.deepStrictEqual(
            failed.map(({ cause }) => Cause.pretty(cause)),
            []
          )
          const interrupted = exits.filter((exit) => Exit.isSuccess(exit) && exit.value === "interrupted").length
          assert.isAbove(interrupted, statements / 20)
        }
        for (const proxy of proxies) {
          assert.isAbove(proxy.accepted(), max, "no connection was ended by an interruption")
          yield* until(() => proxy.present() === 0)
        }
        yield* connectionCount.pipe(Effect.delay("5 millis"), Effect.repeat({ until: (count) => count === 0 }))
      }),
    120_000
  )
})
