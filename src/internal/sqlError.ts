/**
 * The error of `@effect/sql`, around one of ours. It is imported when the first one is needed: its module brings
 * `effect/Schema` and all of fast-check along, 240 modules that a program without errors need not wait for.
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"

/** What `@effect/sql` marks its errors with. */
const typeId = Symbol.for("@effect/sql/SqlError")

export const isSqlError = (u: unknown): u is SqlError =>
  Predicate.hasProperty(u, typeId) && Predicate.isTagged(u, "SqlError")

/** Fails with the error of `@effect/sql` around one of ours. */
export type FailWithSqlError = (cause: Error) => Effect.Effect<never, SqlError>

type SqlErrorClass = new (args: { readonly cause: unknown; readonly message: string }) => SqlError

const make = (SqlError: SqlErrorClass, cause: Error): SqlError => new SqlError({ cause, message: cause.message })

/**
 * Waits for the import with the first error only, so that from then on nothing comes between a statement and its error; where
 * it is loaded already, not even then.
 */
export const makeFailWithSqlError = (loaded?: SqlErrorClass): FailWithSqlError => {
  // A peer that must be there.
  const load = Effect.map(
    Effect.promise(() => import("@effect/sql/SqlError")),
    ({ SqlError }) => (loaded = SqlError)
  )
  return (cause) =>
    loaded === undefined
      ? Effect.flatMap(load, (SqlError) => Effect.fail(make(SqlError, cause)))
      : Effect.fail(make(loaded, cause))
}

/** Another of its kind. */
export const likewise = (error: SqlError, cause: Error): SqlError => make(error.constructor as SqlErrorClass, cause)
