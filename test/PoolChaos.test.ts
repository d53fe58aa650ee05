import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Random, Scope, TestClock } from "effect"
import * as Pool from "../src/Pool.js"

const max = 4

interface Item {
  alive: boolean
  lent: boolean
  changed: boolean
}

/** Lets all others go on for a while. */
const pause = Effect.flatMap(Random.nextIntBetween(0, 4), (times) =>
  Effect.replicateEffect(Effect.yieldNow(), times, { discard: true })
)

const chance = (part: number) => Effect.map(Random.next, (random) => random < part)

/** A pool of items that fail at random, in every way and at every step, until `calm` is set. */
const makeWorld = Effect.gen(function* () {
  const world = { calm: false, dialling: 0, alive: 0, broken: [] as Array<string> }
  const check = (fine: boolean, rule: string) => {
    if (!fine) world.broken.push(rule)
  }
  const goesWrong = (part: number) => Effect.map(chance(part), (wrong) => wrong && !world.calm)
  const end = (item: Item) => {
    if (item.alive) world.alive--
    item.alive = false
  }
  const trouble = Effect.gen(function* () {
    yield* Effect.interruptible(pause)
    if (yield* goesWrong(0.1)) return yield* Effect.fail("refused")
    if (yield* goesWrong(0.02)) return yield* Effect.die("defect")
  })
  const open = Effect.suspend(() => {
    world.dialling++
    check(world.dialling + world.alive <= max, "more than the maximum")
    return Effect.ensuring(
      Effect.map(trouble, (): Item => {
        world.alive++
        return { alive: true, lent: false, changed: false }
      }),
      Effect.sync(() => world.dialling--)
    )
  })
  const pool = yield* Pool.make<Item, string>({
    open,
    close: (item) => Effect.suspend(() => (end(item), pause)),
    destroy: end,
    isUsable: (item) => item.alive,
    reset: (item) =>
      item.changed ? Effect.andThen(Effect.interruptible(trouble), () => (item.changed = false)) : undefined,
    max,
    min: 2,
    idleTimeout: 40,
    maxLifetime: 100,
    lifetimeJitter: 0.5,
    acquireTimeout: 30,
    onAcquireTimeout: () => "too late",
    onClosed: () => "closed"
  })
  const borrow = (item: Item) =>
    Effect.gen(function* () {
      check(!item.lent, "lent twice")
      check(item.alive, "lent when it was gone")
      check(!item.changed, "lent as another had left it")
      item.lent = true
      yield* pause
      if (yield* goesWrong(0.1)) end(item)
      if (yield* goesWrong(0.2)) item.changed = true
      if (yield* goesWrong(0.1)) return yield* Effect.fail("mine")
      if (yield* goesWrong(0.05)) return yield* Effect.die("defect")
      yield* pause
    }).pipe(Effect.ensuring(Effect.sync(() => (item.lent = false))))
  const borrower = Effect.flatMap(chance(0.5), (reserves) =>
    reserves ? Effect.scoped(Effect.flatMap(pool.reserve, borrow)) : pool.use(borrow)
  )
  return { world, pool, borrower }
})

const seeds = Array.from({ length: 8 }, (_, seed) => [seed] as const)

it.effect.each(seeds)("Pool keeps its promises when everything goes wrong at random (seed %i)", ([seed]) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const { borrower, pool, world } = yield* Scope.extend(makeWorld, scope)
    const fibers: Array<Fiber.RuntimeFiber<void, string>> = []
    const interrupted = new Set<number>()
    for (let step = 0; step < 300; step++) {
      fibers.push(yield* Effect.fork(borrower))
      yield* pause
      if (yield* chance(0.3)) {
        const index = yield* Random.nextIntBetween(0, fibers.length)
        interrupted.add(index)
        yield* Fiber.interruptFork(fibers[index]!)
      }
      if (yield* chance(0.3)) yield* TestClock.adjust(yield* Random.nextIntBetween(1, 10))
    }
    const healthy = seed % 2 === 0
    if (healthy) {
      world.calm = true
      yield* TestClock.adjust(30)
      yield* Effect.forEach(fibers, Fiber.await)
      const all = yield* Deferred.make<void>()
      let together = 0
      yield* Effect.replicateEffect(
        pool.use(() => (++together === max ? Deferred.succeed(all, undefined) : Deferred.await(all))),
        max,
        { concurrency: "unbounded" }
      )
    }
    yield* Scope.close(scope, Exit.void)
    const ends = yield* Effect.forEach(fibers, Fiber.await)
    ends.forEach((exit, index) => {
      if (Exit.isSuccess(exit)) return
      const expected = ["refused", "mine", "too late", ...(healthy ? [] : ["closed"])]
      assert.isTrue(Array.from(Cause.failures(exit.cause)).every((error) => expected.includes(error)))
      assert.isTrue(
        Array.from(Cause.defects(exit.cause)).every((defect) => defect === "defect"),
        Cause.pretty(exit.cause)
      )
      assert.isTrue(!Cause.isInterrupted(exit.cause) || interrupted.has(index), "interrupted by nobody")
    })
    assert.deepStrictEqual({ ...world, calm: healthy }, { calm: healthy, dialling: 0, alive: 0, broken: [] })
  }).pipe(Effect.withRandom(Random.make(seed)))
)
