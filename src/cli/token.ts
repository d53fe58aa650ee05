/** `effect-dsql token`: a token for programs that know nothing of AWS, signed as our clients sign theirs. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { clusterGiven, connectionOptions, onOneLine } from "./connectionOptions.js"
import { load } from "./load.js"

const options = {
  ...connectionOptions,
  expiresIn: Options.integer("expires-in").pipe(
    Options.withDescription("Seconds from 1 to 604800 (7 days). Default: DSQL_TOKEN_DURATION, or 900."),
    Options.withSchema(Schema.Int.pipe(Schema.between(1, 7 * 24 * 60 * 60))),
    Options.optional
  )
}

export const token = Command.make("token", options, (given) =>
  Effect.gen(function* () {
    const { DsqlConfig } = yield* load(() => import("../Config.js"))
    const { DsqlToken, layerCredentials, layerToken } = yield* load(() => import("../Auth.js"))
    const config = yield* clusterGiven(given)
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
