/** Items for a pool to lend, and the levers to make them go wrong. */
import { Deferred, Effect } from "effect"
import * as Pool from "../../src/Pool.js"

export interface Item {
  readonly id: number
  open: boolean
}

/** What the pool did with its items, and the levers to make it go wrong. */
export const makeWorld = () => {
  const world = {
    opened: 0,
    dialling: 0,
    closed: [] as Array<number>,
    reasons: [] as Array<string>,
    resets: [] as Array<number>,
    refuse: false,
    changed: false,
    gate: undefined as Deferred.Deferred<void> | undefined
  }
  const open: Effect.Effect<Item, string> = Effect.suspend(() => {
    world.dialling += 1
    const wait = world.gate === undefined ? Effect.void : Effect.interruptible(Deferred.await(world.gate))
    return Effect.ensuring(
      Effect.zipRight(
        wait,
        Effect.suspend(() =>
          world.refuse ? Effect.fail("refused") : Effect.succeed({ id: ++world.opened, open: true })
        )
      ),
      Effect.sync(() => (world.dialling -= 1))
    )
  })
  const end = (item: Item) => {
    if (item.open) world.closed.push(item.id)
    item.open = false
  }
  const make = (options: Partial<Pool.Options<Item, string>> = {}) =>
    Pool.make<Item, string>({
      open,
      close: (item, reason) =>
        Effect.sync(() => {
          world.reasons.push(reason)
          end(item)
        }),
      destroy: end,
      isUsable: (item) => item.open,
      reset: (item) => (world.changed ? Effect.sync(() => void world.resets.push(item.id)) : undefined),
      max: 2,
      min: 0,
      lifetimeJitter: 0.1,
      idleTimeout: 600_000,
      maxLifetime: 3_300_000,
      acquireTimeout: 30_000,
      onAcquireTimeout: () => "acquire timeout",
      onClosed: () => "closed",
      ...options
    })
  return { world, make }
}

export const idOf = (item: Item) => Effect.succeed(item.id)
