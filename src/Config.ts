/**
 * What to connect to and how: options, environment or a bare name in, one validated and immutable value out. Nothing here
 * opens a connection.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import type { Constructor } from "@effect/sql/Statement"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { CustomTypesConfig } from "pg"
import type { DsqlConfigError, DsqlRegionError } from "./Errors.js"
import { applicationName, duration, hostaddr, integer, target, text, tls, tokenDuration } from "./internal/checks.js"
import { integerVariable, read, regionVariables, textVariable, variable } from "./internal/variables.js"

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
 * Validates options and fills in the defaults. `environmentRegion` is asked only for a bare cluster id without `region`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (
  options: Options,
  environmentRegion?: string | undefined
): Either.Either<Resolved, DsqlConfigError | DsqlRegionError> =>
  Either.gen(function* () {
    const { clusterId, host, region } = yield* target(options, environmentRegion)
    const { setup, spanAttributes, transformJson, transformQueryNames, transformResultNames, types } = options
    const max = yield* integer("pool.max", options.pool?.max ?? 10, 1, 10_000)
    return {
      host,
      clusterId,
      region,
      address: options.hostaddr === undefined ? host : yield* hostaddr(options.hostaddr),
      port: yield* integer("port", options.port ?? 5432, 1, 65535),
      user: yield* text("user", options.user ?? "admin"),
      database: yield* text("database", options.database ?? "postgres"),
      profile: options.profile,
      tokenDuration: yield* tokenDuration(options.tokenDuration),
      applicationName: yield* applicationName(options.applicationName),
      tls: yield* tls(options.tls),
      pool: {
        max,
        min: yield* integer("pool.min", options.pool?.min ?? 0, 0, max),
        idleTimeout: yield* duration("pool.idleTimeout", options.pool?.idleTimeout, "10 minutes", {
          least: "1 second",
          most: "1 hour"
        }),
        maxLifetime: yield* duration("pool.maxLifetime", options.pool?.maxLifetime, "55 minutes", {
          least: "1 second",
          most: "59 minutes"
        }),
        lifetimeJitter: options.pool?.lifetimeJitter ?? 0.1,
        acquireTimeout: yield* duration("pool.acquireTimeout", options.pool?.acquireTimeout, "30 seconds", {
          least: "1 millis",
          most: "1 hour"
        }),
        connectTimeout: yield* duration("pool.connectTimeout", options.pool?.connectTimeout, "10 seconds", {
          least: "1 millis",
          most: "1 hour"
        }),
        connectRate: yield* integer("pool.connectRate", options.pool?.connectRate ?? 100, 1, 1000)
      },
      keepAlive: yield* duration("keepAlive", options.keepAlive, "30 seconds", { least: "1 second", most: "1 hour" }),
      session: options.session ?? {},
      lazy: options.lazy ?? false,
      transformJson,
      transformQueryNames,
      transformResultNames,
      spanAttributes,
      setup,
      types
    }
  })

/**
 * A {@link Resolved} configuration from options, or from just the host or cluster id.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: string | Options): Effect.Effect<Resolved, DsqlConfigError | DsqlRegionError> =>
  Effect.flatMap(read(regionVariables), (region) =>
    resolve(typeof options === "string" ? { host: options } : options, region)
  )

/**
 * The environment that `DsqlLive` reads, through whatever `ConfigProvider` is in place: `DSQL_HOST`, `DSQL_HOSTADDR`,
 * `DSQL_PORT`, `DSQL_USER`, `DSQL_DATABASE`, `DSQL_REGION`, `DSQL_PROFILE`, `DSQL_TOKEN_DURATION`,
 * `DSQL_APPLICATION_NAME`, `DSQL_SSLROOTCERT`, `DSQL_SSLNEGOTIATION`, `DSQL_POOL_MAX`. Only `DSQL_HOST` is required.
 *
 * @since 0.1.0
 * @category constructors
 */
export const environment: Config.Config<DataOptions> = Config.all({
  host: Config.nonEmptyString("HOST"),
  hostaddr: textVariable("HOSTADDR"),
  port: integerVariable("PORT"),
  user: textVariable("USER"),
  database: textVariable("DATABASE"),
  region: textVariable("REGION"),
  profile: textVariable("PROFILE"),
  tokenDuration: variable("TOKEN_DURATION", 'a duration such as "15 minutes"', (text) => Duration.decodeUnknown(text)),
  applicationName: textVariable("APPLICATION_NAME"),
  caFile: textVariable("SSLROOTCERT"),
  negotiation: variable("SSLNEGOTIATION", "direct or postgres", (text) =>
    text === "direct" || text === "postgres" ? Option.some(text) : Option.none()
  ),
  max: integerVariable("POOL_MAX")
}).pipe(
  Config.nested("DSQL"),
  Config.map(({ caFile, max, negotiation, ...options }) => ({
    ...options,
    tls: { caFile, negotiation },
    pool: { max }
  }))
)

/**
 * From options, or from just the host or cluster id.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: string | Options): Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> =>
  Layer.effect(DsqlConfig, make(options))

/**
 * From an Effect `Config` for each option; functions are passed plainly, beside it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<DataOptions>,
  functions: FunctionOptions = {}
): Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> =>
  Layer.effect(
    DsqlConfig,
    Effect.flatMap(read(Config.unwrap(config)), (options) => make({ ...options, ...functions }))
  )

/**
 * From the {@link environment}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEnvironment: Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> = layerConfig(environment)
