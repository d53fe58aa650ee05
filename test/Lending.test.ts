import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Random, Scope, TestClock, TestContext } from "effect"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { freezable } from "./support/clock.js"
import { clientThrough, makeProxy } from "./support/proxy.js"
import { listen, until } from "./support/sockets.js"

const onTestClock = Effect.provide(TestContext.TestContext)

const pid = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row!.pid)
)

/** The backends of so many connections, none given back before all are lent. */
const pids = (count: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.flatMap(sql.reserve, (connection) => connection.executeValues("SELECT pg_backend_pid()", [])).pipe(
      Effect.map(([row]) => row![0] as number),
      Effect.replicateEffect(count, { concurrency: "unbounded" }),
      Effect.scoped
    )
  )

const failureOf = <A, E>(exit: Exit.Exit<A, E>) => {
  assert(Exit.isFailure(exit) && exit.cause._tag === "Fail", "it did not fail, or not only")
  const error = DsqlErrors.unwrap(exit.cause.error)
  assert(error?._tag === "DsqlConnectionError")
  return error
}

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("connections", (it) => {
  it.scoped(
    "that are all lent are waited for no longer than the acquire timeout, and nothing is the worse for it",
    () =>
      Effect.gen(function* () {
        const { endpoint } = yield* DsqlLocal
        const proxy = yield* makeProxy()
        yield* Effect.gen(function* () {
          const first = yield* pid
          const released = yield* Deferred.make<void>()
          const lent = yield* Deferred.make<void>()
          const borrower = yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql.reserve).pipe(
            Effect.zipRight(Deferred.succeed(lent, undefined)),
            Effect.zipRight(Deferred.await(released)),
            Effect.scoped,
            Effect.fork
          )
          yield* Deferred.await(lent)
          const waiters = yield* Effect.replicateEffect(Effect.fork(Effect.exit(pid)), 50)
          yield* TestClock.adjust("5 seconds")
          for (const waiter of waiters) {
            const error = failureOf(yield* Fiber.join(waiter))
            assert.strictEqual(error.reason, "AcquireTimeout")
            assert.isTrue(error.isRetryable)
            assert.isUndefined(error.outcomeUnknown, "nothing had been sent")
            assert.include(error.message, `${endpoint} (127.0.0.1:${proxy.options.port})`)
            assert.match(error.message, /within pool\.acquireTimeout; raise pool\.max/)
          }
          yield* Deferred.succeed(released, undefined)
          yield* Fiber.join(borrower)
          assert.strictEqual(yield* pid, first)
          assert.strictEqual(yield* proxy.dialled, 1)
        }).pipe(Effect.provide(clientThrough(proxy, { pool: { max: 1, acquireTimeout: "5 seconds" } })), onTestClock)
      })
  )

  it.scoped("are dialled no longer than the connect timeout, which is not the acquire timeout", () =>
    Effect.gen(function* () {
      const silent = yield* listen((socket) => socket.resume())
      yield* Effect.gen(function* () {
        const caller = yield* Effect.fork(Effect.exit(pid))
        yield* until(() => silent.present() === 1)
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(failureOf(yield* Fiber.join(caller)).reason, "ConnectTimeout")
        yield* until(() => silent.present() === 0)
      }).pipe(
        Effect.provide(
          DsqlLocal.layerClient({
            port: silent.port,
            lazy: true,
            pool: { connectTimeout: "3 seconds", acquireTimeout: "4 seconds" }
          })
        ),
        onTestClock
      )
    })
  )

  it.scoped("that expired while the process was frozen are not lent", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const { freeze, on } = yield* freezable
      yield* Effect.gen(function* () {
        const before = yield* pids(3)
        yield* freeze("9 minutes")
        assert.sameMembers(yield* pids(3), before)
        for (const [round, frozen] of (["11 minutes", "56 minutes", "12 hours"] as const).entries()) {
          yield* freeze(frozen)
          const after = yield* pids(3)
          assert.isEmpty(
            after.filter((pid) => before.includes(pid)),
            frozen
          )
          before.push(...after)
          assert.strictEqual(yield* proxy.dialled, 3 * (round + 2))
          yield* until(() => proxy.present() === 3)
        }
      }).pipe(Effect.provide(clientThrough(proxy)), on)
    })
  )

  it.scoped("given back with a statement still running are not lent to others", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const before = yield* pid
        const sql = yield* SqlClient.SqlClient
        const stray = yield* Effect.scoped(
          Effect.flatMap(sql.reserve, (connection) =>
            Effect.zipLeft(
              Effect.forkDaemon(Effect.exit(connection.executeRaw("SELECT pg_sleep(60)", []))),
              Effect.yieldNow()
            )
          )
        )
        assert.notStrictEqual(yield* pid, before)
        assert.strictEqual(failureOf(yield* Fiber.join(stray)).reason, "Closed")
        yield* until(() => proxy.present() === 1)
      }).pipe(Effect.provide(clientThrough(proxy, { pool: { max: 1 } })), onTestClock)
    })
  )

  it.scoped("whose reset is not answered are given up, and their place is free", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const before = yield* pid
        const sql = yield* SqlClient.SqlClient
        yield* Effect.scoped(
          Effect.flatMap(sql.reserve, (connection) =>
            Effect.zipRight(connection.executeRaw("SET search_path TO leaked", []), proxy.silence)
          )
        )
        const next = yield* Effect.fork(pid)
        yield* TestClock.adjust("5 seconds")
        assert.notStrictEqual(yield* Fiber.join(next), before)
        yield* until(() => proxy.present() === 1)
      }).pipe(Effect.provide(clientThrough(proxy, { pool: { max: 1 } })), onTestClock)
    })
  )

  it.scoped("in the midst of a reset do not keep their layer from closing, wherever that was built", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const scope = yield* Scope.make()
      let setups = 0
      const client = clientThrough(proxy, { setup: () => (++setups === 1 ? Effect.void : Effect.never) })
      const context = yield* Effect.uninterruptible(Layer.buildWithScope(client, scope))
      yield* Effect.provide(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SET search_path TO leaked`),
        context
      )
      yield* until(() => setups === 2)
      yield* Scope.close(scope, Exit.void)
      yield* until(() => proxy.present() === 0)
    }).pipe(onTestClock)
  )

  it.scoped("live as long as `maxLifetime` and `lifetimeJitter` say, and not all of them equally long", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const first = yield* pids(20)
        const alive = Effect.map(pids(20), (pids) => first.filter((pid) => pids.includes(pid)).length)
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(yield* alive, 20)
        const counts: Array<number> = []
        for (let minute = 6; minute <= 10; minute++) {
          yield* TestClock.adjust("1 minute")
          counts.push(yield* alive)
        }
        assert.strictEqual(counts.at(-1), 0)
        assert.isAbove(new Set(counts).size, 2, counts.join())
      }).pipe(
        Effect.provide(clientThrough(proxy, { pool: { max: 20, maxLifetime: "10 minutes", lifetimeJitter: 0.5 } })),
        Effect.withRandom(Random.make("lifetimes")),
        onTestClock
      )
    })
  )
})
