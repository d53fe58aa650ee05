/**
 * What operators count about tokens and connections. It is counted where no Effect runs, in a checkout or the end of a
 * socket, and so with the labels of the fiber that has built the layer.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import type { Resolved } from "../Config.js"
import { factsOfCause } from "./facts.js"
import * as metrics from "./metrics.js"

const labelsHere = FiberRef.get(FiberRef.currentMetricLabels)

const factsOfExit = (exit: Exit.Exit<unknown, unknown>) => (Exit.isSuccess(exit) ? {} : factsOfCause(exit.cause))

/** Tells in seconds how long an effect took, also one that failed or was interrupted. */
export const timed = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  record: (seconds: number, exit: Exit.Exit<A, E>) => void
): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => {
    const start = clock.unsafeCurrentTimeNanos()
    return Effect.onExit(effect, (exit) =>
      Effect.sync(() => record(Number(clock.unsafeCurrentTimeNanos() - start) / 1e9, exit))
    )
  })

/** Counts a call of a credential provider, and how long it took. */
export const providerCall = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(labelsHere, (tags) =>
    timed(call, (seconds, exit) =>
      metrics.labelled(metrics.providerCalls, factsOfExit(exit)).unsafeUpdate(seconds, tags)
    )
  )

/** All times in milliseconds. */
interface TokenLife {
  readonly signedAt: number
  readonly usableUntil: number
}

export const forTokens = ({ host, user }: Resolved) =>
  Effect.map(labelsHere, (tags) => {
    const labels = { host, user }
    const age = metrics.labelled(metrics.tokenAge, labels)
    const remaining = metrics.labelled(metrics.tokenRemaining, labels)
    const signings = metrics.labelled(metrics.tokenSignings, labels)
    return {
      signed: () => signings.unsafeUpdate(1, tags),
      failed: (cause: Cause.Cause<unknown>) =>
        Cause.isInterruptedOnly(cause)
          ? undefined
          : metrics.labelled(metrics.tokenFailures, { ...labels, ...factsOfCause(cause) }).unsafeUpdate(1, tags),
      life: ({ signedAt, usableUntil }: TokenLife, now: number) => {
        age.unsafeUpdate((now - signedAt) / 1000, tags)
        remaining.unsafeUpdate(Math.max(0, usableUntil - now) / 1000, tags)
      }
    }
  })

/** Why a connection has ended. */
export type Ending = "idle" | "lifetime" | "lost" | "destroyed" | "unfit" | "shutdown"

export const forConnections = ({ host, user }: Resolved) =>
  Effect.map(labelsHere, (tags) => {
    const labels = { host, user }
    const opened = metrics.labelled(metrics.connectionsOpened, labels)
    const connected = metrics.labelled(metrics.connectDuration, labels)
    const timeouts = metrics.labelled(metrics.poolTimeouts, labels)
    /** Adds what has changed, since pools of one cluster and role share a gauge. */
    const share = (gauge: ReturnType<typeof metrics.labelled<typeof metrics.poolWaiting.key.keyType, string>>) => {
      let last = 0
      return (value: number) => {
        if (value === last) return
        gauge.unsafeModify(value - last, tags)
        last = value
      }
    }
    const inUse = share(metrics.labelled(metrics.poolConnections, { ...labels, state: "in_use" }))
    const idle = share(metrics.labelled(metrics.poolConnections, { ...labels, state: "idle" }))
    const waiting = share(metrics.labelled(metrics.poolWaiting, labels))
    return {
      connected: (seconds: number, exit: Exit.Exit<unknown, unknown>) => {
        if (Exit.isFailure(exit)) {
          const failed = metrics.labelled(metrics.connectDuration, { ...labels, ...factsOfCause(exit.cause) })
          return failed.unsafeUpdate(seconds, tags)
        }
        opened.unsafeUpdate(1, tags)
        connected.unsafeUpdate(seconds, tags)
      },
      closed: (reason: Ending) =>
        metrics.labelled(metrics.connectionsClosed, { ...labels, reason }).unsafeUpdate(1, tags),
      timedOut: () => timeouts.unsafeUpdate(1, tags),
      pool: (counts: { readonly inUse: number; readonly idle: number; readonly waiting: number }) => {
        inUse(counts.inUse)
        idle(counts.idle)
        waiting(counts.waiting)
      }
    }
  })
