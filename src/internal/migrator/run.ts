/** All migrations that have not run yet, under the lease. */
import type { Loader } from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { RetryPolicy } from "../../Config.js"
import { type DsqlError, DsqlUnsupportedError, unwrap } from "../../Errors.js"
import { readScript } from "../../core/script.js"
import type { Job, WaitOptions } from "../../Jobs.js"
import { outside } from "../alone.js"
import { deriveOf } from "../derived.js"
import type { Result } from "../request.js"
import { runnable } from "./check.js"
import { migratingClient } from "./effectClient.js"
import { DsqlMigrationError } from "./error.js"
import { loadJudge } from "./judge.js"
import { makeJournal } from "./journal.js"
import { holderOf, type Lease, withLease } from "./lease.js"
import { loadAll, resolve } from "./load.js"
import { type Known, type Migration, nameOf, type Step } from "./model.js"
import { type Outcome, runStep, type StepContext } from "./steps.js"
import { ensure, read, type Tables } from "./tables.js"

/** What happens while migrations run. */
export type MigrationEvent =
  | { readonly _tag: "Waiting"; readonly holder: string | undefined }
  | { readonly _tag: "Started" | "Finished"; readonly id: number; readonly name: string }
  | {
      readonly _tag: "Statement"
      readonly state: "running" | "done"
      readonly id: number
      readonly name: string
      readonly position: number
      /** How many the migration has; `undefined` for an Effect, which does not say. */
      readonly of: number | undefined
      readonly statement: string
    }
  | { readonly _tag: "Job"; readonly id: number; readonly name: string; readonly position: number; readonly job: Job }

export interface RunSettings<R> {
  readonly loader: Loader<R>
  readonly tables: Tables
  readonly holder: string
  readonly lease: Duration.Duration
  readonly patience: Duration.Duration
  readonly retry: RetryPolicy | undefined
  readonly jobs: WaitOptions
  readonly onEvent: (event: MigrationEvent) => Effect.Effect<void>
}

/** Where in a statement the server found something wrong, as a line of its file. */
const lineOf = ({ line, text }: Step, cause: unknown): number | undefined => {
  const error = unwrap(cause)
  const position = error !== undefined && "server" in error ? error.server?.position : undefined
  if (line === undefined || position === undefined) return line
  return line + text.slice(0, Number(position) - 1).split("\n").length - 1
}

const contextFor = <R>(
  sql: SqlClient.SqlClient,
  lease: Lease,
  known: Known,
  migration: Migration,
  settings: RunSettings<R>
): StepContext => ({
  sql,
  lease,
  journal: makeJournal(sql, settings.tables, lease, migration),
  retry: settings.retry,
  jobs: settings.jobs,
  entries: new Map(
    known.entries.filter(({ migrationId }) => migrationId === migration.id).map((entry) => [entry.position, entry])
  ),
  onJob: ({ position }, job) =>
    settings.onEvent({ _tag: "Job", id: migration.id, name: migration.name, position, job }),
  failWith: (step, reason, detail, cause) =>
    new DsqlMigrationError({
      reason,
      detail,
      migration: nameOf(migration),
      file: migration.kind === "sql" ? migration.file : undefined,
      line: lineOf(step, cause),
      position: step.position,
      statement: step.text,
      cause
    })
})

const runSql = (context: StepContext, { steps }: Migration & { readonly kind: "sql" }, tell: Tell) =>
  Effect.forEach(
    steps,
    (step) => {
      if (context.entries.get(step.position)?.state === "done") return tell(step, true)
      const execute = Effect.map(
        Effect.forEach(step.unit.statements, ({ text }) => context.sql.unsafe(text).raw),
        (results): Outcome => {
          const rows = (results.at(-1) as Result | undefined)?.rows ?? []
          return { value: rows, rows }
        }
      )
      return tell(step, false).pipe(Effect.zipRight(runStep(context, step, execute)), Effect.zipRight(tell(step, true)))
    },
    { discard: true }
  )

const runEffect = (context: StepContext, migration: Migration & { readonly kind: "effect" }, tell: Tell) =>
  Effect.gen(function* () {
    const transactions = yield* outside
    const derive = deriveOf(context.sql)
    if (derive === undefined) {
      return yield* new DsqlUnsupportedError({ feature: "migrations with a SqlClient of another package" })
    }
    const migrating = migratingClient(derive, transactions, context, tell)
    yield* migration.effect.pipe(
      Effect.provideService(SqlClient.SqlClient, migrating.sql),
      Effect.catchAllCause((cause) => {
        if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
        const error = Cause.squash(cause)
        return Effect.fail(
          migrating.failure() ??
            migrating.failed(error) ??
            new DsqlMigrationError({
              reason: "Failed",
              migration: nameOf(migration),
              detail: "the Effect failed by itself; mend that, then run again. Its statements up to here are done",
              cause: error
            })
        )
      })
    )
    // Whoever passed over an error of the journal must not go on.
    const failure = migrating.failure()
    if (failure !== undefined) return yield* failure
  })

type Tell = (step: Step, done: boolean) => Effect.Effect<void>

const runMigration = <R>(
  sql: SqlClient.SqlClient,
  lease: Lease,
  known: Known,
  migration: Migration,
  settings: RunSettings<R>
) => {
  const { id, name } = migration
  const context = contextFor(sql, lease, known, migration, settings)
  const of = migration.kind === "sql" ? migration.steps.length : undefined
  const tell: Tell = ({ position, text }, done) =>
    settings.onEvent({ _tag: "Statement", state: done ? "done" : "running", id, name, position, of, statement: text })
  return settings.onEvent({ _tag: "Started", id, name }).pipe(
    Effect.zipRight(Effect.logDebug("Running migration")),
    Effect.zipRight(migration.kind === "sql" ? runSql(context, migration, tell) : runEffect(context, migration, tell)),
    Effect.catchIf(
      (error) => error instanceof DsqlMigrationError,
      (error) => Effect.flatMap(withRule(error as DsqlMigrationError), Effect.fail)
    ),
    Effect.zipRight(context.journal.complete),
    Effect.zipRight(settings.onEvent({ _tag: "Finished", id, name })),
    Effect.annotateLogs({ migration_id: String(id), migration_name: name }),
    Effect.withSpan("DsqlMigrator.migration", {
      captureStackTrace: false,
      attributes: { "dsql.migration": nameOf(migration) }
    })
  )
}

const ruledBy = (
  { cause, detail, file, line, migration, position, reason, statement }: DsqlMigrationError,
  rule: string
): DsqlMigrationError =>
  new DsqlMigrationError({ cause, detail, file, line, migration, position, reason, statement, rule })

/** Names the rule by which a statement was refused, where the parser is installed that finds it. */
const withRule = (error: DsqlMigrationError): Effect.Effect<DsqlMigrationError> => {
  const { reason, statement } = error
  const cause = unwrap(error.cause)
  const sqlState = cause !== undefined && "server" in cause ? cause.server?.sqlState : undefined
  if ((reason !== "Refused" && reason !== "Statement") || statement === undefined) return Effect.succeed(error)
  const rules = Effect.map(loadJudge, (judge) =>
    readScript(statement).units.flatMap(({ statements }) =>
      statements.flatMap((one) => {
        const finding = judge(one)
        return finding?.rule !== undefined && finding.sqlState === sqlState ? [finding.rule] : []
      })
    )
  )
  return Effect.map(
    Effect.orElseSucceed(rules, () => []),
    ([rule]) => (rule === undefined ? error : ruledBy(error, rule))
  )
}

/** Everything that is known now, checked. */
export const survey = <R>(sql: SqlClient.SqlClient, tables: Tables, loader: Loader<R>) =>
  Effect.gen(function* () {
    const resolved = yield* resolve(loader)
    const known = yield* read(sql, tables)
    const applied = new Set(known.applied.map(({ id }) => id))
    const migrations = yield* loadAll(resolved, (id) => applied.has(id))
    return { known, migrations }
  })

type Ran = ReadonlyArray<readonly [id: number, name: string]>

/** Runs what is pending, waiting for whoever else does. Gives what was run here. */
export const run = <R>(
  settings: RunSettings<R>
): Effect.Effect<Ran, DsqlMigrationError | DsqlError, SqlClient.SqlClient | R> =>
  Effect.gen(function* () {
    yield* outside
    const sql = yield* SqlClient.SqlClient
    const { loader, onEvent, patience, tables } = settings
    const start = yield* Clock.currentTimeMillis
    const leaseOptions = { holder: settings.holder, duration: settings.lease, retry: settings.retry }
    const ran: Array<Ran[number]> = []
    let waited = false
    let lost: DsqlMigrationError | undefined
    for (;;) {
      const { known, migrations } = yield* survey(sql, tables, loader)
      const pending = yield* runnable(migrations, known)
      if (pending.length === 0) return ran
      yield* ensure(sql, tables)
      const outcome = yield* withLease(sql, tables, leaseOptions, (lease) =>
        Effect.gen(function* () {
          // Others may have run some of it until the lease was had.
          const now = yield* read(sql, tables)
          const pending = yield* runnable(migrations, now)
          for (const migration of pending) {
            yield* runMigration(sql, lease, now, migration, settings)
            ran.push([migration.id, migration.name])
          }
          return ran
        })
      ).pipe(
        // Whoever took over goes on from here, and is waited for as if it had come first.
        Effect.catchIf(
          (error) => error instanceof DsqlMigrationError && error.reason === "LeaseLost",
          (error) => {
            lost = error as DsqlMigrationError
            waited = false
            return Effect.as(Effect.logWarning("The lease on migrations was lost", lost), undefined)
          }
        )
      )
      if (outcome !== undefined) return outcome.result
      const holder = yield* holderOf(sql, tables)
      if (!waited) {
        waited = true
        yield* onEvent({ _tag: "Waiting", holder })
        yield* Effect.logDebug(`Waiting for ${holder ?? "another deployer"} to migrate`)
      }
      if ((yield* Clock.currentTimeMillis) - start > Duration.toMillis(patience)) {
        if (lost !== undefined) return yield* lost
        return yield* new DsqlMigrationError({
          reason: "LeaseTimeout",
          detail: `${holder ?? "another deployer"} has been migrating for longer than ${Duration.format(patience)}; look what it does, or wait longer (\`patience\`). A deployer that died lets go after ${Duration.format(settings.lease)}`
        })
      }
      yield* Effect.sleep(yield* Random.nextIntBetween(200, 600))
    }
  }).pipe(
    Effect.annotateLogs({ package: "effect-dsql", module: "Migrator" }),
    Effect.withSpan("DsqlMigrator.run", { captureStackTrace: false })
  )
