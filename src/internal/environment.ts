/** The environment as options: a variable for every option that is plain data. */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { DataOptions } from "../Config.js"
import { type FromString, readConnectionString, readStartupOptions } from "./connectionParameters.js"
import { overlay, type SomeOptions } from "./overlay.js"
import { withoutPage } from "./pages.js"
import { integerVariable, parsedVariable, textVariable, variable } from "./variables.js"

/** Those that libpq has a variable for are named as there. */
const borrowed: Readonly<Record<string, string>> = {
  "tls.caFile": "SSLROOTCERT",
  "tls.negotiation": "SSLNEGOTIATION",
  session: "OPTIONS"
}

/** `pool.maxLifetime` is `DSQL_POOL_MAX_LIFETIME`; what is not the name of an option stays as it is. */
export const variableOf = (option: string): string =>
  /^[a-z]+(?:\.?[a-zA-Z]+)*$/.test(option)
    ? `DSQL_${borrowed[option] ?? option.replaceAll(/[A-Z]/g, "_$&").replace(".", "_").toUpperCase()}`
    : option

const durationVariable = (name: string) =>
  variable(name, 'a duration such as "15 minutes"', (text) => Duration.decodeUnknown(text))

const numberVariable = (name: string) =>
  variable(name, "a number", (text) => (/^\d+(?:\.\d+)?$/.test(text) ? Option.some(Number(text)) : Option.none()))

const oneOf = <A extends string>(name: string, ...values: ReadonlyArray<A>) =>
  variable(name, values.join(" or "), (text) => Option.fromNullable(values.find((value) => value === text)))

const booleanVariable = (name: string) =>
  Config.map(oneOf(name, "true", "false"), (text) => (text === undefined ? undefined : text === "true"))

export interface FromEnvironment extends Pick<FromString, "nameOf"> {
  readonly options: DataOptions
}

/** What single variables say, and the connection string that they go before. */
const variables = Config.all({
  url: parsedVariable("URL", (text) =>
    Either.mapLeft(readConnectionString(text), ({ message }) =>
      withoutPage(message).replace(/^connection string: /, "")
    )
  ),
  options: Config.all({
    host: textVariable("HOST"),
    hostaddr: textVariable("HOSTADDR"),
    port: integerVariable("PORT"),
    user: textVariable("USER"),
    database: textVariable("DATABASE"),
    region: textVariable("REGION"),
    profile: textVariable("PROFILE"),
    tokenDuration: durationVariable("TOKEN_DURATION"),
    applicationName: textVariable("APPLICATION_NAME"),
    tls: Config.all({
      caFile: textVariable("SSLROOTCERT"),
      negotiation: oneOf("SSLNEGOTIATION", "direct", "postgres")
    }),
    pool: Config.all({
      max: integerVariable("POOL_MAX"),
      min: integerVariable("POOL_MIN"),
      idleTimeout: durationVariable("POOL_IDLE_TIMEOUT"),
      maxLifetime: durationVariable("POOL_MAX_LIFETIME"),
      lifetimeJitter: numberVariable("POOL_LIFETIME_JITTER"),
      acquireTimeout: durationVariable("POOL_ACQUIRE_TIMEOUT"),
      connectTimeout: durationVariable("POOL_CONNECT_TIMEOUT"),
      connectRate: integerVariable("POOL_CONNECT_RATE")
    }),
    keepAlive: durationVariable("KEEP_ALIVE"),
    session: parsedVariable("OPTIONS", readStartupOptions),
    retry: Config.all({
      deadline: durationVariable("RETRY_DEADLINE"),
      times: integerVariable("RETRY_TIMES"),
      base: durationVariable("RETRY_BASE"),
      cap: durationVariable("RETRY_CAP"),
      maxAge: durationVariable("RETRY_MAX_AGE")
    }),
    unsafeRetryTransactions: booleanVariable("UNSAFE_RETRY_TRANSACTIONS"),
    lazy: booleanVariable("LAZY")
  })
})

const isSaid = (options: SomeOptions | undefined, option: string): boolean => {
  const [name = "", member] = option.split(".")
  const said: unknown = options?.[name as keyof SomeOptions]
  return member === undefined
    ? said !== undefined
    : (said as Record<string, unknown> | undefined)?.[member] !== undefined
}

/** What the environment says, and what the place is called where it says an option. */
export const environmentWithNames: Config.Config<FromEnvironment> = Config.all([
  Config.nested(variables, "DSQL"),
  // As AWS's samples call it.
  textVariable("CLUSTER_ENDPOINT")
]).pipe(
  Config.mapOrFail(([{ options, url }, clusterEndpoint]) => {
    const { host = clusterEndpoint, ...rest } = overlay(url?.options ?? {}, options)
    if (host === undefined) return Either.left(ConfigError.MissingData(["DSQL", "HOST"], "is not set"))
    const nameOf = (option: string): string => {
      if (isSaid(options, option)) return variableOf(option)
      if (isSaid(url?.options, option)) return `DSQL_URL (${url!.nameOf(option)})`
      return option === "host" ? "CLUSTER_ENDPOINT" : variableOf(option)
    }
    return Either.right({ options: { ...rest, host }, nameOf })
  })
)

export const environment: Config.Config<DataOptions> = Config.map(environmentWithNames, ({ options }) => options)
