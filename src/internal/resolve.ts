/** From options to a complete configuration: every default, every check, and the region from wherever it is. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { DataOptions, FunctionOptions, Options, Resolved } from "../Config.js"
import { parseHost } from "../core/endpoint.js"
import { DsqlConfigError, type DsqlRegionError } from "../Errors.js"
import * as checks from "./checks.js"
import { readConnectionString } from "./connectionParameters.js"
import { environmentWithNames } from "./environment.js"
import { onlyKnown } from "./knownOptions.js"
import { regionElsewhere } from "./region.js"
import { defaults } from "./retryDefaults.js"
import { read } from "./variables.js"

type Failure = DsqlConfigError | DsqlRegionError

export const resolve = (options: Options, regionElsewhere?: string | undefined): Either.Either<Resolved, Failure> =>
  Either.gen(function* () {
    yield* onlyKnown(options)
    const { clusterId, host, region } = yield* checks.target(options, regionElsewhere)
    const {
      pool = {},
      setup,
      spanAttributes,
      transformJson,
      transformQueryNames,
      transformResultNames,
      types
    } = options
    const max = yield* checks.integer("pool.max", pool.max ?? 10, 1, 10_000)
    return {
      host,
      clusterId,
      region,
      address: options.hostaddr === undefined ? host : yield* checks.hostaddr(options.hostaddr),
      port: yield* checks.integer("port", options.port ?? 5432, 1, 65535),
      user: yield* checks.text("user", options.user ?? "admin"),
      database: yield* checks.text("database", options.database ?? "postgres"),
      profile: options.profile === undefined ? undefined : yield* checks.text("profile", options.profile),
      tokenDuration: yield* checks.tokenDuration(options.tokenDuration),
      applicationName: yield* checks.applicationName(options.applicationName),
      tls: yield* checks.tls(options.tls),
      pool: {
        max,
        min: yield* checks.integer("pool.min", pool.min ?? 0, 0, max),
        idleTimeout: yield* checks.duration("pool.idleTimeout", pool.idleTimeout, "10 minutes", {
          least: "1 second",
          most: "1 hour"
        }),
        maxLifetime: yield* checks.duration("pool.maxLifetime", pool.maxLifetime, "55 minutes", {
          least: "1 second",
          most: "59 minutes"
        }),
        lifetimeJitter: yield* checks.part("pool.lifetimeJitter", pool.lifetimeJitter ?? 0.1, 0.5),
        acquireTimeout: yield* checks.duration("pool.acquireTimeout", pool.acquireTimeout, "30 seconds", {
          least: "1 millis",
          most: "1 hour"
        }),
        connectTimeout: yield* checks.duration("pool.connectTimeout", pool.connectTimeout, "10 seconds", {
          least: "1 millis",
          most: "1 hour"
        }),
        connectRate: yield* checks.integer("pool.connectRate", pool.connectRate ?? 100, 1, 1000)
      },
      keepAlive: yield* checks.duration("keepAlive", options.keepAlive, "30 seconds", {
        least: "1 second",
        most: "1 hour"
      }),
      session: yield* checks.session(options.session),
      retry: yield* checks.retry(options.retry, defaults, "retry."),
      unsafeRetryTransactions: options.unsafeRetryTransactions ?? false,
      lazy: options.lazy ?? false,
      transformJson,
      transformQueryNames,
      transformResultNames,
      spanAttributes,
      setup,
      types
    }
  })

const resolveOptions = (options: Options): Effect.Effect<Resolved, Failure> => {
  const isRegionNeeded =
    options.region === undefined && typeof options.host === "string" && parseHost(options.host).kind === "clusterId"
  return Effect.flatMap(isRegionNeeded ? regionElsewhere(options.profile) : Effect.succeed(undefined), (region) =>
    resolve(options, region)
  )
}

/** Errors call an option what it is called where it stands. */
const calling =
  (nameOf: (option: string) => string) =>
  <A>(effect: Effect.Effect<A, Failure>): Effect.Effect<A, Failure> =>
    Effect.mapError(effect, (error) => {
      if (error._tag === "DsqlRegionError") return error
      const { cause, detail, option, reason } = error
      return new DsqlConfigError({ reason, option: nameOf(option), detail, cause })
    })

export const make = (options: string | Options, functions: FunctionOptions = {}): Effect.Effect<Resolved, Failure> =>
  typeof options === "string"
    ? Effect.flatMap(readConnectionString(options), ({ nameOf, options: { host = "", ...rest } }) =>
        calling(nameOf)(resolveOptions({ ...rest, ...functions, host }))
      )
    : resolveOptions({ ...options, ...functions })

const notConfigs = (cause: unknown) =>
  new DsqlConfigError({
    reason: "InvalidOption",
    option: "layerConfig",
    detail:
      "takes a Config for each option, such as Config.succeed(value); functions and plain values go into its second argument",
    cause
  })

/** What the types allow is unwrapped; anything else makes `unwrap` throw. */
const unwrapped = (
  config: Config.Config<string> | Config.Config.Wrap<DataOptions>
): Effect.Effect<Config.Config<string | DataOptions>, DsqlConfigError> =>
  Config.isConfig(config)
    ? Effect.succeed(config as Config.Config<string | DataOptions>)
    : Effect.try({ try: () => Config.unwrap(config), catch: notConfigs })

export const fromConfig = (
  config: Config.Config<string> | Config.Config.Wrap<DataOptions>,
  functions: FunctionOptions
): Effect.Effect<Resolved, Failure> =>
  unwrapped(config).pipe(
    Effect.flatMap(read),
    Effect.flatMap((options) => make(options, functions))
  )

export const fromEnvironment: Effect.Effect<Resolved, Failure> = Effect.flatMap(
  read(environmentWithNames),
  ({ nameOf, options }) => calling(nameOf)(make(options))
)
