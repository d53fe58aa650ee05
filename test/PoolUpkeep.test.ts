import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, type Duration, Effect, Exit, Fiber, Logger, LogLevel, Random, TestClock } from "effect"
import type * as Pool from "../src/Pool.js"
import { freezable } from "./support/clock.js"
import { idOf, type Item, makeWorld } from "./support/poolWorld.js"

describe("Pool", () => {
  describe("with a minimum", () => {
    it.scoped("fills up to it at once, and keeps as many however long they lie idle", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const gate = (world.gate = yield* Deferred.make<void>())
        const pool = yield* make({ max: 6, min: 3, idleTimeout: 60_000 })
        const filling = yield* Effect.fork(pool.fill)
        yield* TestClock.adjust(1)
        assert.strictEqual(world.dialling, 3, "not opened together")
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(filling)
        yield* Effect.replicateEffect(
          pool.use(() => Effect.yieldNow()),
          5,
          { concurrency: "unbounded" }
        )
        assert.strictEqual(world.opened, 5)
        yield* TestClock.adjust("3 minutes")
        assert.deepStrictEqual(world.reasons, ["idle", "idle"])
        assert.strictEqual(world.closed.length, 2)
        assert.strictEqual(world.opened, 5)
      })
    )

    it.scoped("opens one where nothing is to be kept", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const pool = yield* make()
        yield* pool.fill
        assert.strictEqual(world.opened, 1)
      })
    )

    it.effect("fails to fill when one of them cannot be opened, and leaves none", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const gate = yield* Deferred.make<void>()
        let dials = 0
        const open: Effect.Effect<Item, string> = Effect.suspend(() => {
          dials += 1
          if (dials === 2) return Effect.fail("refused")
          if (dials === 3)
            return Effect.interruptible(Effect.zipRight(Deferred.await(gate), Effect.die("not given up")))
          return Effect.sync(() => ({ id: ++world.opened, open: true }))
        })
        const exit = yield* make({ max: 3, min: 3, open }).pipe(
          Effect.flatMap((pool) => pool.fill),
          Effect.scoped,
          Effect.exit
        )
        assert(Exit.isFailure(exit))
        assert.deepStrictEqual(Array.from(Cause.failures(exit.cause)), ["refused"])
        assert.strictEqual(Cause.defects(exit.cause).length, 0)
        assert.deepStrictEqual(world.closed, [1])
      })
    )

    it.scoped("replaces what was lost or has expired, and opens nothing before the first use", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const pool = yield* make({ min: 2, idleTimeout: 3_600_000, maxLifetime: 1_000_000, lifetimeJitter: 0 })
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(world.opened, 0)
        yield* pool.use(idOf)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(world.opened, 2)
        yield* pool.use((item) => Effect.sync(() => (item.open = false)))
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(world.opened, 3)
        yield* TestClock.adjust("1030 seconds")
        assert.strictEqual(world.opened, 5)
        assert.strictEqual(world.opened - world.closed.length, 3, "one broke and was not there to be closed")
        assert.deepStrictEqual(world.reasons, ["unfit", "lifetime", "lifetime"])
      })
    )

    it.scoped("tries a failed replacement again at the next sweep, and tells of it only in the debug log", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const logged: Array<string> = []
        const logger = Logger.make(
          ({ cause, logLevel }) => void logged.push(`${logLevel.label} ${Cause.pretty(cause)}`)
        )
        yield* Effect.gen(function* () {
          const pool = yield* make({ min: 2 })
          yield* pool.fill
          world.refuse = true
          yield* pool.use((item) => Effect.sync(() => (item.open = false)))
          yield* TestClock.adjust("59 seconds")
          assert.strictEqual(logged.length, 1)
          assert.match(logged[0]!, /^DEBUG .*refused/)
          yield* TestClock.adjust("30 seconds")
          assert.strictEqual(logged.length, 2)
          world.refuse = false
          yield* TestClock.adjust("30 seconds")
          assert.strictEqual(world.opened, 3)
          assert.strictEqual(logged.length, 2)
        }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)), Logger.withMinimumLogLevel(LogLevel.All))
      })
    )

    it.scoped("starts no second replacement where the first still hangs", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const pool = yield* make({ max: 5, min: 2 })
        yield* pool.fill
        const breaks = pool.use((item) => Effect.sync(() => (item.open = false)))
        yield* breaks
        yield* breaks
        world.gate = yield* Deferred.make<void>()
        yield* TestClock.adjust("3 minutes")
        assert.strictEqual(world.dialling, 2)
      })
    )

    it.scoped("fails nobody who waits with the error of a replacement", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const pool = yield* make({ max: 1, min: 1 })
        yield* pool.use((item) => Effect.sync(() => (item.open = false)))
        const gate = (world.gate = yield* Deferred.make<void>())
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(world.dialling, 1)
        const waiter = yield* Effect.fork(Effect.exit(pool.use(idOf)))
        yield* Effect.yieldNow()
        assert.strictEqual(world.dialling, 1, "more than the maximum")
        // Only the dial that is under way fails; the one for the waiter comes after it.
        world.gate = undefined
        yield* Deferred.fail(gate, "refused" as never)
        assert.deepStrictEqual(yield* Fiber.join(waiter), Exit.succeed(2))
      })
    )

    it.scoped("goes on replacing when the only one who waited has gone", () =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const pool = yield* make({ max: 1, min: 1 })
        yield* pool.use((item) => Effect.sync(() => (item.open = false)))
        world.gate = yield* Deferred.make<void>()
        yield* TestClock.adjust("30 seconds")
        const waiter = yield* Effect.fork(pool.use(idOf))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(waiter)
        yield* Effect.yieldNow()
        assert.strictEqual(world.dialling, 1)
      })
    )
  })

  it.scoped("closes what lies idle too long", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make({ idleTimeout: 60_000 })
      yield* pool.use(idOf)
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(world.closed, [])
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(world.closed, [1])
      assert.strictEqual(yield* pool.use(idOf), 2)
    })
  )

  describe("after a freeze in which no timer went off", () => {
    const idleAfter = (frozen: Duration.DurationInput, options: Partial<Pool.Options<Item, string>> = {}) =>
      Effect.gen(function* () {
        const { make, world } = makeWorld()
        const { freeze, on } = yield* freezable
        yield* Effect.gen(function* () {
          const pool = yield* make({ max: 3, ...options })
          const all = Effect.replicateEffect(
            pool.use((item) => Effect.as(Effect.yieldNow(), item.id)),
            3,
            { concurrency: "unbounded" }
          )
          assert.sameMembers(yield* all, [1, 2, 3])
          yield* freeze(frozen)
          yield* all
        }).pipe(on)
        return { opened: world.opened, closed: world.closed }
      })

    it.scoped("lends nothing older than its lifetime", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* idleAfter("3 hours", { idleTimeout: 86_400_000 }), {
          opened: 6,
          closed: [3, 2, 1]
        })
      })
    )

    it.scoped("lends nothing that lay idle too long, but for what is kept however long it does", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* idleAfter("9 minutes"), { opened: 3, closed: [] })
        assert.deepStrictEqual(yield* idleAfter("10 minutes"), { opened: 6, closed: [3, 2, 1] })
        assert.deepStrictEqual(yield* idleAfter("10 minutes", { min: 2 }), { opened: 4, closed: [3] })
      })
    )
  })

  it.scoped("lends nothing older than its lifetime, which is up to 10 % less than the maximum", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make({ max: 200, idleTimeout: 3_600_000, maxLifetime: 1_000_000 })
      const gate = yield* Deferred.make<void>()
      const users = yield* Effect.forEach(Array.from({ length: 200 }), () =>
        Effect.fork(pool.use(() => Deferred.await(gate)))
      )
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(users)
      assert.strictEqual(world.opened, 200)
      yield* TestClock.adjust("899 seconds")
      assert.strictEqual(world.closed.length, 0)
      // At the sweep 960 seconds in, three fifths are due: 120, and 40 are more than five standard deviations.
      yield* TestClock.adjust("61 seconds")
      assert.isAbove(world.closed.length, 80)
      assert.isBelow(world.closed.length, 160)
      yield* TestClock.adjust("71 seconds")
      assert.strictEqual(world.closed.length, 200)
    })
  )

  it.scoped("shortens lives by the random part it is told, and by none when it is told so", () =>
    Effect.gen(function* () {
      const lastsUntil = (lifetimeJitter: number, random: number) =>
        Effect.gen(function* () {
          const { make } = makeWorld()
          const pool = yield* make({ max: 1, idleTimeout: 3_600_000, maxLifetime: 1_000_000, lifetimeJitter })
          const [first] = [yield* pool.use(idOf)]
          let milliseconds = 0
          while ((yield* pool.use(idOf)) === first) {
            yield* TestClock.adjust(10_000)
            milliseconds += 10_000
          }
          return milliseconds
        }).pipe(Effect.withRandom({ ...Random.fixed([0]), next: Effect.succeed(random) }))
      assert.strictEqual(yield* lastsUntil(0.5, 0), 1_000_000)
      assert.strictEqual(yield* lastsUntil(0.5, 0.5), 750_000)
      assert.strictEqual(yield* lastsUntil(0.5, 0.999), 510_000)
      assert.strictEqual(yield* lastsUntil(0, 0.999), 1_000_000)
    })
  )

  it.scoped("spreads the ends of 1,000 lives over all of the time that the jitter allows", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make({ max: 1000, idleTimeout: 3_600_000, maxLifetime: 3_000_000, lifetimeJitter: 0.5 })
      const gate = yield* Deferred.make<void>()
      const users = yield* Effect.replicateEffect(Effect.fork(pool.use(() => Deferred.await(gate))), 1000)
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(users)
      assert.strictEqual(world.opened, 1000)
      yield* TestClock.adjust("1500 seconds")
      assert.deepStrictEqual(world.closed, [])
      const tenths: Array<number> = []
      for (let ended = 0; tenths.length < 10; ended = world.closed.length) {
        yield* TestClock.adjust("150 seconds")
        tenths.push(world.closed.length - ended)
      }
      assert.strictEqual(world.closed.length, 1000)
      // 100 are expected in each, and 50 are more than five standard deviations.
      assert.isTrue(
        tenths.every((ended) => ended > 50 && ended < 150),
        tenths.join()
      )
    })
  )
})
