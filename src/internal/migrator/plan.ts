/** What would be run, and how far everything is. */
import * as Effect from "effect/Effect"
import type { DsqlConfigError } from "../../Errors.js"
import type { MigrationStatus, Plan, PlannedMigration } from "../../Migrator.js"
import { check } from "./check.js"
import type { DsqlMigrationError } from "./error.js"
import { loadJudge } from "./judge.js"
import type { Known, Migration } from "./model.js"

export const statusOf = (
  migrations: ReadonlyArray<Migration>,
  known: Known
): { readonly migrations: ReadonlyArray<MigrationStatus>; readonly problems: ReadonlyArray<DsqlMigrationError> } => {
  const doneOf = (id: number) =>
    known.entries.filter((entry) => entry.migrationId === id && entry.state === "done").length
  const isBegun = (id: number) => known.entries.some(({ migrationId }) => migrationId === id)
  const loaded = migrations.map((migration): MigrationStatus => {
    const { id, name } = migration
    const applied = known.applied.find((applied) => applied.id === id)
    const hasWitness = migration.kind === "sql" && isBegun(id)
    return {
      id,
      name,
      state: applied !== undefined ? "applied" : isBegun(id) ? "partial" : "pending",
      appliedAt: applied?.createdAt,
      done: doneOf(id),
      of: migration.kind === "sql" ? migration.steps.length : undefined,
      checked: applied === undefined || hasWitness
    }
  })
  const ids = new Set(migrations.map(({ id }) => id))
  const missing = known.applied
    .filter(({ id }) => !ids.has(id))
    .map(({ createdAt, id, name }): MigrationStatus => {
      return { id, name, state: "missing", appliedAt: createdAt, done: doneOf(id), of: undefined, checked: false }
    })
  return {
    migrations: [...loaded, ...missing].sort((a, b) => a.id - b.id),
    problems: check(migrations, known).problems
  }
}

export const planOf = (migrations: ReadonlyArray<Migration>, known: Known): Effect.Effect<Plan, DsqlConfigError> =>
  Effect.map(loadJudge, (judge) => {
    const { pending, problems } = check(migrations, known)
    const done = new Set(
      known.entries
        .filter(({ state }) => state === "done")
        .map(({ migrationId, position }) => `${migrationId} ${position}`)
    )
    const planned = pending.map((migration): PlannedMigration => {
      const { id, name } = migration
      if (migration.kind !== "sql") return { id, name, file: undefined, statements: undefined }
      const statements = migration.steps
        .filter(({ position }) => !done.has(`${id} ${position}`))
        .flatMap(({ position, unit }) =>
          unit.statements.map((statement) => ({
            position,
            line: statement.line,
            statement: statement.text,
            refusal: judge(statement)
          }))
        )
      return { id, name, file: migration.file, statements }
    })
    return { migrations: planned, problems }
  })
