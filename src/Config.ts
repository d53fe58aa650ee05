/**
 * What to connect to and how: options, environment or a bare name in, one validated and immutable value out. Nothing here
 * opens a connection.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { CustomTypesConfig } from "pg"
import { endpointOf, isRegion, parseHost } from "./core/endpoint.js"
import { DsqlConfigError, DsqlRegionError } from "./Errors.js"
import { version } from "./internal/version.js"

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
  /** How long a connection may lie unused before it is closed. Default 10 minutes, as AWS's connectors. */
  readonly idleTimeout?: Duration.DurationInput | undefined
  /**
   * How old a connection may become; up to 10 % less, at random, so that they do not all end together. Default 55
   * minutes. At most 59, since the service cuts at 60 (AWS quotas page).
   */
  readonly maxLifetime?: Duration.DurationInput | undefined
  /** How long a statement waits for a connection. Default 30 seconds. */
  readonly acquireTimeout?: Duration.DurationInput | undefined
  /** How long TCP, TLS and login of one connection may take together. Default 10 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
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
    readonly idleTimeout: Duration.Duration
    readonly maxLifetime: Duration.Duration
    readonly acquireTimeout: Duration.Duration
    readonly connectTimeout: Duration.Duration
  }
  readonly lazy: boolean
}

/**
 * The configuration that every other layer reads.
 *
 * @since 0.1.0
 * @category tags
 */
export class DsqlConfig extends Context.Tag("effect-dsql/DsqlConfig")<DsqlConfig, Resolved>() {}

type Failure = DsqlConfigError | DsqlRegionError

const invalid = (option: string, detail: string) => new DsqlConfigError({ reason: "InvalidOption", option, detail })

const missingHost = (option: string) =>
  new DsqlConfigError({
    reason: "Missing",
    option,
    detail: "is not set. Set it to the cluster's endpoint or id (DSQL_HOST in the environment)"
  })

/** A length of time between two bounds, both included. */
const duration = (
  option: string,
  input: Duration.DurationInput | undefined,
  otherwise: Duration.DurationInput,
  bounds: { readonly least: Duration.DurationInput; readonly most: Duration.DurationInput }
): Either.Either<Duration.Duration, DsqlConfigError> => {
  const value = Duration.decodeUnknown(input ?? otherwise)
  if (Option.isSome(value) && Duration.between(value.value, { minimum: bounds.least, maximum: bounds.most })) {
    return Either.right(value.value)
  }
  const [least, most] = [bounds.least, bounds.most].map(Duration.format)
  const got = Option.isSome(value) ? Duration.format(value.value) : JSON.stringify(input)
  return Either.left(
    invalid(
      option,
      `must be a duration from ${least} to ${most}, such as "15 minutes" (a number is milliseconds), not ${got}`
    )
  )
}

/** The life of a token is written into it in whole seconds. */
const tokenDuration = (input: Duration.DurationInput | undefined): Either.Either<Duration.Duration, DsqlConfigError> =>
  Either.flatMap(duration("tokenDuration", input, "15 minutes", { least: "1 second", most: "7 days" }), (value) =>
    Duration.toMillis(value) % 1000 === 0
      ? Either.right(value)
      : Either.left(invalid("tokenDuration", `must be whole seconds, not ${Duration.format(value)}`))
  )

const integer = (option: string, value: number, least: number, most: number): Either.Either<number, DsqlConfigError> =>
  Number.isInteger(value) && value >= least && value <= most
    ? Either.right(value)
    : Either.left(invalid(option, `must be a whole number from ${least} to ${most}, not ${value}`))

/** Start-up parameters end with a NUL, so one inside of a value would begin a parameter of its own. */
const text = (option: string, value: string): Either.Either<string, DsqlConfigError> => {
  const trimmed = value.trim()
  return trimmed !== "" && !trimmed.includes("\0")
    ? Either.right(trimmed)
    : Either.left(invalid(option, "must not be empty or contain NUL"))
}

const hostaddr = (value: string): Either.Either<string, DsqlConfigError> =>
  Either.flatMap(text("hostaddr", value), (trimmed) => {
    const address = trimmed.replace(/^\[(.*)\]$/, "$1")
    return /^[^:]+:\d+$/.test(address)
      ? Either.left(invalid("hostaddr", `"${address}" holds a port; that goes into the port option`))
      : Either.right(address)
  })

const tls = (options: TlsOptions = {}): Either.Either<Resolved["tls"], DsqlConfigError> =>
  options.ca !== undefined && options.caFile !== undefined
    ? Either.left(invalid("tls", "takes ca or caFile, not both"))
    : Either.right({ negotiation: options.negotiation ?? "direct", ca: options.ca, caFile: options.caFile })

const ownName = `effect-dsql/${version}`

/** The limit is the service's (AWS connectors, `aurora-dsql-util.ts`). */
const applicationName = (prefix: string | undefined): Either.Either<string, DsqlConfigError> => {
  if (prefix === undefined) {
    return Either.right(ownName)
  }
  return Either.flatMap(text("applicationName", prefix), (trimmed) => {
    const name = `${trimmed}:${ownName}`
    return Buffer.byteLength(name) <= 64
      ? Either.right(name)
      : Either.left(invalid("applicationName", `must leave "${name}" within 64 bytes`))
  })
}

const target = (
  options: DataOptions,
  environmentRegion: string | undefined
): Either.Either<{ readonly host: string; readonly clusterId: string; readonly region: string }, Failure> => {
  // `process.env.X!` compiles and is undefined all the same.
  if (typeof options.host !== "string" || options.host.trim() === "") {
    return Either.left(missingHost("host"))
  }
  const parsed = parseHost(options.host)
  if (parsed.kind === "invalid") {
    return Either.left(
      new DsqlConfigError({
        reason: "InvalidHost",
        option: "host",
        detail: `"${options.host}" is not a cluster: ${parsed.why}.`
      })
    )
  }
  if (options.region !== undefined && !isRegion(options.region)) {
    return Either.left(invalid("region", `"${options.region}" is not an AWS region; one looks like us-east-1`))
  }
  if (parsed.kind === "endpoint") {
    return options.region === undefined || options.region === parsed.region
      ? Either.right(parsed)
      : Either.left(
          new DsqlRegionError({
            reason: "Mismatch",
            host: parsed.host,
            region: options.region,
            hostRegion: parsed.region
          })
        )
  }
  const region = options.region ?? environmentRegion
  if (region === undefined) {
    return Either.left(new DsqlRegionError({ reason: "Missing", host: parsed.clusterId }))
  }
  return isRegion(region)
    ? Either.right({ host: endpointOf(parsed.clusterId, region), clusterId: parsed.clusterId, region })
    : Either.left(invalid("AWS_REGION", `"${region}" is not an AWS region; one looks like us-east-1`))
}

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
    const { transformJson, transformQueryNames, transformResultNames, spanAttributes, types } = options
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
        max: yield* integer("pool.max", options.pool?.max ?? 10, 1, 10_000),
        idleTimeout: yield* duration("pool.idleTimeout", options.pool?.idleTimeout, "10 minutes", {
          least: "1 second",
          most: "1 hour"
        }),
        maxLifetime: yield* duration("pool.maxLifetime", options.pool?.maxLifetime, "55 minutes", {
          least: "1 second",
          most: "59 minutes"
        }),
        acquireTimeout: yield* duration("pool.acquireTimeout", options.pool?.acquireTimeout, "30 seconds", {
          least: "1 millis",
          most: "1 hour"
        }),
        connectTimeout: yield* duration("pool.connectTimeout", options.pool?.connectTimeout, "10 seconds", {
          least: "1 millis",
          most: "1 hour"
        })
      },
      lazy: options.lazy ?? false,
      transformJson,
      transformQueryNames,
      transformResultNames,
      spanAttributes,
      types
    }
  })

/** The variable and what is wrong with it, out of the tree that a `ConfigError` is. */
const leafOf = (error: ConfigError.ConfigError): { readonly path: string; readonly text: string; missing: boolean } => {
  if (error._op === "And" || error._op === "Or") {
    const left = leafOf(error.left)
    return left.missing ? leafOf(error.right) : left
  }
  return { path: error.path.join("_"), text: error.message, missing: error._op === "MissingData" }
}

const fromConfigError = (error: ConfigError.ConfigError): DsqlConfigError => {
  const leaf = leafOf(error)
  if (!leaf.missing) return new DsqlConfigError({ reason: "InvalidOption", option: leaf.path, detail: leaf.text })
  return leaf.path === "DSQL_HOST"
    ? missingHost(leaf.path)
    : new DsqlConfigError({ reason: "Missing", option: leaf.path, detail: "is not set" })
}

const read = <A>(config: Config.Config<A>): Effect.Effect<A, DsqlConfigError> =>
  Effect.mapError(config, fromConfigError)

/** An empty variable counts as one that is not set, as shells and containers often spell it. */
const variable = <A>(
  name: string,
  form: string,
  parse: (text: string) => Option.Option<A>
): Config.Config<A | undefined> =>
  Config.string(name).pipe(
    Config.withDefault(""),
    Config.mapOrFail((text) => {
      const trimmed = text.trim()
      const value = trimmed === "" ? Option.some(undefined) : parse(trimmed)
      return Either.fromOption(value, () => ConfigError.InvalidData([name], `must be ${form}, not "${trimmed}"`))
    })
  )

const textVariable = (name: string) => variable(name, "text", Option.some)

const integerVariable = (name: string) =>
  variable(name, "a whole number", (text) => (/^\d{1,9}$/.test(text) ? Option.some(Number(text)) : Option.none()))

const regionVariables = Config.map(
  Config.all([textVariable("AWS_REGION"), textVariable("AWS_DEFAULT_REGION")]),
  ([region, defaultRegion]) => region ?? defaultRegion
)

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
