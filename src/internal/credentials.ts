/** Credentials as a provider gives them: checked, and kept while they last. */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { Credentials, DsqlCredentials, Provider } from "../Auth.js"
import { DsqlCredentialsError } from "../Errors.js"

/** Credentials that end within this time are asked for anew: five minutes, as the AWS SDKs do. */
const expiryWindow = Duration.toMillis("5 minutes")

const credentialsError = (cause: unknown, profile: string | undefined): DsqlCredentialsError => {
  const { message, name } = cause instanceof Error ? cause : new Error(String(cause))
  const reason = /could not resolve credentials using profile|profile .* (?:could not be found|not found)/i.test(
    message
  )
    ? "ProfileNotFound"
    : /expired/i.test(`${name} ${message}`)
      ? "Expired"
      : /could not load credentials from any providers/i.test(message)
        ? "NotFound"
        : "ProviderFailed"
  return new DsqlCredentialsError({ reason, profile, cause })
}

/** What a provider of AWS's type gives may still be anything at run time: JSON from an endpoint of one's own, say. */
const checked = (
  found: Awaited<ReturnType<Provider>>,
  profile: string | undefined
): Either.Either<Credentials, DsqlCredentialsError> => {
  const isText = (value: unknown) => typeof value === "string" && value !== ""
  const { accessKeyId, expiration, secretAccessKey, sessionToken } = found ?? {}
  const expiresAt = expiration instanceof Date ? expiration.getTime() : expiration
  return isText(accessKeyId) && isText(secretAccessKey) && (expiresAt === undefined || Number.isFinite(expiresAt))
    ? Either.right({
        accessKeyId,
        secretAccessKey: Redacted.make(secretAccessKey),
        sessionToken: isText(sessionToken) ? Redacted.make(sessionToken!) : undefined,
        expiration: expiresAt
      })
    : Either.left(
        new DsqlCredentialsError({
          reason: "ProviderFailed",
          profile,
          cause: new Error("it gave no accessKeyId and secretAccessKey, or an expiration that is not a Date")
        })
      )
}

export const refuseExpired = (credentials: Credentials, profile?: string | undefined) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    credentials.expiration !== undefined && credentials.expiration <= now
      ? Effect.fail(new DsqlCredentialsError({ reason: "Expired", profile }))
      : Effect.succeed(credentials)
  )

export const credentialsFrom = (
  provide: Effect.Effect<Provider, DsqlCredentialsError>,
  profile: string | undefined
): Effect.Effect<Context.Tag.Service<DsqlCredentials>> =>
  Effect.sync(() => {
    let kept: Credentials | undefined
    const ask = provide.pipe(
      Effect.flatMap((provider) =>
        Effect.tryPromise({ try: async () => provider(), catch: (cause) => credentialsError(cause, profile) })
      ),
      Effect.flatMap((found) => checked(found, profile)),
      Effect.flatMap((credentials) => refuseExpired(credentials, profile)),
      Effect.tap((credentials) => Effect.sync(() => (kept = credentials))),
      Effect.withSpan("DsqlCredentials.get", { captureStackTrace: false })
    )
    return {
      get: Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const left = (kept?.expiration ?? now) - now
        if (kept === undefined || left <= 0) return ask
        // Near their end new ones are asked for, but until then the old ones still serve.
        return left > expiryWindow ? Effect.succeed(kept) : Effect.orElse(ask, () => refuseExpired(kept!, profile))
      })
    }
  })
