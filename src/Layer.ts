/**
 * The layers wired: give it a cluster, get a `SqlClient`.
 *
 * ```text
 *  options · environment
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
 * Layers to use in place of the usual ones.
 *
 * @since 0.1.0
 * @category models
 */
export interface Swaps {
  /** Default {@link Auth.layerCredentials}. */
  readonly credentials?: Layer.Layer<Auth.DsqlCredentials, DsqlLayerError, Config.DsqlConfig> | undefined
  /** Default {@link Auth.layerToken}. */
  readonly token?: Layer.Layer<Auth.DsqlToken, DsqlLayerError, Config.DsqlConfig | Auth.DsqlCredentials> | undefined
}

const wire = (
  config: Layer.Layer<Config.DsqlConfig, DsqlConfigError | DsqlRegionError>,
  swaps: Swaps = {}
): Layer.Layer<SqlClient | PgClient, DsqlLayerError> =>
  Client.layer.pipe(
    Layer.provide(Connection.layer),
    Layer.provide(swaps.token ?? Auth.layerToken),
    Layer.provide(swaps.credentials ?? Auth.layerCredentials),
    Layer.provide(config)
  )

/**
 * A client for one cluster, given as options, or as just its endpoint or id. Building it opens a connection, so that wrong
 * settings fail here, with our errors (unless `lazy`). Two calls are two pools: keep the layer in a constant.
 *
 * @example
 * import { DsqlAuth, DsqlLayer } from "effect-dsql"
 *
 * const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
 * export const Db = DsqlLayer.layer(host)
 * export const Orders = DsqlLayer.layer({ host, user: "orders" }, { credentials: DsqlAuth.layerProfile("orders") })
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: string | Config.Options,
  swaps?: Swaps
): Layer.Layer<SqlClient | PgClient, DsqlLayerError> => wire(Config.layer(options), swaps)

/**
 * The same from an Effect `Config` for each option.
 *
 * @example
 * import { Config } from "effect"
 * import { DsqlLayer } from "effect-dsql"
 *
 * export const Db = DsqlLayer.layerConfig({ host: Config.string("ORDERS_CLUSTER"), user: Config.succeed("orders") })
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: EffectConfig.Config.Wrap<Config.DataOptions>,
  functions?: Config.FunctionOptions,
  swaps?: Swaps
): Layer.Layer<SqlClient | PgClient, DsqlLayerError> => wire(Config.layerConfig(config, functions), swaps)

/**
 * A client for the cluster that the environment names: `DSQL_HOST` and what else {@link Config.environment} reads, with
 * the default credentials of the AWS SDK.
 *
 * @example
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlLive } from "effect-dsql"
 *
 * export const owners = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql<{ id: number; name: string }>`SELECT id, name FROM owner WHERE city = ${"Lisbon"}`
 * }).pipe(Effect.provide(DsqlLive))
 *
 * @since 0.1.0
 * @category layers
 */
export const DsqlLive: Layer.Layer<SqlClient | PgClient, DsqlLayerError> = wire(Config.layerEnvironment)
