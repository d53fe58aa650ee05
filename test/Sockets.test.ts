import { SqlClient } from "@effect/sql"
import { assert, describe, layer } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Option, Redacted, Scope, TestClock, TestContext } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlErrors, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { clientThrough, makeProxy, type Proxy } from "./support/proxy.js"
import { listen, tcpSockets, until } from "./support/sockets.js"

/** Real sockets all the same, but no timeout and no limit ends unless the test says so. */
const onTestClock = Effect.provide(TestContext.TestContext)

const one = Effect.flatMap(SqlClient.SqlClient, (sql) => sql<{ one: number }>`SELECT 1 AS one`)

const pid = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row!.pid)
)

/** The one failure of an exit, which must not be mixed with a defect. */
const failureOf = <A, E>(exit: Exit.Exit<A, E>) => {
  assert(Exit.isFailure(exit), "it succeeded")
  assert.isTrue(Cause.isFailType(exit.cause), Cause.pretty(exit.cause))
  const error = DsqlErrors.unwrap(Option.getOrThrow(Cause.failureOption(exit.cause)))
  assert(error !== undefined)
  return error
}

const reasonOf = <A, E>(exit: Exit.Exit<A, E>) => {
  const error = failureOf(exit)
  return "reason" in error ? `${error._tag} ${error.reason}` : error._tag
}

/** A token that is there when the test says so. */
const lateToken = Effect.gen(function* () {
  const cluster = yield* DsqlLocal
  const arrived = yield* Deferred.make<void>()
  const token = yield* DsqlAuth.sign({
    host: cluster.endpoint,
    region: cluster.region,
    action: "DbConnectAdmin",
    duration: 900,
    credentials: cluster.credentials
  })
  return {
    arrives: Deferred.succeed(arrived, undefined),
    token: Layer.succeed(DsqlAuth.DsqlToken, { get: Effect.as(Deferred.await(arrived), token) })
  }
})

const lazyClient = (proxy: Proxy, options: Partial<DsqlConfig.Options>, token?: Layer.Layer<DsqlAuth.DsqlToken>) =>
  DsqlLayer.layer({ ...proxy.options, lazy: true, ...options }, { credentials: proxy.credentials, token })

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("sockets", (it) => {
  describe("are not opened", () => {
    it.scoped("without a token", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy()
        const { endpoint } = yield* DsqlLocal
        const failing = DsqlAuth.layerTokenFrom(() =>
          Effect.fail(new DsqlErrors.DsqlTokenError({ reason: "SigningFailed", host: endpoint }))
        )
        const exits = yield* Effect.exit(one).pipe(
          Effect.replicateEffect(5),
          Effect.provide(
            DsqlLayer.layer({ ...proxy.options, lazy: true }, { credentials: proxy.credentials, token: failing })
          )
        )
        assert.deepStrictEqual(exits.map(reasonOf), Array(5).fill("DsqlTokenError SigningFailed"))
        assert.strictEqual(yield* proxy.dialled, 0)
      })
    )

    it.scoped("before the token is there, and then only for those who wait", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy()
        const { arrives, token } = yield* lateToken
        yield* Effect.gen(function* () {
          const callers = yield* Effect.replicateEffect(Effect.fork(one), 5)
          yield* Effect.yieldNow()
          assert.strictEqual(yield* proxy.dialled, 0)
          yield* Fiber.interruptAll(callers.slice(0, 3))
          yield* arrives
          assert.deepStrictEqual(yield* Fiber.join(callers[4]!), [{ one: 1 }])
          assert.strictEqual(yield* proxy.dialled, 2)
        }).pipe(Effect.provide(lazyClient(proxy, {}, token)))
      })
    )

    it.scoped("for callers who have all been interrupted", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy()
        const { arrives, token } = yield* lateToken
        yield* Effect.gen(function* () {
          const callers = yield* Effect.replicateEffect(Effect.fork(one), 5)
          yield* Effect.yieldNow()
          yield* Fiber.interruptAll(callers)
          yield* arrives
          assert.strictEqual(yield* proxy.dialled, 0)
        }).pipe(Effect.provide(lazyClient(proxy, {}, token)))
      })
    )

    it.scoped("for a caller whose time to wait is over", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy()
        const { arrives, token } = yield* lateToken
        yield* Effect.gen(function* () {
          const caller = yield* Effect.fork(Effect.exit(one))
          yield* TestClock.adjust("30 seconds")
          assert.strictEqual(reasonOf(yield* Fiber.join(caller)), "DsqlConnectionError AcquireTimeout")
          yield* arrives
          assert.strictEqual(yield* proxy.dialled, 0)
        }).pipe(Effect.provide(lazyClient(proxy, {}, token)), onTestClock)
      })
    )

    it.scoped("faster than the connect rate of their layer, nor for who has given up waiting for that", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy()
        const holdOne = Effect.flatMap(SqlClient.SqlClient, (sql) => sql.reserve)
        const limited = Effect.gen(function* () {
          const before = yield* proxy.dialled
          const callers = yield* Effect.replicateEffect(Effect.forkScoped(Effect.exit(holdOne)), 6)
          yield* Effect.forEach(callers.slice(0, 2), Fiber.join)
          assert.strictEqual((yield* proxy.dialled) - before, 2)
          yield* TestClock.adjust("500 millis")
          yield* Fiber.join(callers[2]!)
          assert.strictEqual((yield* proxy.dialled) - before, 3)
          yield* Fiber.interrupt(callers[3]!)
          yield* TestClock.adjust("500 millis")
          yield* Fiber.join(callers[4]!)
          assert.strictEqual((yield* proxy.dialled) - before, 4)
          yield* TestClock.adjust("400 millis")
          assert.strictEqual(reasonOf(yield* Fiber.join(callers[5]!)), "DsqlConnectionError AcquireTimeout")
          yield* TestClock.adjust("1 minute")
          assert.strictEqual((yield* proxy.dialled) - before, 4)
        }).pipe(
          Effect.scoped,
          Effect.provide(lazyClient(proxy, { pool: { connectRate: 2, acquireTimeout: "1400 millis" } })),
          onTestClock
        )
        yield* limited
        // Another layer has a rate of its own.
        yield* limited
      })
    )

    it.scoped("beyond the maximum by a burst of 500 callers on a cold pool", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy()
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const numbers = Array.from({ length: 500 }, (_, n) => n)
          const rows = yield* Effect.forEach(numbers, (n) => sql<{ n: number }>`SELECT ${n}::int AS n`, {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(
            rows.map(([row]) => row!.n),
            numbers
          )
          assert.strictEqual(yield* proxy.dialled, 10)
        }).pipe(Effect.provide(lazyClient(proxy, { pool: { max: 10 } })))
        yield* until(() => proxy.present() === 0)
      })
    )
  })

  describe("are opened", () => {
    it.scoped("together for the minimum, before the layer is there", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy({ together: 4 })
        yield* Effect.gen(function* () {
          assert.strictEqual(yield* proxy.dialled, 4)
          const pids = yield* Effect.replicateEffect(pid, 4, { concurrency: "unbounded" })
          assert.strictEqual(new Set(pids).size, 4)
          assert.strictEqual(yield* proxy.dialled, 4)
        }).pipe(Effect.provide(clientThrough(proxy, { pool: { min: 4 } })))
      })
    )
  })

  describe("are closed", () => {
    it.scoped("after failed logins, by the client and at once", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy({ passesEnds: false })
        const { credentials } = yield* DsqlLocal
        const wrong = DsqlAuth.layerStatic({ ...credentials, secretAccessKey: Redacted.make("wrong") })
        // Those of earlier tests may still be on their way out.
        yield* until(() => tcpSockets() === 0)
        yield* Effect.gen(function* () {
          const exits = yield* Effect.replicateEffect(Effect.exit(one), 5)
          assert.deepStrictEqual(exits.map(reasonOf), Array(5).fill("DsqlAuthenticationError AccessDenied"))
          assert.strictEqual(yield* proxy.dialled, 5)
          yield* until(() => proxy.present() === 0)
          yield* until(() => tcpSockets() === 0)
        }).pipe(Effect.provide(DsqlLayer.layer({ ...proxy.options, lazy: true }, { credentials: wrong })))
      })
    )

    it.scoped("when their only caller goes while they are being opened", () =>
      Effect.gen(function* () {
        const silent = yield* listen((socket) => socket.resume())
        const proxy = yield* makeProxy()
        yield* Effect.gen(function* () {
          const interrupted = yield* Effect.fork(one)
          yield* until(() => silent.present() === 1)
          yield* Fiber.interrupt(interrupted)
          yield* until(() => silent.present() === 0)
          const expired = yield* Effect.fork(Effect.exit(one))
          yield* until(() => silent.present() === 1)
          yield* TestClock.adjust("1 second")
          assert.strictEqual(reasonOf(yield* Fiber.join(expired)), "DsqlConnectionError AcquireTimeout")
          yield* until(() => silent.present() === 0)
        }).pipe(
          Effect.provide(lazyClient(proxy, { port: silent.port, pool: { acquireTimeout: "1 second" } })),
          onTestClock
        )
      })
    )

    it.scoped("when the building of their layer is interrupted", () =>
      Effect.gen(function* () {
        const silent = yield* listen((socket) => socket.resume())
        const proxy = yield* makeProxy()
        const building = yield* clientThrough(proxy, { port: silent.port, pool: { min: 3 } }).pipe(
          Layer.build,
          Effect.scoped,
          Effect.fork
        )
        yield* until(() => silent.present() === 3)
        const exit = yield* Fiber.interrupt(building)
        assert(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
        yield* until(() => silent.present() === 0)
      }).pipe(onTestClock)
    )

    it.scoped("when the layer closes while they are being opened, and who waits is told", () =>
      Effect.gen(function* () {
        const silent = yield* listen((socket) => socket.resume())
        const proxy = yield* makeProxy()
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(lazyClient(proxy, { port: silent.port }), scope)
        const callers = yield* Effect.replicateEffect(Effect.fork(Effect.exit(Effect.provide(one, context))), 3)
        yield* until(() => silent.present() === 3)
        yield* Scope.close(scope, Exit.void)
        yield* until(() => silent.present() === 0)
        const exits = yield* Effect.forEach(callers, Fiber.join)
        assert.deepStrictEqual(exits.map(reasonOf), Array(3).fill("DsqlConnectionError PoolClosed"))
      }).pipe(onTestClock)
    )
  })

  describe("of a setup", () => {
    it.scoped("that fails, hangs or is interrupted are closed, and their place is free", () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy({ passesEnds: false })
        let setup = "SELECT * FROM no_such_table"
        let setups = 0
        yield* Effect.gen(function* () {
          const exits = yield* Effect.replicateEffect(Effect.exit(one), 3)
          assert.deepStrictEqual(
            exits.map((exit) => failureOf(exit)._tag),
            ["DsqlQueryError", "DsqlQueryError", "DsqlQueryError"]
          )
          yield* until(() => proxy.present() === 0)

          setup = "SELECT pg_sleep(60)"
          const hanging = yield* Effect.fork(Effect.exit(one))
          yield* until(() => setups === 4)
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(reasonOf(yield* Fiber.join(hanging)), "DsqlConnectionError ConnectTimeout")
          yield* until(() => proxy.present() === 0)

          const interrupted = yield* Effect.fork(one)
          yield* until(() => setups === 5)
          yield* Fiber.interrupt(interrupted)
          yield* until(() => proxy.present() === 0)

          setup = "SELECT 1"
          assert.deepStrictEqual(yield* one, [{ one: 1 }])
          assert.strictEqual(yield* proxy.dialled, 6)
        }).pipe(
          Effect.provide(
            lazyClient(proxy, { pool: { max: 1 }, setup: (sql) => Effect.suspend(() => (setups++, sql.unsafe(setup))) })
          ),
          onTestClock
        )
      })
    )
  })
})
