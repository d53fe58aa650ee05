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

export const failWithSqlError = (cause: Error): Effect.Effect<never, SqlError> =>
  Effect.flatMap(
    // A peer that must be there.
    Effect.promise(() => import("@effect/sql/SqlError")),
    ({ SqlError }) => Effect.fail(new SqlError({ cause, message: cause.message }))
  )
