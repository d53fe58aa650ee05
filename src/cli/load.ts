/** Loads a module when a command needs it, so that none pays for another. */
import * as Effect from "effect/Effect"

export const load = <A>(module: () => Promise<A>): Effect.Effect<A, Error> =>
  Effect.tryPromise({
    try: module,
    catch: (cause) => new Error(`A part of this package or of its peers cannot be loaded: ${String(cause)}`)
  })
