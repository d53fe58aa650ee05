/**
 * A pool of things that are opened with effort, hold up for a while and may break at any time. It does not know what they
 * are. Taking an idle one is a single synchronous step; those who must wait are served in order.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import { constVoid } from "effect/Function"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { connectionLifetime } from "./core/connectionLifetime.js"
import * as Deadlines from "./internal/deadlines.js"
import { type Caller, lendFrom, type Lending, type Lent } from "./internal/lending.js"

export type { Request } from "./internal/lending.js"

/** All times are in milliseconds. */
export interface Options<A, E> {
  /**
   * Runs uninterruptibly, so that nothing it has opened is ever dropped on the way here; it makes its own waits
   * interruptible.
   */
  readonly open: Effect.Effect<A, E>
  /** Ends one in good order, within a time of its own. `unfit` is what {@link isUsable} or a failed reset says. */
  readonly close: (item: A, reason: "idle" | "lifetime" | "unfit" | "shutdown") => Effect.Effect<void>
  /** Ends one at once. */
  readonly destroy: (item: A) => void
  /** Whether it can be lent; asked before it is handed out and when it comes back. */
  readonly isUsable: (item: A) => boolean
  /** What must run before another may use it, within a time of its own, or `undefined` if it comes back as it went. */
  readonly reset: (item: A) => Effect.Effect<void, E> | undefined
  readonly max: number
  /** How many are kept from the first use on. */
  readonly min: number
  readonly idleTimeout: number
  readonly maxLifetime: number
  /** The most by which a life is shortened, as a part of it, so that those opened together do not all end together. */
  readonly lifetimeJitter: number
  readonly acquireTimeout: number
  readonly onAcquireTimeout: () => E
  readonly onClosed: () => E
  /** Told at every step, so it must cost next to nothing. What is being reset counts as in use. */
  readonly onChange?: (counts: { readonly inUse: number; readonly idle: number; readonly waiting: number }) => void
}

export interface Pool<A, E> extends Lending<A, E> {
  /** Opens those that are kept, together and at least one; fails when one of them cannot be opened. */
  readonly fill: Effect.Effect<void, E>
  /** How many are open, how many of them lie unused, and how many callers wait. */
  readonly counts: () => { readonly total: number; readonly idle: number; readonly waiting: number }
}

interface Slot<A> extends Lent<A> {
  readonly diesAt: number
  idleSince: number
}

interface Dial {
  /** For nobody but the pool itself. */
  readonly spare: boolean
  fiber?: Fiber.RuntimeFiber<void>
  /** Nobody waits for it any more. */
  givenUp: boolean
}

const logSpareFailure = (cause: Cause.Cause<unknown>) =>
  Cause.isInterruptedOnly(cause)
    ? Effect.void
    : Effect.annotateLogs(Effect.logDebug("Could not replace one that is kept; the next sweep tries again", cause), {
        package: "effect-dsql",
        module: "Pool"
      })

export const make = <A, E>(options: Options<A, E>): Effect.Effect<Pool<A, E>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { close, isUsable, onAcquireTimeout, onChange = constVoid, onClosed, open, reset } = options
    const { acquireTimeout, idleTimeout, lifetimeJitter, max, maxLifetime, min } = options
    const deadlines = yield* Deadlines.make
    const { now } = deadlines
    // Dials belong to the pool, not to the fiber that happened to need one.
    const run = yield* FiberSet.makeRuntime()

    const slots = new Set<Slot<A>>()
    const idle: Array<Slot<A>> = []
    const waiters: Array<Caller<Slot<A>, E>> = []
    const dials = new Set<Dial>()
    /** How many are being reset: they come back sooner than another could be opened. */
    let resets = 0
    let used = false
    let closed = false

    const changed = () => {
      if (!closed) onChange({ inUse: slots.size - idle.length, idle: idle.length, waiting: waiters.length })
    }

    const isFit = (slot: Slot<A>) => isUsable(slot.item) && now() < slot.diesAt

    const reasonFor = (slot: Slot<A>) => (!isUsable(slot.item) ? "unfit" : now() < slot.diesAt ? "idle" : "lifetime")

    const drop = (slot: Slot<A>, reason: "idle" | "lifetime" | "unfit" = reasonFor(slot)) => {
      slots.delete(slot)
      changed()
      run(close(slot.item, reason))
    }

    const isUnneeded = (slot: Slot<A>) => slots.size > min && now() - slot.idleSince >= idleTimeout

    const takeIdle = (): Slot<A> | undefined => {
      used = true
      for (let slot = idle.pop(); slot !== undefined; slot = idle.pop()) {
        if (isFit(slot) && !isUnneeded(slot)) {
          changed()
          return slot
        }
        drop(slot)
      }
      return undefined
    }

    const serve = (caller: Caller<Slot<A>, E>, outcome: Exit.Exit<Slot<A>, E>) => {
      caller.callOff()
      caller.serve(outcome)
    }

    const freed: Array<Slot<A>> = []
    let handing = false
    const hand = (slot: Slot<A>) => {
      freed.push(slot)
      // A request that is over at once gives back inside of this loop, which then goes on by itself: no recursion.
      if (handing) return
      handing = true
      for (let next = freed.shift(); next !== undefined; next = freed.shift()) {
        const waiter = waiters.shift()
        if (waiter === undefined) {
          next.idleSince = now()
          idle.push(next)
        }
        changed()
        if (waiter !== undefined) serve(waiter, Exit.succeed(next))
      }
      handing = false
    }

    const settle = (dial: Dial, exit: Exit.Exit<readonly [item: A, random: number], E>) => {
      dials.delete(dial)
      if (Exit.isSuccess(exit)) {
        const [item, random] = exit.value
        if (closed) {
          options.destroy(item)
          return
        }
        const slot = { item, diesAt: now() + connectionLifetime(maxLifetime, lifetimeJitter, random), idleSince: now() }
        slots.add(slot)
        hand(slot)
      } else if (!dial.givenUp && !dial.spare) {
        const waiter = waiters.shift()
        changed()
        if (waiter !== undefined) serve(waiter, Exit.failCause(exit.cause))
      }
      dialForWaiters()
    }

    const startDial = (spare: boolean) => {
      const dial: Dial = { spare, givenUp: false }
      dials.add(dial)
      dial.fiber = run(
        Effect.zip(spare ? Effect.tapErrorCause(open, logSpareFailure) : open, Random.next).pipe(
          Effect.exit,
          Effect.map((exit) => settle(dial, exit)),
          Effect.uninterruptible
        )
      )
    }

    // A dial that fails at once settles inside of this loop, which then goes on by itself: no recursion.
    let dialling = false
    const dialForWaiters = () => {
      if (dialling) {
        return
      }
      dialling = true
      while (!closed && dials.size + resets < waiters.length && slots.size + dials.size < max) {
        startDial(false)
      }
      dialling = false
    }

    // Nobody is dialled for who has gone: the youngest dials beyond the number of those who wait are given up.
    const trimDials = () => {
      for (const dial of Array.from(dials).slice(waiters.length)) {
        if (!dial.spare) {
          dial.givenUp = true
          dial.fiber?.unsafeInterruptAsFork(FiberId.none)
        }
      }
    }

    const retire = (slot: Slot<A>, reason?: "unfit") => {
      drop(slot, reason)
      dialForWaiters()
    }

    const handOrRetire = (slot: Slot<A>) => (isFit(slot) ? hand(slot) : retire(slot))

    const giveBack = (slot: Slot<A>) => {
      if (closed) {
        return
      }
      const resetting = isFit(slot) ? reset(slot.item) : undefined
      if (resetting === undefined) {
        handOrRetire(slot)
      } else {
        // In whatever way it ends, or its place would be lost.
        resets++
        run(
          Effect.map(Effect.exit(resetting), (exit) => {
            resets--
            if (closed) return
            if (Exit.isSuccess(exit)) handOrRetire(slot)
            else retire(slot, "unfit")
          })
        )
      }
    }

    const leaveLine = (caller: Caller<Slot<A>, E>) => {
      caller.callOff()
      waiters.splice(waiters.indexOf(caller), 1)
      changed()
      trimDials()
    }

    const lineUp = (served: Caller<Slot<A>, E>["serve"], by = Infinity): Caller<Slot<A>, E> => {
      const caller: Caller<Slot<A>, E> = { serve: served, callOff: constVoid }
      caller.callOff = deadlines.after(Math.min(acquireTimeout, by - now()), () => {
        leaveLine(caller)
        caller.serve(Exit.fail(onAcquireTimeout()))
      })
      waiters.push(caller)
      changed()
      dialForWaiters()
      return caller
    }

    // Checkout never hands out what has expired; the sweep frees what nobody asks for, and replaces what is kept.
    const sweep = Effect.sync(() => {
      const remove = (slot: Slot<A>) => {
        idle.splice(idle.indexOf(slot), 1)
        drop(slot)
      }
      idle.filter((slot) => !isFit(slot)).forEach(remove)
      // The first lies there longest.
      Array.from(idle).forEach((slot) => isUnneeded(slot) && remove(slot))
      const missing = used && !closed ? min - slots.size - dials.size : 0
      for (let n = 0; n < missing; n++) {
        startDial(true)
      }
    })
    const sweepEvery = Math.min(30_000, idleTimeout / 2, maxLifetime / 2)

    // Interruptible also where the pool is built in a region that is not, or its scope could never close.
    yield* Effect.forkScoped(Effect.interruptible(Effect.schedule(sweep, Schedule.spaced(sweepEvery))))
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        onChange({ inUse: 0, idle: 0, waiting: 0 })
        for (const waiter of waiters.splice(0)) {
          serve(waiter, Exit.fail(onClosed()))
        }
        const open = [...slots]
        slots.clear()
        idle.length = 0
        return Effect.forEach(open, (slot) => close(slot.item, "shutdown"), { concurrency: "unbounded", discard: true })
      })
    )

    const lending = lendFrom<A, E, Slot<A>>({
      refusal: () => (closed ? onClosed() : undefined),
      takeIdle,
      lineUp,
      leaveLine,
      giveBack
    })

    return {
      ...lending,
      // Each is held until all are there, or one would do for all.
      fill: Effect.scoped(
        Effect.replicateEffect(lending.reserve, Math.max(min, 1), { concurrency: "unbounded", discard: true })
      ),
      counts: () => ({ total: slots.size, idle: idle.length, waiting: waiters.length })
    }
  })
