/** Credentials of a role that other credentials assume. */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { AssumedRole, Credentials, DsqlCredentials } from "../Auth.js"
import { DsqlConfigError, type DsqlCredentialsError } from "../Errors.js"
import { duration } from "./checks.js"
import { ask, keep } from "./credentials.js"
import { sdk } from "./sdkProviders.js"

const roleArn = (value: string): Either.Either<string, DsqlConfigError> =>
  // `process.env.X!` compiles and is undefined all the same.
  typeof value === "string" && /^arn:[\w-]+:iam::\d{12}:role\/.+$/.test(value)
    ? Either.right(value)
    : Either.left(
        new DsqlConfigError({
          reason: "InvalidOption",
          option: "roleArn",
          detail: `must be the ARN of a role, such as arn:aws:iam::111122223333:role/orders, not ${JSON.stringify(value)}`
        })
      )

/** What STS is asked with. */
const parameters = (role: Omit<AssumedRole, "base">) =>
  Either.gen(function* () {
    const lasts = yield* duration("duration", role.duration, "1 hour", { least: "15 minutes", most: "12 hours" })
    return {
      RoleArn: yield* roleArn(role.roleArn),
      RoleSessionName: role.roleSessionName ?? "effect-dsql",
      ExternalId: role.externalId,
      DurationSeconds: Math.floor(Duration.toSeconds(lasts))
    }
  })

const forSdk = ({ accessKeyId, secretAccessKey, sessionToken }: Credentials) => ({
  accessKeyId,
  secretAccessKey: Redacted.value(secretAccessKey),
  ...(sessionToken === undefined ? {} : { sessionToken: Redacted.value(sessionToken) })
})

/** The provider is made anew each time: its client would keep the first base credentials that do not say when they end. */
export const fromAssumedRole = (
  role: Omit<AssumedRole, "base">,
  base: Effect.Effect<Credentials, DsqlCredentialsError>,
  region: string
): Effect.Effect<Context.Tag.Service<DsqlCredentials>, DsqlConfigError> =>
  Effect.flatMap(parameters(role), (params) =>
    keep(
      Effect.flatMap(Effect.zip(sdk, base), ([{ fromTemporaryCredentials }, credentials]) =>
        ask(
          fromTemporaryCredentials({ params, masterCredentials: forSdk(credentials), clientConfig: { region } }),
          undefined
        )
      ),
      undefined
    )
  )
