/** What our spans tell, by the OpenTelemetry conventions for databases; what those have no name for begins with `dsql.`. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Resolved } from "../Config.js"
import { factsOf } from "./facts.js"

/** On the span of every statement, transaction and connection; the user's own first, so that they change none of ours. */
export const spanAttributes = (config: Resolved): ReadonlyArray<readonly [string, unknown]> => [
  ...Object.entries(config.spanAttributes ?? {}),
  ["db.system.name", "postgresql"],
  ["db.namespace", config.database],
  ["server.address", config.host],
  ["server.port", config.port]
]

const sqlStateOf = (error: unknown): unknown => {
  const { server, sqlState } = error as {
    readonly sqlState?: unknown
    readonly server?: { readonly sqlState: unknown }
  }
  return sqlState ?? server?.sqlState
}

const given = (attributes: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined))

/** Says on the current span what it has failed with. */
export const failedWith = (failure: unknown): Effect.Effect<void> => {
  const { error, reason } = factsOf(failure)
  return Effect.annotateCurrentSpan(
    given({ "error.type": error, "dsql.reason": reason, "db.response.status_code": sqlStateOf(failure) })
  )
}

/** Something that happened within the current span, if there is one. */
export const event = (name: string, attributes: Readonly<Record<string, unknown>>): Effect.Effect<void> =>
  Effect.clockWith((clock) =>
    Effect.map(Effect.option(Effect.currentSpan), (span) => {
      if (Option.isSome(span)) span.value.event(name, clock.unsafeCurrentTimeNanos(), given(attributes))
    })
  )
