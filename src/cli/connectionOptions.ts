/** Options of commands that say which cluster is meant and who logs in; they go before the environment. */
import * as Options from "@effect/cli/Options"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { load } from "./load.js"

const setting = (name: string, description: string) =>
  Options.text(name).pipe(Options.withDescription(description), Options.optional)

export const connectionOptions = {
  host: setting("host", "The cluster: its endpoint, or its 26-character id. Default: DSQL_HOST, or that in DSQL_URL."),
  region: setting(
    "region",
    "Needed for a bare id. Default: that of the endpoint, DSQL_REGION, AWS_REGION, AWS_DEFAULT_REGION or the profile."
  ),
  user: setting("user", "The database role to log in as. Default: DSQL_USER, or admin."),
  profile: setting("profile", "The AWS profile. Default: DSQL_PROFILE, or what the AWS SDK finds.")
}

export interface ConnectionGiven {
  readonly host: Option.Option<string>
  readonly region?: Option.Option<string>
  readonly user?: Option.Option<string>
  readonly profile?: Option.Option<string>
  readonly expiresIn?: Option.Option<number>
}

const given = <A>(name: string, option: Option.Option<A> = Option.none()): Record<string, A> =>
  Option.match(option, { onNone: () => ({}), onSome: (value) => ({ [name]: value }) })

/** The environment, and before it what the command line says. */
export const providerWith = (variables: Record<string, string>, current: ConfigProvider.ConfigProvider) =>
  ConfigProvider.orElse(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }), () => current)

/** What the environment and the command line say together, checked. */
export const clusterGiven = ({ expiresIn, host, profile, region, user }: ConnectionGiven) =>
  Effect.gen(function* () {
    const { environment, make } = yield* load(() => import("../Config.js"))
    const { read } = yield* load(() => import("../internal/variables.js"))
    const defaults = yield* Effect.configProviderWith((current) =>
      Effect.withConfigProvider(read(environment), providerWith(given("DSQL_HOST", host), current))
    )
    return yield* make({
      ...defaults,
      ...given("region", region),
      ...given("user", user),
      ...given("profile", profile),
      ...given("tokenDuration", Option.map(expiresIn ?? Option.none(), Duration.seconds))
    })
  })

/** What the command line says, by the names that the environment has for it. */
export const variablesGiven = ({ host, profile, region, user }: ConnectionGiven): Record<string, string> => ({
  ...given("DSQL_HOST", host),
  ...given("DSQL_REGION", region),
  ...given("DSQL_USER", user),
  ...given("DSQL_PROFILE", profile)
})

/** Standard error gets one line. */
export const onOneLine = (error: Error): Error => new Error(error.message.replaceAll(/\s*\n\s*/g, " "))
