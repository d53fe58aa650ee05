/** Credentials as a provider gives them: checked, and kept while they last. */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { Credentials, DsqlCredentials, Provider } from "../Auth.js"
import { DsqlCredentialsError } from "../Errors.js"
import { providerCall } from "./clientMetrics.js"
import { credentialsError } from "./credentialsError.js"
import { failedWith } from "./spans.js"

/** Credentials that end within this time are asked for anew: five minutes, as the AWS SDKs do. */
export const expiryWindow = Duration.toMillis("5 minutes")

/**
 * How long a provider may take: the metadata services give up within about 10 seconds (1 s a request, container 3 retries,
 * in `@smithy/credential-provider-imds` and `@aws-sdk/credential-provider-http`), STS and SSO have no bound of their own.
 * It ends before the 30 s that a statement waits for a connection, and leaves time to open one.
 */
const patience = Duration.seconds(20)

/** The AWS SDK notes on credentials which of its features had a part in them, for its own statistics. */
const sourceOf = (found: object | undefined): ReadonlyArray<string> =>
  Object.keys((found as { readonly $source?: object } | undefined)?.$source ?? {})

/** What a provider of AWS's type gives may still be anything at run time: JSON from an endpoint of one's own, say. */
const checked = (
  found: Awaited<ReturnType<Provider>>,
  profile: string | undefined
): Either.Either<Credentials, DsqlCredentialsError> => {
  const isText = (value: unknown) => typeof value === "string" && value !== ""
  const { accessKeyId, expiration, secretAccessKey, sessionToken } = found ?? {}
  const source = sourceOf(found)
  const expiresAt = expiration instanceof Date ? expiration.getTime() : expiration
  return isText(accessKeyId) && isText(secretAccessKey) && (expiresAt === undefined || Number.isFinite(expiresAt))
    ? Either.right({
        accessKeyId,
        secretAccessKey: Redacted.make(secretAccessKey),
        sessionToken: isText(sessionToken) ? Redacted.make(sessionToken!) : undefined,
        expiration: expiresAt,
        ...(source.length === 0 ? {} : { source })
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

/** Calls a provider once. */
export const ask = (
  provider: Provider,
  profile: string | undefined
): Effect.Effect<Awaited<ReturnType<Provider>>, DsqlCredentialsError> =>
  Effect.tryPromise({ try: async () => provider(), catch: (cause) => credentialsError(cause, profile) })

/** A promise cannot be stopped: what comes after the time is over goes nowhere, and whoever asks next begins anew. */
const inTime = <A>(effect: Effect.Effect<A, DsqlCredentialsError>, profile: string | undefined) =>
  Effect.timeoutFail(
    // A timeout waits for what it gives up, which would be for ever where the caller cannot be interrupted.
    Effect.interruptible(effect),
    {
      duration: patience,
      onTimeout: () =>
        new DsqlCredentialsError({
          reason: "ProviderFailed",
          profile,
          cause: new Error(`it did not answer within ${Duration.format(patience)}`)
        })
    }
  )

/** Credentials that are asked for when there are none, or none that last. */
export const keep = (
  asked: Effect.Effect<Awaited<ReturnType<Provider>>, DsqlCredentialsError>,
  profile: string | undefined
): Effect.Effect<Context.Tag.Service<DsqlCredentials>> =>
  Effect.sync(() => {
    let kept: Credentials | undefined
    const renew = inTime(asked, profile).pipe(
      Effect.flatMap((found) => checked(found, profile)),
      Effect.flatMap((credentials) => refuseExpired(credentials, profile)),
      providerCall,
      Effect.tapError(failedWith),
      Effect.tap((credentials) => Effect.sync(() => (kept = credentials))),
      Effect.withSpan("DsqlCredentials.get", { captureStackTrace: false })
    )
    return {
      get: Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const left = (kept?.expiration ?? now) - now
        if (kept === undefined || left <= 0) return renew
        // Near their end new ones are asked for, but until then the old ones still serve.
        return left > expiryWindow ? Effect.succeed(kept) : Effect.orElse(renew, () => refuseExpired(kept!, profile))
      })
    }
  })
