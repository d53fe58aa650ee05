/** The AWS SDK's own credential providers. Importing them costs start-up time, which who brings credentials does not pay. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { DsqlCredentials } from "../Auth.js"
import { exportsOf } from "./commonJs.js"
import { ask, keep } from "./credentials.js"
import { credentialsError } from "./credentialsError.js"

export const sdk = Effect.tryPromise({
  try: async () => exportsOf(await import("@aws-sdk/credential-providers")),
  catch: (cause) => credentialsError(cause, undefined)
})

/**
 * The profile, or the default chain. The chain falls through to the metadata service when a profile is missing; a named
 * profile must fail.
 *
 * Made anew each time it is asked, and reading the shared files anew: the SDK keeps both for the life of the process, so
 * keys that were replaced in `~/.aws/credentials` would never be seen. What can be kept is kept here. The region is given
 * as a client of the SDK gives its own: for STS where the profile names none, and not in place of `sso_region`.
 */
export const fromProfileOrChain = (
  profile: string | undefined,
  region: string
): Effect.Effect<Context.Tag.Service<DsqlCredentials>> =>
  keep(
    Effect.flatMap(sdk, ({ fromIni, fromNodeProviderChain }) =>
      ask(async () => {
        const init = { ignoreCache: true }
        const provider = profile === undefined ? fromNodeProviderChain(init) : fromIni({ ...init, profile })
        return provider({ callerClientConfig: { region: async () => region } })
      }, profile)
    ),
    profile
  )
