/** What is to be run, by what is loaded and what the database knows, and why it may not be. Pure. */
import * as Effect from "effect/Effect"
import { DsqlMigrationError } from "./error.js"
import { type Entry, type Known, type Migration, type Named, nameOf } from "./model.js"

export interface Checked {
  /** Those that are not in the history yet, in their order. */
  readonly pending: ReadonlyArray<Migration>
  /** Why nothing may be run. */
  readonly problems: ReadonlyArray<DsqlMigrationError>
}

const problem = (
  reason: DsqlMigrationError["reason"],
  detail: string,
  at: Partial<Omit<DsqlMigrationError, "reason" | "detail">> = {}
): DsqlMigrationError => new DsqlMigrationError({ reason, detail, ...at })

const fileOf = (migration: Migration): string | undefined => (migration.kind === "sql" ? migration.file : undefined)

const duplicates = (migrations: ReadonlyArray<Named>): ReadonlyArray<DsqlMigrationError> => {
  const seen = new Map<number, Named>()
  return migrations.flatMap((migration) => {
    const other = seen.get(migration.id)
    seen.set(migration.id, migration)
    return other === undefined
      ? []
      : [
          problem(
            "Duplicate",
            `${nameOf(other)} has the same number; give one of the two another that is higher than those of all that ran`,
            { migration: nameOf(migration) }
          )
        ]
  })
}

const missing = (migrations: ReadonlyArray<Migration>, known: Known): ReadonlyArray<DsqlMigrationError> => {
  const namesOf = (id: number) => migrations.filter((migration) => migration.id === id).map(({ name }) => name)
  const applied = known.applied.flatMap((applied) => {
    const there = namesOf(applied.id)
    if (there.includes(applied.name)) return []
    const instead = there.map((name) => ` (its number is that of ${nameOf({ id: applied.id, name })} now)`)
    return [
      problem(
        "Missing",
        `it was applied to this database, but is not among the migrations${instead[0] ?? ""}; bring it back as it was`,
        { migration: nameOf(applied) }
      )
    ]
  })
  const isApplied = new Set(known.applied.map(({ id }) => id))
  const begun = known.entries.filter(
    ({ migrationId }, index, entries) =>
      !isApplied.has(migrationId) && entries.findIndex((entry) => entry.migrationId === migrationId) === index
  )
  const lost = begun
    .filter(({ migrationId }) => namesOf(migrationId).length === 0)
    .map(({ migrationId, position, statement }) =>
      problem("Missing", "a part of it has run in this database, but it is not among the migrations; bring it back", {
        migration: String(migrationId),
        position,
        statement
      })
    )
  return [...applied, ...lost]
}

/** The first place where a migration differs from what ran: behind it everything may be at another position. */
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
      return problem(
        "Edited",
        "a statement was taken out of this migration after it ran; bring it back, and undo what it did in a new migration",
        { ...at, position: entry.position, statement: entry.statement }
      )
    }
    if (step.checksum !== entry.checksum) {
      return problem(
        "Edited",
        "this statement was changed after it ran; bring back the one below, and make the change in a new migration",
        { ...at, line: step.line, position: entry.position, statement: entry.statement }
      )
    }
  }
  const added = isApplied ? migration.steps[entries.length] : undefined
  return added === undefined
    ? undefined
    : problem("Edited", "a statement was added to this migration after it ran; put it into a new one", {
        ...at,
        line: added.line,
        position: added.position,
        statement: added.text
      })
}

/** Finds what is to be run, and everything that stands against it. */
export const check = (migrations: ReadonlyArray<Migration>, known: Known): Checked => {
  const applied = new Set(known.applied.map(({ id }) => id))
  const latest = Math.max(0, ...applied)
  const pending = migrations.filter(({ id }) => !applied.has(id))
  const changed = migrations.flatMap((migration) => {
    const entries = known.entries.filter(({ migrationId }) => migrationId === migration.id)
    // What cannot be read says nothing of what ran.
    const error = migration.problems.length > 0 ? undefined : edited(migration, entries, applied.has(migration.id))
    if (error !== undefined) return [error]
    if (applied.has(migration.id) || migration.id > latest) return []
    return [
      problem(
        "OutOfOrder",
        `it would have to run before migration ${latest}, which is applied; give it a higher number`,
        { migration: nameOf(migration), file: fileOf(migration) }
      )
    ]
  })
  const unreadable = migrations.flatMap(({ problems }) => problems)
  return { pending, problems: [...unreadable, ...duplicates(migrations), ...missing(migrations, known), ...changed] }
}

/** What is to be run, or the first thing that stands against it. */
export const runnable = (
  migrations: ReadonlyArray<Migration>,
  known: Known
): Effect.Effect<ReadonlyArray<Migration>, DsqlMigrationError> => {
  const { pending, problems } = check(migrations, known)
  return problems[0] === undefined ? Effect.succeed(pending) : Effect.fail(problems[0])
}
