/** `effect-dsql token`: a token for programs that know nothing of AWS, signed as our clients sign theirs. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { load } from "./load.js"

const setting = (name: string, description: string) =>
  Options.text(name).pipe(Options.withDescription(description), Options.optional)

const options = {
  host: setting("host", "The cluster: its endpoint, or its 26-character id. Default: DSQL_HOST, or that in DSQL_URL."),
  region: setting(
    "region",
    "Needed for a bare id. Default: that of the endpoint, DSQL_REGION, AWS_REGION, AWS_DEFAULT_REGION or the profile."
  ),
  user: setting("user", "The database role to log in as. Default: DSQL_USER, or admin."),
  profile: setting("profile", "The AWS profile. Default: DSQL_PROFILE, or what the AWS SDK finds."),
  expiresIn: Options.integer("expires-in").pipe(
    Options.withDescription("Seconds from 1 to 604800 (7 days). Default: DSQL_TOKEN_DURATION, or 900."),
    Options.withSchema(Schema.Int.pipe(Schema.between(1, 7 * 24 * 60 * 60))),
    Options.optional
  )
}

const given = <A>(name: string, option: Option.Option<A>): Record<string, A> =>
  Option.match(option, { onNone: () => ({}), onSome: (value) => ({ [name]: value }) })

/** The environment, and before it what the command line says. */
const providerWith = (variables: Record<string, string>, current: ConfigProvider.ConfigProvider) =>
  ConfigProvider.orElse(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }), () => current)

const onOneLine = (error: Error): Error => new Error(error.message.replaceAll(/\s*\n\s*/g, " "))

export const token = Command.make("token", options, ({ expiresIn, host, profile, region, user }) =>
  Effect.gen(function* () {
    const { DsqlConfig, environment, make } = yield* load(() => import("../Config.js"))
    const { DsqlToken, layerCredentials, layerToken } = yield* load(() => import("../Auth.js"))
    const { read } = yield* load(() => import("../internal/variables.js"))
    const defaults = yield* Effect.configProviderWith((current) =>
      Effect.withConfigProvider(read(environment), providerWith(given("DSQL_HOST", host), current))
    )
    const config = yield* make({
      ...defaults,
      ...given("region", region),
      ...given("user", user),
      ...given("profile", profile),
      ...given("tokenDuration", Option.map(expiresIn, Duration.seconds))
    })
    const signed = yield* Effect.flatMap(DsqlToken, ({ get }) => get).pipe(
      Effect.provide(layerToken.pipe(Layer.provide(layerCredentials))),
      Effect.provideService(DsqlConfig, config)
    )
    yield* Console.log(Redacted.value(signed))
  }).pipe(Effect.mapError(onOneLine))
).pipe(
  Command.withDescription(
    "Prints a token, and nothing else, for the password of psql and other programs. Region, credentials and errors are as in DsqlLive, with the same environment variables. Whoever has the token can log in until it expires."
  )
)
