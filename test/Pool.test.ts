import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scope, TestClock } from "effect"
import { idOf, makeWorld } from "./support/poolWorld.js"

describe("Pool", () => {
  it.scoped("opens when needed, lends again, and opens no more than its maximum", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make()
      assert.strictEqual(world.opened, 0)
      assert.strictEqual(yield* pool.use(idOf), 1)
      assert.strictEqual(yield* pool.use(idOf), 1)
      const all = yield* Effect.all(
        Array.from({ length: 50 }, () => pool.use((item) => Effect.as(Effect.yieldNow(), item.id))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(all), new Set([1, 2]))
      assert.strictEqual(world.opened, 2)
    })
  )

  it.scoped("takes an idle one without suspending", () =>
    Effect.gen(function* () {
      const { make } = makeWorld()
      const pool = yield* make()
      yield* pool.use(idOf)
      assert.deepStrictEqual(Effect.runSyncExit(pool.use(idOf)), Exit.succeed(1))
    })
  )

  it.scoped("serves those who wait in order", () =>
    Effect.gen(function* () {
      const { make } = makeWorld()
      const pool = yield* make({ max: 1 })
      const gate = yield* Deferred.make<void>()
      const served: Array<number> = []
      yield* Effect.fork(pool.use(() => Deferred.await(gate)))
      const fibers = yield* Effect.forEach([1, 2, 3], (n) =>
        Effect.zipLeft(Effect.fork(pool.use(() => Effect.sync(() => served.push(n)))), Effect.yieldNow())
      )
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(served, [1, 2, 3])
    })
  )

  it.scoped("lets nobody wait longer than the acquire timeout", () =>
    Effect.gen(function* () {
      const { make } = makeWorld()
      const pool = yield* make({ max: 1 })
      yield* Effect.fork(pool.use(() => Effect.never))
      yield* Effect.yieldNow()
      const waiter = yield* Effect.fork(Effect.exit(pool.use(idOf)))
      yield* TestClock.adjust("29 seconds")
      assert.isTrue((yield* Fiber.poll(waiter))._tag === "None")
      const later = yield* Effect.fork(Effect.exit(pool.use(idOf)))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(waiter), Exit.fail("acquire timeout"))
      yield* TestClock.adjust("28 seconds")
      assert.isTrue((yield* Fiber.poll(later))._tag === "None")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(later), Exit.fail("acquire timeout"))
    })
  )

  it.scoped("gives a failed dial to one who waits, and dials again for the others", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make()
      const gate = (world.gate = yield* Deferred.make<void>())
      // So many that dialling for the next from inside the failure of the last would exhaust the stack.
      const callers = yield* Effect.forEach(Array.from({ length: 5000 }), () =>
        Effect.fork(Effect.exit(pool.use(idOf)))
      )
      yield* Effect.yieldNow()
      assert.strictEqual(world.dialling, 2)
      world.gate = undefined
      world.refuse = true
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(
        new Set((yield* Effect.forEach(callers, Fiber.join)).map((exit) => exit._tag)),
        new Set(["Failure"])
      )
      assert.strictEqual(world.dialling, 0)
      world.refuse = false
      assert.strictEqual(yield* pool.use(idOf), 1)
    })
  )

  it.scoped("passes on a dial that interrupts itself, instead of dialling for ever", () =>
    Effect.gen(function* () {
      const { make } = makeWorld()
      const pool = yield* make({ open: Effect.interrupt })
      const exit = yield* Effect.exit(pool.use(idOf))
      assert(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
    })
  )

  it.scoped("gives up the dial of a caller who has gone", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      world.gate = yield* Deferred.make<void>()
      const pool = yield* make()
      const fibers = yield* Effect.all([Effect.fork(pool.use(idOf)), Effect.fork(pool.use(idOf))])
      yield* Effect.yieldNow()
      assert.strictEqual(world.dialling, 2)
      yield* Fiber.interrupt(fibers[0])
      yield* Effect.yieldNow()
      assert.strictEqual(world.dialling, 1)
      yield* Deferred.succeed(world.gate, undefined)
      assert.strictEqual(yield* Fiber.join(fibers[1]), 1)
      assert.strictEqual(world.opened, 1)
    })
  )

  it.scoped("does not lend what broke, and replaces it", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make({ max: 1 })
      yield* pool.use((item) => Effect.sync(() => (item.open = false)))
      assert.strictEqual(yield* pool.use(idOf), 2)
      // One that breaks in use frees its place for the next in the queue.
      const gate = yield* Deferred.make<void>()
      const breaker = yield* Effect.fork(
        pool.use((item) => Effect.andThen(Deferred.await(gate), () => (item.open = false)))
      )
      yield* Effect.yieldNow()
      const next = yield* Effect.fork(pool.use(idOf))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(breaker)
      assert.strictEqual(yield* Fiber.join(next), 3)
      assert.deepStrictEqual(world.closed, [])
    })
  )

  it.scoped("resets only what was changed, before the next use", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make({ max: 1 })
      yield* pool.use(idOf)
      assert.deepStrictEqual(world.resets, [])
      world.changed = true
      yield* pool.use(idOf)
      assert.deepStrictEqual(world.resets, [1])
    })
  )

  it.scoped("waits for the one that is being reset, and opens another only for who comes beside", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const reset = yield* Deferred.make<void>()
      const pool = yield* make({ max: 2, reset: ({ id }) => (id === 1 ? Deferred.await(reset) : undefined) })
      assert.strictEqual(yield* pool.use(idOf), 1)
      const first = yield* Effect.fork(pool.use(idOf))
      yield* Effect.yieldNow()
      assert.strictEqual(world.opened, 1)
      const second = yield* Effect.fork(pool.use(idOf))
      assert.strictEqual(yield* Fiber.join(first), 2)
      yield* Deferred.succeed(reset, undefined)
      yield* Fiber.join(second)
      assert.strictEqual(world.opened, 2)
    })
  )

  it.scoped.each([
    ["fails", Effect.fail("no")],
    ["dies", Effect.die("no")],
    ["interrupts itself", Effect.interrupt]
  ] as const)("drops what cannot be reset: %s", ([, reset]) =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make({ max: 1, reset: () => reset })
      assert.strictEqual(yield* pool.use(idOf), 1)
      assert.strictEqual(yield* pool.use(idOf), 2)
      assert.deepStrictEqual(world.closed, [1, 2])
    })
  )

  it.effect("closes everything with its scope, and fails who waits or comes later", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(make({ max: 1 }), scope)
      const user = yield* Effect.fork(pool.use(() => Effect.never))
      yield* Effect.yieldNow()
      const waiter = yield* Effect.fork(Effect.exit(pool.use(idOf)))
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(world.closed, [1])
      assert.deepStrictEqual(yield* Fiber.join(waiter), Exit.fail("closed"))
      assert.deepStrictEqual(yield* Effect.exit(pool.use(idOf)), Exit.fail("closed"))
      yield* Fiber.interrupt(user)
    })
  )

  it.effect("leaves no dial behind when its scope closes", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      world.gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(make(), scope)
      const user = yield* Effect.fork(Effect.exit(pool.use(idOf)))
      yield* Effect.yieldNow()
      assert.strictEqual(world.dialling, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(world.dialling, 0)
      assert.deepStrictEqual(yield* Fiber.join(user), Exit.fail("closed"))
    })
  )

  it.effect("destroys what comes while it closes", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const closing = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(make({ close: () => Deferred.await(closing) }), scope)
      yield* Effect.fork(pool.use(() => Effect.never))
      yield* Effect.yieldNow()
      const gate = (world.gate = yield* Deferred.make<void>())
      const late = yield* Effect.fork(Effect.exit(pool.use(idOf)))
      yield* Effect.yieldNow()
      const closed = yield* Effect.fork(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(yield* Fiber.join(late), Exit.fail("closed"))
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow()
      assert.deepStrictEqual(world.closed, [2])
      yield* Deferred.succeed(closing, undefined)
      yield* Fiber.join(closed)
    })
  )

  it.scoped("loses nothing when callers are interrupted at any moment", () =>
    Effect.gen(function* () {
      const { make, world } = makeWorld()
      const pool = yield* make({ max: 3 })
      for (let round = 0; round < 200; round++) {
        const fibers = yield* Effect.forEach(Array.from({ length: 8 }), () =>
          Effect.fork(pool.use(() => Effect.yieldNow()))
        )
        for (let step = 0; step < round % 5; step++) yield* Effect.yieldNow()
        yield* Effect.forEach(fibers, (fiber, index) => (index % 2 === 0 ? Fiber.interrupt(fiber) : Fiber.join(fiber)))
      }
      const ids = yield* Effect.all(
        Array.from({ length: 3 }, () => pool.use((item) => Effect.as(Effect.yieldNow(), item.id))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(ids).size, 3)
      assert.strictEqual(world.opened - world.closed.length, 3)
    })
  )
})
