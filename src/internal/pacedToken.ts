import * as Effect from "effect/Effect"
import * as RateLimiter from "effect/RateLimiter"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { DsqlToken } from "../Auth.js"
import { DsqlConfig } from "../Config.js"
import type { DsqlCredentialsError, DsqlTokenError } from "../Errors.js"

/** The token for one login, handed out no faster than the service lets new connections in. */
export const pacedToken: Effect.Effect<
  Effect.Effect<Redacted.Redacted, DsqlCredentialsError | DsqlTokenError>,
  never,
  DsqlConfig | DsqlToken | Scope.Scope
> = Effect.gen(function* () {
  const config = yield* DsqlConfig
  const token = yield* DsqlToken
  const limit = yield* RateLimiter.make({
    limit: config.pool.connectRate,
    interval: "1 second",
    algorithm: "token-bucket"
  })
  return limit(token.get)
})
