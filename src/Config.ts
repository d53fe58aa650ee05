/**
 * What to connect to and how: options, environment or a bare name in, one validated and immutable value out. Nothing here
 * opens a connection.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import type { Constructor } from "@effect/sql/Statement"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { CustomTypesConfig } from "pg"
import type { DsqlConfigError, DsqlRegionError } from "./Errors.js"
import { readConnectionString } from "./internal/connectionParameters.js"
import { environment as environmentVariables } from "./internal/environment.js"
import * as resolving from "./internal/resolve.js"

/**
 * TLS is always on and always verified (at least TLS 1.2); this only says how it starts and whom to trust.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsOptions {
  /**
   * `direct` starts TLS with the first byte and saves a round trip; `postgres` asks first, for proxies that know only
   * that. Default `direct`.
   */
  readonly negotiation?: "direct" | "postgres" | undefined
  /** Certificate authorities to trust **instead of** the system's, as PEM text. Needed for the local cluster. */
  readonly ca?: string | undefined
  /** The same, as path of a PEM file, read when the layer is built. Not together with `ca`. */
  readonly caFile?: string | undefined
}

/**
 * Limits of the connection pool.
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolOptions {
  /** Most connections open at once. Default 10, 1 to 10,000 (the service's default per cluster: AWS quotas page). */
  readonly max?: number | undefined
  /**
   * Connections that are opened together when the layer is built (unless `lazy`), kept however long they lie unused, and
   * replaced when they end. Default 0, at most `max`.
   */
  readonly min?: number | undefined
  /** How long a connection may lie unused before it is closed. Default 10 minutes, as AWS's connectors. */
  readonly idleTimeout?: Duration.DurationInput | undefined
  /** How old a connection may become. Default 55 minutes. At most 59, since the service cuts at 60 (AWS quotas page). */
  readonly maxLifetime?: Duration.DurationInput | undefined
  /**
   * The most by which a life is shortened, at random and as a part of `maxLifetime`, so that connections opened together do
   * not all end together. Default 0.1, from 0 to 0.5.
   */
  readonly lifetimeJitter?: number | undefined
  /** How long a statement waits for a connection. Default 30 seconds. */
  readonly acquireTimeout?: Duration.DurationInput | undefined
  /** How long TCP, TLS and login of one connection may take together. Default 10 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * How many connections this layer opens per second at most. Default 100, which is what the service refills for the whole
   * cluster (AWS quotas page); 1 to 1,000, its burst.
   */
  readonly connectRate?: number | undefined
}

/**
 * How often and how long something is tried again.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryPolicy {
  /**
   * No attempt begins later than this after the call, and no transaction waits longer for its connection. One that has begun
   * by then goes on to its end, which `maxAge` bounds. Default 60 seconds, 1 millisecond to 1 day.
   */
  readonly deadline?: Duration.DurationInput | undefined
  /**
   * The most attempts after the first, a whole number; 0 is none. Default: as many as begin before the deadline, since a
   * number gives up on the unlucky of many at one row (docs/contention.md).
   */
  readonly times?: number | undefined
  /**
   * The longest first wait; it doubles with every attempt, and each wait is drawn evenly below it. Default 5 milliseconds
   * (docs/contention.md), at least 1 and at most `cap`.
   */
  readonly base?: Duration.DurationInput | undefined
  /** The longest wait. Default 100 milliseconds (docs/contention.md), 1 millisecond to 1 minute. */
  readonly cap?: Duration.DurationInput | undefined
}

/**
 * What `DsqlTransaction.withRetry` and `retryStatement` go by where their own options say nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryOptions extends RetryPolicy {
  /**
   * The age at which a transaction is interrupted and rolled back, one of `sql.withTransaction` as well. Default 290 seconds,
   * to be ahead of the service's limit of 300 (AWS quotas page); from 1 millisecond.
   */
  readonly maxAge?: Duration.DurationInput | undefined
}

/**
 * The options that are plain data and may come from an Effect `Config`.
 *
 * @since 0.1.0
 * @category models
 */
export interface DataOptions {
  /**
   * The cluster: its endpoint `<id>.dsql.<region>.on.aws`, or its 26-character id. It is what the token is signed for and
   * what the certificate is checked against.
   */
  readonly host: string
  /** Where to dial instead of `host`, name or IP address: a local cluster, a tunnel, a PrivateLink address. */
  readonly hostaddr?: string | undefined
  /** Default 5432. */
  readonly port?: number | undefined
  /** Database role. Default `admin`; any other needs `AWS IAM GRANT` and `dsql:DbConnect`. */
  readonly user?: string | undefined
  /** Default `postgres`, the only database a cluster has. */
  readonly database?: string | undefined
  /**
   * Needed for a bare cluster id, where AWS_REGION and AWS_DEFAULT_REGION are asked next. With an endpoint it must agree
   * with the host name.
   */
  readonly region?: string | undefined
  /** AWS profile for the default credentials. Default: the provider chain of the AWS SDK. */
  readonly profile?: string | undefined
  /**
   * How long a token is valid, in whole seconds. Default 15 minutes, 1 second to 7 days (the limits of SigV4 presigned
   * URLs).
   */
  readonly tokenDuration?: Duration.DurationInput | undefined
  /** Your program's name, put in front of this package's own in `application_name`. At most 64 bytes together. */
  readonly applicationName?: string | undefined
  /** How TLS starts and whom it trusts. Default: at once, the system's certificate authorities. */
  readonly tls?: TlsOptions | undefined
  /** Limits of the connection pool. */
  readonly pool?: PoolOptions | undefined
  /** How long a connection is silent before TCP probes whether the other side is there. Default 30 seconds. */
  readonly keepAlive?: Duration.DurationInput | undefined
  /** Settings that every session starts with, and returns to when it is lent anew: `{ search_path: "orders" }`. */
  readonly session?: Readonly<Record<string, string>> | undefined
  /** When transactions are given up or run again; alone it makes none of `sql.withTransaction` run again. */
  readonly retry?: RetryOptions | undefined
  /**
   * **`true` runs the body of every `sql.withTransaction` again** when its transaction loses a conflict or fails in passing,
   * as `DsqlTransaction.withRetry` does and as `retry` says, without a word in the code that it happens to. Default `false`.
   *
   * Look at all of that code first, libraries included: what a body does beside its SQL (mails, calls of other services,
   * counters in memory, log lines) happens once for each attempt, and is not undone. Statements outside of transactions, and
   * a COMMIT whose answer was lost, are never repeated by this.
   */
  readonly unsafeRetryTransactions?: boolean | undefined
  /** `true` opens no connection when the layer is built; wrong settings then fail at the first statement. Default `false`. */
  readonly lazy?: boolean | undefined
}

/**
 * The options that are functions or foreign objects, and so stay outside of a `Config`. They mean what they mean in
 * `@effect/sql-pg`.
 *
 * @since 0.1.0
 * @category models
 */
export interface FunctionOptions {
  /** Turns the identifiers of your program into the database's, for example `camelCase` into `snake_case`. */
  readonly transformQueryNames?: ((name: string) => string) | undefined
  /** Turns the column names of results into your program's. */
  readonly transformResultNames?: ((name: string) => string) | undefined
  /** Whether the transforms reach into JSON values as well. Default `true`. */
  readonly transformJson?: boolean | undefined
  /** Attributes added to every span of this client. */
  readonly spanAttributes?: Readonly<Record<string, unknown>> | undefined
  /**
   * Runs on every connection once it is open, and again whenever its session has been reset; when it fails the connection
   * is closed.
   */
  readonly setup?: ((sql: Constructor) => Effect.Effect<unknown, SqlError>) | undefined
  /** Parsers for column types, as `pg` takes them. */
  readonly types?: CustomTypesConfig | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends DataOptions, FunctionOptions {}

/**
 * A complete configuration: every default filled in, host and region settled.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resolved extends FunctionOptions {
  readonly host: string
  readonly clusterId: string
  readonly region: string
  /** What is dialled: `hostaddr`, or the host. */
  readonly address: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly profile: string | undefined
  readonly tokenDuration: Duration.Duration
  readonly applicationName: string
  readonly tls: {
    readonly negotiation: "direct" | "postgres"
    readonly ca: string | undefined
    readonly caFile: string | undefined
  }
  readonly pool: {
    readonly max: number
    readonly min: number
    readonly idleTimeout: Duration.Duration
    readonly maxLifetime: Duration.Duration
    readonly lifetimeJitter: number
    readonly acquireTimeout: Duration.Duration
    readonly connectTimeout: Duration.Duration
    readonly connectRate: number
  }
  readonly keepAlive: Duration.Duration
  readonly session: Readonly<Record<string, string>>
  readonly retry: {
    readonly deadline: Duration.Duration
    /** `undefined` sets no limit. */
    readonly times: number | undefined
    readonly base: Duration.Duration
    readonly cap: Duration.Duration
    readonly maxAge: Duration.Duration
  }
  readonly unsafeRetryTransactions: boolean
  readonly lazy: boolean
}

/**
 * The configuration that every other layer reads.
 *
 * @since 0.1.0
 * @category tags
 */
export class DsqlConfig extends Context.Tag("effect-dsql/DsqlConfig")<DsqlConfig, Resolved>() {}

/**
 * Validates options and fills in the defaults. Pure: nothing but the options is looked at, and `regionElsewhere` only for a
 * bare cluster id without `region`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (
  options: Options,
  regionElsewhere?: string | undefined
): Either.Either<Resolved, DsqlConfigError | DsqlRegionError> => resolving.resolve(options, regionElsewhere)

/**
 * What a connection string says, as options: to add others to it, or to take some of them back. It is a host, a cluster id,
 * or `postgresql://[user@]host[:port]/[database]?…` (`postgres://` as well), read by the rules of libpq. The parameters are
 * `user`, `dbname`, `region`, `profile`, `token_duration_secs` (or `tokenDurationSecs`), `hostaddr`, `host`, `port`,
 * `application_name`, `sslmode` (`require`, `verify-ca` or `verify-full`, all the same here), `sslrootcert` (a file, or
 * `system`), `sslnegotiation`, `connect_timeout` and `keepalives_idle` (seconds), and `options` (`-c name=value`). Any other
 * fails, and so does a password: a cluster takes none.
 *
 * @example
 * ```ts
 * import { Either } from "effect"
 * import { DsqlConfig, DsqlLayer } from "effect-dsql"
 *
 * export const fromUrl = (url: string) =>
 *   Either.map(DsqlConfig.fromString(url), (options) => DsqlLayer.layer({ ...options, pool: { max: 20 } }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromString = (text: string): Either.Either<DataOptions, DsqlConfigError> =>
  Either.map(readConnectionString(text), ({ options }) => ({ ...options, host: options.host ?? "" }))

/**
 * A {@link Resolved} configuration from options, or from a string as {@link fromString} reads it. For a bare cluster id
 * without a region it looks at `AWS_REGION`, `AWS_DEFAULT_REGION` and then at the region of the profile in the AWS config
 * files: the `profile` option, `AWS_PROFILE` or `default`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: string | Options): Effect.Effect<Resolved, DsqlConfigError | DsqlRegionError> =>
  resolving.make(options)

/**
 * The environment that `DsqlLive` reads, through whatever `ConfigProvider` is in place. Every option that is plain data has
 * a variable: `DSQL_` and its name (`DSQL_POOL_MAX_LIFETIME` is `pool.maxLifetime`), but for `DSQL_SSLROOTCERT`
 * (`tls.caFile`), `DSQL_SSLNEGOTIATION` (`tls.negotiation`) and `DSQL_OPTIONS` (`session`, written `-c name=value`).
 * `DSQL_URL` is a connection string; variables of their own go before what it says. The host may also be called
 * `CLUSTER_ENDPOINT`, as in AWS's samples. Only the host is required.
 *
 * @since 0.1.0
 * @category constructors
 */
export const environment: Config.Config<DataOptions> = environmentVariables

/**
 * From options, or from a string as {@link fromString} reads it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: string | Options): Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> =>
  Layer.effect(DsqlConfig, make(options))

/**
 * From an Effect `Config` for each option, or for a connection string; functions are passed plainly, beside it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config<string> | Config.Config.Wrap<DataOptions>,
  functions: FunctionOptions = {}
): Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> =>
  Layer.effect(DsqlConfig, resolving.fromConfig(config, functions))

/**
 * From the {@link environment}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEnvironment: Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> = Layer.effect(
  DsqlConfig,
  resolving.fromEnvironment
)
