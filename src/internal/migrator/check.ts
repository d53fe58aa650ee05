/** What is to be run, by what is loaded and what the database knows. Pure. */
import * as Either from "effect/Either"
import { DsqlMigrationError } from "./error.js"
import { type Entry, type Known, type Migration, type Named, nameOf } from "./model.js"

export interface Checked {
  /** Those that are not in the history yet, in their order. */
  readonly pending: ReadonlyArray<Migration>
}

const fail = (
  reason: DsqlMigrationError["reason"],
  detail: string,
  at: Partial<Omit<DsqlMigrationError, "reason" | "detail">> = {}
): DsqlMigrationError => new DsqlMigrationError({ reason, detail, ...at })

const fileOf = (migration: Migration): string | undefined => (migration.kind === "sql" ? migration.file : undefined)

const duplicateOf = (migrations: ReadonlyArray<Named>): DsqlMigrationError | undefined => {
  const seen = new Map<number, Named>()
  for (const migration of migrations) {
    const other = seen.get(migration.id)
    if (other !== undefined) {
      return fail(
        "Duplicate",
        `${nameOf(other)} has the same number; give one of the two another that is higher than those of all that ran`,
        { migration: nameOf(migration) }
      )
    }
    seen.set(migration.id, migration)
  }
  return undefined
}

const missing = (migrations: ReadonlyArray<Migration>, known: Known): DsqlMigrationError | undefined => {
  const byId = new Map(migrations.map((migration) => [migration.id, migration]))
  for (const applied of known.applied) {
    const there = byId.get(applied.id)
    if (there?.name === applied.name) continue
    const instead = there === undefined ? "" : ` (its number is that of ${nameOf(there)} now)`
    return fail(
      "Missing",
      `it was applied to this database, but is not among the migrations${instead}; bring it back as it was`,
      { migration: nameOf(applied) }
    )
  }
  const lost = known.entries.find(({ migrationId }) => !byId.has(migrationId))
  return lost === undefined
    ? undefined
    : fail("Missing", "a part of it has run in this database, but it is not among the migrations; bring it back", {
        migration: String(lost.migrationId),
        position: lost.position,
        statement: lost.statement
      })
}

const edited = (
  migration: Migration,
  entries: ReadonlyArray<Entry>,
  isApplied: boolean
): DsqlMigrationError | undefined => {
  // The statements of an Effect are only known when it runs; one that `@effect/sql` ran has no entries.
  if (migration.kind !== "sql" || entries.length === 0) return undefined
  const at = { migration: nameOf(migration), file: migration.file }
  for (const entry of entries) {
    const step = migration.steps[entry.position - 1]
    if (step === undefined) {
      return fail(
        "Edited",
        "a statement was taken out of this migration after it ran; bring it back, and undo what it did in a new migration",
        { ...at, position: entry.position, statement: entry.statement }
      )
    }
    if (step.checksum !== entry.checksum) {
      return fail(
        "Edited",
        "this statement was changed after it ran; bring back the one below, and make the change in a new migration",
        { ...at, line: step.line, position: entry.position, statement: entry.statement }
      )
    }
  }
  const added = isApplied ? migration.steps[entries.length] : undefined
  return added === undefined
    ? undefined
    : fail("Edited", "a statement was added to this migration after it ran; put it into a new one", {
        ...at,
        line: added.line,
        position: added.position,
        statement: added.text
      })
}

/** Finds what is to be run, or why nothing may be. */
export const check = (
  migrations: ReadonlyArray<Migration>,
  known: Known
): Either.Either<Checked, DsqlMigrationError> => {
  const wrong = duplicateOf(migrations) ?? missing(migrations, known)
  if (wrong !== undefined) return Either.left(wrong)
  const applied = new Set(known.applied.map(({ id }) => id))
  const latest = Math.max(0, ...applied)
  const pending: Array<Migration> = []
  for (const migration of migrations) {
    const isApplied = applied.has(migration.id)
    const entries = known.entries.filter(({ migrationId }) => migrationId === migration.id)
    const error = edited(migration, entries, isApplied)
    if (error !== undefined) return Either.left(error)
    if (isApplied) continue
    if (migration.id < latest) {
      return Either.left(
        fail(
          "OutOfOrder",
          `it would have to run before migration ${latest}, which is applied; give it a higher number`,
          {
            migration: nameOf(migration),
            file: fileOf(migration)
          }
        )
      )
    }
    pending.push(migration)
  }
  return Either.right({ pending })
}
