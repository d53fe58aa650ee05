/**
 * What a test can make go wrong in a local cluster. The same words as those of the scripted client of `effect-dsql/Testing`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type DropMoment, serverWords, type Step } from "./core/faults.js"
import type { DsqlStatementError } from "./Errors.js"
import { withoutPage } from "./internal/pages.js"
import type { Cluster } from "./local/cluster.js"
import type { PendingFault } from "./local/faults/faults.js"
import type { ErrorFields } from "./local/wire.js"

export type { DropMoment, Step } from "./core/faults.js"

/**
 * How often a fault strikes. Faults are struck over the whole cluster, in the order in which its sessions come; those that
 * were asked for first come first.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaultOptions {
  /** How many steps. Default 1; `Infinity` until {@link LocalFaults.clearFaults}. */
  readonly times?: number | undefined
  /** How likely each step is struck, from 0 to 1. Those that are not do not count. Default 1. */
  readonly probability?: number | undefined
  /** Where the random numbers for that begin: the same ones for the same seed. Default 0. */
  readonly seed?: number | undefined
}

/**
 * A fault that waits for its step: how many times more, and in words what it does then.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalFault {
  readonly step: Step
  readonly fault: string
  readonly times: number
  readonly probability: number
}

/**
 * The part of a local cluster's handle that makes things go wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalFaults {
  /**
   * Makes the next step of a kind fail with what the server says in an error of ours, those of `effect-dsql/Testing` for
   * instance: `failNext("COMMIT", conflict(), { times: 2 })`, `failNext("statement", conflict("Schema"))`,
   * `failNext("connect", connectionRefused("ClusterWaking"))`. With `connectionLost()` the connection breaks in place of it.
   *
   * PostgreSQL does what the error says: a transaction whose COMMIT fails is rolled back, one whose statement fails is
   * aborted. A statement is everything but BEGIN, COMMIT, ROLLBACK and what only sets or shows something of the session;
   * those of an aborted transaction do not count. A client has connected when its token is verified.
   *
   * @example
   * ```ts
   * import { SqlClient } from "@effect/sql"
   * import { it } from "@effect/vitest"
   * import { Effect } from "effect"
   * import { DsqlTransaction } from "effect-dsql"
   * import { DsqlLocal } from "effect-dsql/Local"
   * import { conflict } from "effect-dsql/Testing"
   *
   * it.live("survives two lost conflicts", () =>
   *   Effect.gen(function* () {
   *     const local = yield* DsqlLocal
   *     const sql = yield* SqlClient.SqlClient
   *     yield* local.failNext("COMMIT", conflict(), { times: 2 })
   *     yield* DsqlTransaction.withRetry(sql`SELECT 1`)
   *   }).pipe(Effect.provide(DsqlLocal.layerLive()))
   * )
   * ```
   */
  readonly failNext: (step: Step, error: DsqlStatementError, options?: FaultOptions) => Effect.Effect<void>
  /**
   * Lets the next step of a kind wait so long by {@link LocalCluster.sessionClock} before it is done or fails; a test that
   * moves the clock need not wait for it.
   */
  readonly delayNext: (step: Step, duration: Duration.DurationInput, options?: FaultOptions) => Effect.Effect<void>
  /**
   * Breaks the connection of the next transaction that comes to commit. To the client the outcome is unknown in any case
   * (`DsqlCommitOutcomeUnknownError`), since it has sent COMMIT. In fact, with `before` the transaction is rolled back; with
   * `after` it has committed when the connection breaks; with `during` it commits when the connection has broken, so that
   * who looks at once may come too early.
   */
  readonly dropAtCommit: (moment: DropMoment, options?: FaultOptions) => Effect.Effect<void>
  /** Forgets all faults and delays that have not struck yet. A reset does so too. */
  readonly clearFaults: Effect.Effect<void>
  /** What has not struck yet: at the end of a test, nothing should be left. */
  readonly pendingFaults: Effect.Effect<ReadonlyArray<LocalFault>>
  /**
   * Puts the cluster to sleep, as the service does with one that nobody has used for long: its connections are closed, the
   * next login wakes it up, and is refused with `ClusterWaking` like all others until `wakeTime` has passed by
   * {@link LocalCluster.sessionClock}.
   */
  readonly inactivate: Effect.Effect<void>
}

/** What the server says in an error; `undefined` for one in which the connection is gone. */
const wordsOf = (error: DsqlStatementError): ErrorFields | undefined => {
  switch (error._tag) {
    case "DsqlAuthenticationError":
      return { code: error.sqlState, message: "unable to accept connection, access denied", hint: error.hint }
    case "DsqlConnectionError": {
      const { reason } = error
      if (reason !== "TooManyConnections" && reason !== "RateExceeded" && reason !== "ClusterWaking") return undefined
      return { code: serverWords[reason].sqlState, message: serverWords[reason].message }
    }
    default: {
      const { server = { sqlState: "0A000", message: withoutPage(error.message) } } = error
      return { code: server.sqlState, message: server.message, detail: server.detail, hint: server.hint }
    }
  }
}

const inWords = (fault: PendingFault["fault"]): string => {
  if (fault._tag === "Delay") return `wait ${Duration.format(Duration.millis(fault.milliseconds))}`
  return fault._tag === "Drop" ? `drop ${fault.moment}` : `${fault.error.code} ${fault.error.message}`
}

/** @internal */
export const faultsOf = ({ faults, inactivate }: Cluster): LocalFaults => ({
  failNext: (step, error, options) =>
    Effect.sync(() => {
      const words = wordsOf(error)
      if (words === undefined) faults.dropNext(step, options)
      else faults.failNext(step, words, options)
    }),
  delayNext: (step, duration, options) =>
    Effect.sync(() => faults.delayNext(step, Duration.toMillis(duration), options)),
  dropAtCommit: (moment, options) => Effect.sync(() => faults.dropAtCommit(moment, options)),
  clearFaults: Effect.sync(() => faults.clear()),
  pendingFaults: Effect.sync(() => faults.pending().map(({ fault, ...rest }) => ({ ...rest, fault: inWords(fault) }))),
  inactivate: Effect.sync(inactivate)
})
