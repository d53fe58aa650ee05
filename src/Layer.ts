/**
 * The layers wired: give it a cluster, get a `SqlClient`.
 *
 * ```text
 *  options · environment · connection string
 *         │
 *    DsqlConfig ──────────────┐
 *         │                   │
 *  DsqlCredentials            │
 *         │                   │
 *    DsqlToken ◄──────────────┤
 *         │                   │
 *  DsqlConnection ◄───────────┤
 *         │                   │
 *  SqlClient + PgClient ◄─────┘
 * ```
 *
 * @since 0.1.0
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import type * as EffectConfig from "effect/Config"
import * as Layer from "effect/Layer"
import * as Auth from "./Auth.js"
import * as Client from "./Client.js"
import * as Config from "./Config.js"
import * as Connection from "./Connection.js"
import type { DsqlConfigError, DsqlLayerError, DsqlRegionError } from "./Errors.js"

/**
 * Layers to use in place of the usual ones. What they need beside the configuration, and how else they can fail, becomes
 * part of the whole layer's type.
 *
 * @since 0.1.0
 * @category models
 */
export interface Swaps<E = never, RC = never, RT = never> {
  /** Default {@link Auth.layerCredentials}. */
  readonly credentials?: Layer.Layer<Auth.DsqlCredentials, E, Config.DsqlConfig | RC> | undefined
  /** Default {@link Auth.layerToken}. */
  readonly token?: Layer.Layer<Auth.DsqlToken, E, Config.DsqlConfig | Auth.DsqlCredentials | RT> | undefined
}

/**
 * A client, with what the swaps add to its errors and needs.
 *
 * @since 0.1.0
 * @category models
 */
export type DsqlLayer<E = never, RC = never, RT = never> = Layer.Layer<
  SqlClient | PgClient,
  DsqlLayerError | E,
  Exclude<RC, Config.DsqlConfig> | Exclude<RT, Config.DsqlConfig | Auth.DsqlCredentials>
>

const wire = <E, RC, RT>(
  config: Layer.Layer<Config.DsqlConfig, DsqlConfigError | DsqlRegionError>,
  swaps: Swaps<E, RC, RT> = {}
) =>
  Client.layer.pipe(
    Layer.provide(Connection.layer),
    Layer.provide(swaps.token ?? Auth.layerToken),
    Layer.provide(swaps.credentials ?? Auth.layerCredentials),
    Layer.provide(config)
    // The same type, which the compiler does not see through nested Excludes of a type parameter.
  ) as DsqlLayer<E, RC, RT>

/**
 * A client for one cluster, given as options, as just its endpoint or id, or as a connection string
 * ({@link Config.fromString}). Building it opens a connection, so that wrong settings fail here, with our errors (unless
 * `lazy`). Two calls are two pools: keep the layer in a constant.
 *
 * @example
 * ```ts
 * import { DsqlAuth, DsqlLayer } from "effect-dsql"
 *
 * const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
 * export const Db = DsqlLayer.layer(host)
 * export const FromUrl = DsqlLayer.layer(`postgresql://${host}/postgres?application_name=orders&connect_timeout=5`)
 * export const Orders = DsqlLayer.layer({ host, user: "orders" }, { credentials: DsqlAuth.layerProfile("orders") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, RC = never, RT = never>(
  options: string | Config.Options,
  swaps?: Swaps<E, RC, RT>
): DsqlLayer<E, RC, RT> => wire(Config.layer(options), swaps)

/**
 * The same from an Effect `Config` for each option, or for a connection string.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { DsqlLayer } from "effect-dsql"
 *
 * export const Db = DsqlLayer.layerConfig({ host: Config.string("ORDERS_CLUSTER"), user: Config.succeed("orders") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <E = never, RC = never, RT = never>(
  config: EffectConfig.Config<string> | EffectConfig.Config.Wrap<Config.DataOptions>,
  functions?: Config.FunctionOptions,
  swaps?: Swaps<E, RC, RT>
): DsqlLayer<E, RC, RT> => wire(Config.layerConfig(config, functions), swaps)

/**
 * A client for the cluster that the environment names: `DSQL_HOST` and what else {@link Config.environment} reads, with
 * the default credentials of the AWS SDK.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlLive } from "effect-dsql"
 *
 * export const owners = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql<{ id: number; name: string }>`SELECT id, name FROM owner WHERE city = ${"Lisbon"}`
 * }).pipe(Effect.provide(DsqlLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const DsqlLive: Layer.Layer<SqlClient | PgClient, DsqlLayerError> = wire<never, never, never>(
  Config.layerEnvironment
)
