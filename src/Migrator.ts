/**
 * Migrations within the rules of DSQL. They take the loaders of `@effect/sql` and keep its history, so that a project can
 * switch by changing an import; and plain `.sql` files.
 *
 * Every statement that changes the schema is a transaction of its own, since DSQL allows no more, and every statement is
 * journaled before the next one begins. A run that stopped, by an error or a `kill -9`, goes on at the statement where it was.
 * Of several deployers at once one migrates, the others wait and then see it done.
 *
 * @since 0.1.0
 */
import type { FileSystem } from "@effect/platform/FileSystem"
import type * as SqlMigrator from "@effect/sql/Migrator"
import type { Loader, ResolvedMigration } from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hostname } from "node:os"
import { pid } from "node:process"
import type { RetryPolicy } from "./Config.js"
import type { DsqlConfigError, DsqlError } from "./Errors.js"
import { outside } from "./internal/alone.js"
import * as checks from "./internal/checks.js"
import type { DsqlMigrationError } from "./internal/migrator/error.js"
import { holderOf } from "./internal/migrator/lease.js"
import { fromFolder, sqlFile } from "./internal/migrator/load.js"
import * as planning from "./internal/migrator/plan.js"
import * as running from "./internal/migrator/run.js"
import { tablesOf } from "./internal/migrator/tables.js"
import { currentRepeatable } from "./internal/repeatable.js"
import type { WaitOptions } from "./Jobs.js"

export type { Loader, ResolvedMigration } from "@effect/sql/Migrator"
export { DsqlMigrationError } from "./internal/migrator/error.js"

/**
 * What happens while migrations run: waiting for another deployer, a migration that begins or is done, a statement of it, a
 * state of the job that a statement has started.
 *
 * @since 0.1.0
 * @category models
 */
export type MigrationEvent = running.MigrationEvent

/**
 * Which migrations, and where their history is kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface HistoryOptions<R = never> {
  readonly loader: Loader<R>
  /**
   * The table of the history, default `effect_sql_migrations` as in `@effect/sql`. Beside it stand `<table>_statements`, the
   * journal, and `<table>_lease`. All three are made when the first migration is run.
   */
  readonly table?: string | undefined
}

/**
 * How migrations are run.
 *
 * @since 0.1.0
 * @category models
 */
export interface MigratorOptions<R = never> extends HistoryOptions<R> {
  /** Taken for the sake of code written for `PgMigrator`, and not used: `pg_dump` does not work on DSQL. */
  readonly schemaDirectory?: string | undefined
  /**
   * How long a deployer keeps the lease without a sign of life, by the clock of the service. It gives one four times in that
   * time; when it has died, the next one takes over after it. Default 30 seconds, from 1 second to 1 hour.
   */
  readonly lease?: Duration.DurationInput | undefined
  /** How long another deployer is waited for. Default 30 minutes, from 1 second to 1 day. */
  readonly patience?: Duration.DurationInput | undefined
  /** How statements and journal entries are run again. Default: the layer's `retry` option. */
  readonly retry?: RetryPolicy | undefined
  /** How the jobs are waited for that statements start. Default: without a timeout. */
  readonly jobs?: WaitOptions | undefined
  /** What others are told that wait for this deployer. Default: host and process id. */
  readonly holder?: string | undefined
  /** Told what happens. */
  readonly onEvent?: ((event: MigrationEvent) => Effect.Effect<void>) | undefined
}

const tablesFor = ({ table = "effect_sql_migrations" }: HistoryOptions<unknown>) => tablesOf(table)

/**
 * Runs all migrations that have not run yet, and gives those that were run here: none when everything was done already, or
 * by another deployer.
 *
 * Fails with `DsqlMigrationError`, which names file, line and statement and says what to do next; with our error when the
 * database cannot be reached; inside of a transaction, or with a client of another package, with our error for that.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import { DsqlLive, DsqlMigrator } from "effect-dsql"
 *
 * export const migrate = DsqlMigrator.run({ loader: DsqlMigrator.fromFileSystem("migrations") }).pipe(
 *   Effect.tap((ran) => Effect.logInfo(`${ran.length} migrations`)),
 *   Effect.provide([DsqlLive, NodeContext.layer])
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <R = never>(
  options: MigratorOptions<R>
): Effect.Effect<
  ReadonlyArray<readonly [id: number, name: string]>,
  DsqlMigrationError | DsqlError,
  SqlClient.SqlClient | R
> =>
  Effect.gen(function* () {
    const lease = yield* checks.duration("lease", options.lease, "30 seconds", { least: "1 second", most: "1 hour" })
    const patience = yield* checks.duration("patience", options.patience, "30 minutes", {
      least: "1 second",
      most: "1 day"
    })
    const transactions = yield* outside
    yield* checks.retry(options.retry, transactions.retry, "retry.")
    return yield* running.run({
      loader: options.loader,
      tables: tablesFor(options),
      holder: options.holder ?? `${hostname()} (process ${pid})`,
      lease,
      patience,
      retry: options.retry,
      jobs: options.jobs ?? {},
      onEvent: options.onEvent ?? (() => Effect.void)
    })
  })

/**
 * The same as a layer, for programs that migrate when they start.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: MigratorOptions<R>
): Layer.Layer<never, DsqlMigrationError | DsqlError, SqlClient.SqlClient | R> => Layer.effectDiscard(run(options))

/**
 * A migration, and how far it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface MigrationStatus {
  readonly id: number
  readonly name: string
  /** `partial`: some of its statements have run. `missing`: it ran, but is not among the migrations. */
  readonly state: "applied" | "partial" | "pending" | "missing"
  readonly appliedAt: Date | undefined
  /** Statements that have run. */
  readonly done: number
  /** Statements that it has; `undefined` for an Effect, which does not say before it runs. */
  readonly of: number | undefined
  /**
   * Whether `run` notices that it was edited after it ran. `false` for an Effect that is applied: what it would run now can
   * only be known by running it, and its source says too little, since it takes values from elsewhere and is compiled in many
   * ways. (One that goes on where it stopped is checked while it does.) `false` as well for what `@effect/sql` has run, which
   * keeps no journal, and for what is missing.
   */
  readonly checked: boolean
}

/**
 * How far a database is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  readonly migrations: ReadonlyArray<MigrationStatus>
  /** Who is migrating now, if anybody is. */
  readonly holder: string | undefined
  /** Why `run` would do nothing: it fails with the first. */
  readonly problems: ReadonlyArray<DsqlMigrationError>
}

/**
 * How far a database is. Changes nothing, and needs no table to be there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const status = <R = never>(
  options: HistoryOptions<R>
): Effect.Effect<Status, DsqlMigrationError | DsqlError, SqlClient.SqlClient | R> =>
  Effect.gen(function* () {
    yield* outside
    const sql = yield* SqlClient.SqlClient
    const tables = tablesFor(options)
    const { known, migrations } = yield* running.survey(sql, tables, options.loader)
    const holder = yield* holderOf(sql, tables).pipe(
      Effect.catchTag("DsqlQueryError", (error) =>
        error.sqlState === "42P01" || error.sqlState === "3F000" ? Effect.succeed(undefined) : Effect.fail(error)
      )
    )
    return { ...planning.statusOf(migrations, known), holder }
  })

/**
 * A statement that is to be run.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlannedStatement {
  /** Which of its migration, counted from 1. */
  readonly position: number
  readonly line: number | undefined
  readonly statement: string
  /** What the service would refuse in it. */
  readonly refusal: Refusal | undefined
}

/**
 * Why a statement would be refused.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  /** The rule, as docs/local-cluster-rules.md lists them; `undefined` for what is no SQL of PostgreSQL 16. */
  readonly rule: string | undefined
  readonly sqlState: string
  /** What the service would say. */
  readonly message: string
}

/**
 * A migration that is to be run.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlannedMigration {
  readonly id: number
  readonly name: string
  readonly file: string | undefined
  /** Those that have not run yet; `undefined` for an Effect, whose statements are only known when it runs. */
  readonly statements: ReadonlyArray<PlannedStatement> | undefined
}

/**
 * What is to be run, and everything that stands against it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Plan {
  /** With all their statements, also those of files that cannot be run as they stand. */
  readonly migrations: ReadonlyArray<PlannedMigration>
  /** Why `run` would do nothing: it fails with the first. What only DSQL refuses is told with its statement. */
  readonly problems: ReadonlyArray<DsqlMigrationError>
}

/**
 * What `run` would do: every statement that is to be run, which of them DSQL would refuse and by which rule, and all that is
 * wrong with the migrations. Reads the database to see what has run, and changes nothing. Needs the optional peer
 * `libpg-query`; without it, a `DsqlConfigError` gives the line that installs it. Fails with `DsqlMigrationError` only when
 * the migrations cannot be listed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const plan = <R = never>(
  options: HistoryOptions<R>
): Effect.Effect<Plan, DsqlMigrationError | DsqlError | DsqlConfigError, SqlClient.SqlClient | R> =>
  Effect.gen(function* () {
    yield* outside
    const { known, migrations } = yield* running.survey(yield* SqlClient.SqlClient, tablesFor(options), options.loader)
    return yield* planning.planOf(migrations, known)
  })

/**
 * Loads the migrations of a folder: modules as in `@effect/sql`, `0001_add_users.ts` with an Effect as their default export,
 * and files of SQL, `0002_add_orders.sql`. Files of other names are passed over.
 *
 * In a file of SQL, statements between BEGIN and COMMIT that change rows run together; all others run one by one.
 *
 * @since 0.1.0
 * @category loaders
 */
export const fromFileSystem = (directory: string): Loader<FileSystem> =>
  // The type of the loaders knows only the error of @effect/sql; `run` gives ours.
  Effect.promise(() => import("@effect/platform/FileSystem")).pipe(
    Effect.flatMap(({ FileSystem }) => FileSystem),
    Effect.flatMap((fs) => fromFolder(fs, directory))
  ) as unknown as Loader<FileSystem>

/** Imported when a loader is asked, since it brings `effect/Schema` along, as `internal/sqlError.ts` says. */
const loaders = Effect.promise(() => import("@effect/sql/Migrator"))

/**
 * The loader of `@effect/sql` for what Vite's `import.meta.glob` gives.
 *
 * @since 0.1.0
 * @category loaders
 */
export const fromGlob: typeof SqlMigrator.fromGlob = (migrations) =>
  Effect.flatMap(loaders, ({ fromGlob }) => fromGlob(migrations))

/**
 * The loader of `@effect/sql` for what Babel's glob imports give.
 *
 * @since 0.1.0
 * @category loaders
 */
export const fromBabelGlob: typeof SqlMigrator.fromBabelGlob = (migrations) =>
  Effect.flatMap(loaders, ({ fromBabelGlob }) => fromBabelGlob(migrations))

/**
 * The loader of `@effect/sql` for Effects by name: `{ "0001_add_users": Effect.gen(…) }`.
 *
 * @since 0.1.0
 * @category loaders
 */
export const fromRecord: typeof SqlMigrator.fromRecord = (migrations) =>
  Effect.flatMap(loaders, ({ fromRecord }) => fromRecord(migrations))

/**
 * Loads migrations from texts of SQL, under the names that their files would have: `{ "0001_add_users": "CREATE TABLE …" }`.
 * Such as have been bundled, or are made by a program.
 *
 * @since 0.1.0
 * @category loaders
 */
export const fromSql = (migrations: Readonly<Record<string, string>>): Loader =>
  Effect.succeed(
    Object.entries(migrations).flatMap(([key, text]): ReadonlyArray<ResolvedMigration> => {
      const [, id, name] = /^(?:.*\/)?(\d+)_([^.]+)(?:\.sql)?$/.exec(key) ?? []
      return id === undefined || name === undefined ? [] : [[Number(id), name, sqlFile(key, Effect.succeed(text))]]
    })
  )

/**
 * Marks a part of a migration that may run again without harm. Its statements are not journaled; when the migration goes on
 * after it was stopped, it runs from its beginning. `DsqlBatch` is such by itself.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlMigrator } from "effect-dsql"
 *
 * export const migration = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`CREATE TABLE setting (name text PRIMARY KEY, value text, since timestamptz)`
 *   yield* sql`INSERT INTO setting VALUES ('theme', 'dark', ${new Date()}) ON CONFLICT DO NOTHING`.pipe(
 *     DsqlMigrator.repeatable
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const repeatable = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.locally(effect, currentRepeatable, true)
