/**
 * The handle of a local cluster, which `Local.ts` starts and gives layers of.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Credentials } from "./Auth.js"
import type { DataOptions } from "./Config.js"
import type { Action, Cluster, SessionInfo } from "./local/cluster.js"
import { LocalClusterError } from "./local/errors.js"
import { withPage } from "./internal/pages.js"
import { faultsOf, type LocalFaults } from "./LocalFaults.js"

/**
 * The local cluster could not be started, or not do what it was told; the message says what to install or change.
 * `InvalidArn` and `ResetFailed` come from the handle, all others from a start.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlLocalError extends Data.TaggedError("DsqlLocalError")<{
  readonly reason: LocalClusterError["reason"] | "Unexpected"
  readonly detail: string
  readonly cause: unknown
}> {
  override get message(): string {
    return withPage(this._tag, this.detail)
  }
}

/**
 * Credentials that the "IAM" of the local cluster knows, and what they may do.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalIdentity extends Credentials {
  /**
   * `arn:aws:iam::<account>:user/<name>`, `arn:aws:iam::<account>:role/<name>`, or a session of a role,
   * `arn:aws:sts::<account>:assumed-role/<role>/<session>`. By default a user that is named as the access key, and with a
   * session token a session of a role so named, in account 123456789012.
   */
  readonly arn?: string | undefined
  /** What the policy allows on this cluster. By default both actions. */
  readonly allowedActions?: ReadonlyArray<Action> | undefined
}

/**
 * A client that is logged in: `id` is what `pg_backend_pid()` gives in its session, `applicationName` is as given at
 * login, `since` is when it logged in.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalConnection extends SessionInfo {}

/**
 * The clock of a local cluster that the ages of connections and transactions, its limits and its jobs go by. It runs with
 * the real time, and ahead of it by what a test has moved it. Tokens go by another; see {@link LocalCluster.setTokenSkew}.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalClock {
  readonly now: Effect.Effect<Date>
  /** Moves the clock ahead. What comes due on the way has happened in the cluster when this is done. */
  readonly advance: (by: Duration.DurationInput) => Effect.Effect<void>
}

/**
 * How other processes reach a local cluster, as plain data that survives JSON. It holds the secret key: a key that is good
 * for nothing else, but still nothing to log.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalAccess extends Pick<Cluster, "hostaddr" | "port" | "ca" | "accessKeyId" | "secretAccessKey"> {
  /** The endpoint. */
  readonly host: string
}

/**
 * A running local cluster.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalCluster
  extends
    Pick<
      Cluster,
      "clusterId" | "endpoint" | "region" | "hostaddr" | "port" | "user" | "database" | "ca" | "caFile" | "arn"
    >,
    LocalFaults {
  /** The credentials that the cluster knows. */
  readonly credentials: Credentials
  /** Options for {@link DsqlLayer.layer} that lead here. */
  readonly options: DataOptions
  /** For {@link DsqlLocal.layerFrom} in another process, such as the test files of a run that share this cluster. */
  readonly access: Effect.Effect<LocalAccess>
  /**
   * Makes further credentials known, in the place of those with the same access key. Gives the ARN that database roles are
   * granted to: that of the user or role, also for a session of a role. Fails with `InvalidArn`.
   *
   * @example
   * ```ts
   * import { SqlClient } from "@effect/sql"
   * import { Effect, Layer, Redacted } from "effect"
   * import { DsqlAuth, DsqlLayer } from "effect-dsql"
   * import { DsqlLocal } from "effect-dsql/Local"
   *
   * const identity = { accessKeyId: "AKIAORDERS0000000000", secretAccessKey: Redacted.make("orders") }
   *
   * // A client that logs in as the role `orders`, which the identity may do and nothing else.
   * export const OrdersClient = Layer.unwrapEffect(
   *   Effect.gen(function* () {
   *     const local = yield* DsqlLocal
   *     const sql = yield* SqlClient.SqlClient
   *     const arn = yield* local.addIdentity({ ...identity, allowedActions: ["dsql:DbConnect"] })
   *     yield* sql`CREATE ROLE orders WITH LOGIN`
   *     yield* sql.unsafe(`AWS IAM GRANT orders TO '${arn}'`)
   *     return DsqlLayer.layer(
   *       { ...local.options, user: "orders" },
   *       { credentials: DsqlAuth.layerStatic(identity) }
   *     )
   *   })
   * )
   * ```
   */
  readonly addIdentity: (identity: LocalIdentity) => Effect.Effect<string, DsqlLocalError>
  /** Forgets credentials by their access key. Sessions that are open stay, as on the service. */
  readonly removeIdentity: (accessKeyId: string) => Effect.Effect<void>
  /** The clock of ages, limits and jobs. */
  readonly sessionClock: LocalClock
  /** Moves the clock that tokens are judged by: ahead with a positive duration, so that they expire sooner. */
  readonly setTokenSkew: (skew: Duration.DurationInput) => Effect.Effect<void>
  /** How many client connections are open now. */
  readonly connectionCount: Effect.Effect<number>
  /** How many logins have succeeded so far. */
  readonly loginCount: Effect.Effect<number>
  /** Closes all client connections abruptly; the cluster goes on. */
  readonly dropConnections: Effect.Effect<void>
  /** Closes the connections that are logged in as this user, abruptly. */
  readonly dropConnectionsOf: (user: string) => Effect.Effect<void>
  /** Closes one connection abruptly; false if there is none with this id. */
  readonly dropConnection: (id: number) => Effect.Effect<boolean>
  /**
   * The clients that are logged in now, the oldest first.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { DsqlLocal } from "effect-dsql/Local"
   *
   * export const dropOldest = Effect.gen(function* () {
   *   const local = yield* DsqlLocal
   *   const [oldest] = yield* local.connections
   *   if (oldest !== undefined) yield* local.dropConnection(oldest.id)
   * })
   * ```
   */
  readonly connections: Effect.Effect<ReadonlyArray<LocalConnection>>
  /**
   * Leaves clients without an answer, as a network that has frozen: connections stay open and new ones are accepted, but
   * not a byte gets through until {@link LocalCluster.resume}. What is dropped meanwhile is dropped.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { DsqlLocal } from "effect-dsql/Local"
   *
   * export const whileFrozen = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
   *   Effect.flatMap(DsqlLocal, (local) => Effect.acquireUseRelease(local.pause, () => effect, () => local.resume))
   * ```
   */
  readonly pause: Effect.Effect<void>
  /** Ends a pause; clients get all that was held back. */
  readonly resume: Effect.Effect<void>
  /**
   * Ends the server as a crash would: all connections are cut off, what they had not committed is lost, what they had stays,
   * and the port refuses connections until {@link LocalCluster.start}. A server that is stopped stays so.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { DsqlLocal } from "effect-dsql/Local"
   *
   * export const whileDown = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
   *   Effect.gen(function* () {
   *     const local = yield* DsqlLocal
   *     yield* local.stop
   *     const exit = yield* Effect.exit(effect)
   *     yield* local.start
   *     return yield* exit
   *   })
   * ```
   */
  readonly stop: Effect.Effect<void, DsqlLocalError>
  /**
   * Brings a server back that was stopped, or that died by itself: at the same port, with the same certificate, identities
   * and data. Does nothing while it runs. Takes about a tenth of a second. Fails with `PortInUse` if another process has
   * taken the port meanwhile, and with `StartFailed`.
   */
  readonly start: Effect.Effect<void, DsqlLocalError>
  /**
   * {@link LocalCluster.stop}, then {@link LocalCluster.start}: for clients a server that crashed and recovered.
   *
   * @example
   * ```ts
   * import { SqlClient } from "@effect/sql"
   * import { it } from "@effect/vitest"
   * import { Effect } from "effect"
   * import { DsqlLocal } from "effect-dsql/Local"
   *
   * it.live("goes on after a crash of the server", () =>
   *   Effect.gen(function* () {
   *     const local = yield* DsqlLocal
   *     const sql = yield* SqlClient.SqlClient
   *     yield* local.restart
   *     yield* sql`SELECT 1`
   *   }).pipe(Effect.provide(DsqlLocal.layerLive()))
   * )
   * ```
   */
  readonly restart: Effect.Effect<void, DsqlLocalError>
  /**
   * Makes the database anew: empty, without the roles and mappings that were added, all settings at their defaults. All
   * connections are dropped; new ones wait until it is done, so that a pool notices nothing but fresh connections.
   * Faults that have not struck yet are forgotten; identities and clocks stay. Takes about a tenth of a second. Fails with `ResetFailed`.
   *
   * @example
   * ```ts
   * import { it } from "@effect/vitest"
   * import { Effect } from "effect"
   * import { DsqlLocal } from "effect-dsql/Local"
   *
   * it.effect("starts from nothing", () =>
   *   Effect.gen(function* () {
   *     const local = yield* DsqlLocal
   *     yield* local.reset
   *   }).pipe(Effect.provide(DsqlLocal.layer()))
   * )
   * ```
   */
  readonly reset: Effect.Effect<void, DsqlLocalError>
  /**
   * The end of PostgreSQL's log, at most 64 KiB: statements that failed, with their errors, and what the server says about
   * itself.
   */
  readonly logs: Effect.Effect<string, DsqlLocalError>
}

/** What has begun is brought to its end: half of it would be no database. */
const whole = (task: () => Promise<void>): Effect.Effect<void, DsqlLocalError> =>
  Effect.uninterruptible(Effect.tryPromise({ try: task, catch: localError }))

/** @internal */
export const fromCluster = (cluster: Cluster): LocalCluster => {
  const { accessKeyId, arn, ca, caFile, clusterId, database, endpoint, hostaddr, port, region, secretAccessKey, user } =
    cluster
  return {
    ...faultsOf(cluster),
    clusterId,
    endpoint,
    region,
    hostaddr,
    port,
    user,
    database,
    ca,
    caFile,
    arn,
    credentials: { accessKeyId, secretAccessKey: Redacted.make(secretAccessKey) },
    options: { host: endpoint, hostaddr, port, user, database, tls: { ca } },
    access: Effect.sync(() => ({ host: endpoint, hostaddr, port, ca, accessKeyId, secretAccessKey })),
    addIdentity: ({ secretAccessKey, sessionToken, ...identity }) =>
      Effect.try({
        try: () =>
          cluster.addIdentity({
            ...identity,
            secretAccessKey: Redacted.value(secretAccessKey),
            sessionToken: sessionToken === undefined ? undefined : Redacted.value(sessionToken)
          }),
        catch: localError
      }),
    removeIdentity: (accessKeyId) => Effect.sync(() => cluster.removeIdentity(accessKeyId)),
    sessionClock: {
      now: Effect.sync(() => new Date(cluster.sessionClock.now())),
      advance: (by) =>
        Effect.suspend(() => {
          cluster.sessionClock.advance(Duration.toMillis(by))
          return Effect.promise(() => cluster.jobsSettled())
        })
    },
    setTokenSkew: (skew) => Effect.sync(() => cluster.setTokenSkew(Duration.toMillis(skew))),
    connectionCount: Effect.sync(() => cluster.connectionCount()),
    loginCount: Effect.sync(() => cluster.loginCount()),
    dropConnections: Effect.sync(() => cluster.dropConnections()),
    dropConnectionsOf: (user) => Effect.sync(() => cluster.dropConnections({ user })),
    dropConnection: (id) => Effect.sync(() => cluster.dropConnection(id)),
    connections: Effect.sync(() => cluster.connections()),
    pause: Effect.sync(() => cluster.pause()),
    resume: Effect.sync(() => cluster.resume()),
    stop: whole(cluster.stopServer),
    start: whole(cluster.startServer),
    restart: Effect.uninterruptible(Effect.zipRight(whole(cluster.stopServer), whole(cluster.startServer))),
    reset: whole(cluster.reset),
    logs: Effect.tryPromise({ try: () => cluster.logs(), catch: localError })
  }
}

/** @internal */
export const localError = (cause: unknown) =>
  cause instanceof LocalClusterError
    ? new DsqlLocalError({ reason: cause.reason, detail: cause.message, cause })
    : new DsqlLocalError({ reason: "Unexpected", detail: String(cause), cause })
