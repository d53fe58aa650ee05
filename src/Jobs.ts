/**
 * The asynchronous jobs of DSQL: indexes are built and constraints validated in the background, and the statement that
 * starts such a job gives its id at once.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { RetryPolicy } from "./Config.js"
import type { DsqlError } from "./Errors.js"
import { ask, ours, outside } from "./internal/alone.js"
import * as checks from "./internal/checks.js"
import { DsqlJobError } from "./internal/jobError.js"
import { retryStatement } from "./Transaction.js"

export { DsqlJobError } from "./internal/jobError.js"

/**
 * A job as `sys.jobs` has it. `objectName` is what it works on, with its schema, where the service still says so.
 *
 * @since 0.1.0
 * @category models
 */
export interface Job {
  readonly jobId: string
  readonly status: "submitted" | "processing" | "completed" | "failed"
  /** `INDEX_BUILD` for an index. */
  readonly jobType: string
  readonly objectName: string | undefined
  /** Why it failed. */
  readonly details: string | undefined
  readonly startTime: Date
  readonly updateTime: Date
}

/**
 * How a job is looked at.
 *
 * @since 0.1.0
 * @category models
 */
export interface WatchOptions {
  /** The longest time between two looks; the first come sooner. Default 1 second, from 1 millisecond to 1 minute. */
  readonly interval?: Duration.DurationInput | undefined
}

/**
 * How a job is waited for.
 *
 * @since 0.1.0
 * @category models
 */
export interface WaitOptions extends WatchOptions {
  /**
   * When to give up; the job goes on. Default: never. Eleven million rows took the service 12 minutes, a small table takes
   * it up to a minute (measured by others).
   */
  readonly timeout?: Duration.DurationInput | undefined
}

interface JobRow {
  readonly job_id: string
  readonly status: Job["status"]
  readonly job_type: string
  readonly object_name: string | null
  readonly details: string | null
  readonly start_time: Date
  readonly update_time: Date
}

const orUndefined = (text: string | null): string | undefined => (text === null || text === "" ? undefined : text)

const look = (jobId: string): Effect.Effect<Job, DsqlJobError | DsqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* ask(
      sql<JobRow>`SELECT job_id, status, job_type, object_name, details, start_time, update_time FROM sys.jobs WHERE job_id = ${jobId}`
        .withoutTransform,
      { name: "job" }
    )
    const [row] = rows
    if (row === undefined) return yield* new DsqlJobError({ reason: "NotFound", jobId })
    return {
      jobId,
      status: row.status,
      jobType: row.job_type,
      objectName: orUndefined(row.object_name),
      details: orUndefined(row.details),
      startTime: row.start_time,
      updateTime: row.update_time
    }
  })

const isOver = ({ status }: Job): boolean => status === "completed" || status === "failed"

/**
 * The states of a job, from the present one to its end, which may be `failed`. Fails with `DsqlJobError` (`NotFound`) when
 * the service does not know it, and with what statements fail with.
 *
 * @example
 * ```ts
 * import { Console, Stream } from "effect"
 * import { DsqlJobs } from "effect-dsql"
 *
 * export const follow = (jobId: string) =>
 *   Stream.runForEach(DsqlJobs.watch(jobId), ({ objectName, status }) => Console.log(`${objectName}: ${status}`))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const watch = (
  jobId: string,
  options: WatchOptions = {}
): Stream.Stream<Job, DsqlJobError | DsqlError, SqlClient.SqlClient> =>
  Stream.unwrap(
    Effect.map(
      checks.duration("interval", options.interval, "1 second", { least: "1 millis", most: "1 minute" }),
      (most) =>
        Stream.repeatEffectWithSchedule(
          look(jobId),
          Schedule.union(Schedule.exponential(Duration.min(most, "50 millis"), 1.5), Schedule.spaced(most))
        ).pipe(
          Stream.takeUntil(isOver),
          Stream.changesWith((one, other) => one.status === other.status)
        )
    )
  )

/**
 * Waits until a job is completed. Fails with `DsqlJobError`: when the job failed, when it is not known, and when the timeout
 * is over.
 *
 * @since 0.1.0
 * @category constructors
 */
export const wait = (
  jobId: string,
  options?: WaitOptions
): Effect.Effect<Job, DsqlJobError | DsqlError, SqlClient.SqlClient> => follow(jobId, options, () => Effect.void)

const follow = (
  jobId: string,
  { timeout, ...options }: WaitOptions = {},
  tell: (job: Job) => Effect.Effect<void>
): Effect.Effect<Job, DsqlJobError | DsqlError, SqlClient.SqlClient> => {
  const ended = watch(jobId, options).pipe(
    Stream.tap(tell),
    Stream.runLast,
    Effect.flatMap((last): Effect.Effect<Job, DsqlJobError> => {
      const job = Option.getOrThrow(last)
      const { details, jobType, objectName } = job
      return job.status === "completed"
        ? Effect.succeed(job)
        : Effect.fail(new DsqlJobError({ reason: "Failed", jobId, jobType, objectName, details }))
    }),
    Effect.withSpan("DsqlJobs.wait", { captureStackTrace: false, attributes: { "dsql.job_id": jobId } })
  )
  return timeout === undefined
    ? ended
    : Effect.timeoutFail(ended, {
        duration: timeout,
        onTimeout: () => new DsqlJobError({ reason: "Timeout", jobId })
      })
}

/**
 * Drops the index that a failed job has left behind, and gives its name.
 *
 * @internal
 */
export const dropInvalidIndex = (jobId: string): Effect.Effect<string | undefined, DsqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const found = yield* ask(
      sql<{ name: string }>`
        SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
        FROM sys.jobs j
        JOIN pg_index i ON i.indexrelid = j.object_id
        JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE j.job_id = ${jobId} AND NOT i.indisvalid`.withoutTransform,
      { name: "job" }
    )
    const name = found[0]?.name
    if (name !== undefined) yield* ask(sql.unsafe(`DROP INDEX IF EXISTS ${name}`), { name: "job" })
    return name
  })

/**
 * Waits for a job, and takes away the INVALID index of one that failed.
 *
 * @internal
 */
export const waitForIndex = (
  jobId: string,
  options?: WaitOptions,
  tell: (job: Job) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Job, DsqlJobError | DsqlError, SqlClient.SqlClient> =>
  Effect.catchTag(follow(jobId, options, tell), "DsqlJobError", (error) =>
    error.reason === "Failed"
      ? Effect.flatMap(dropInvalidIndex(jobId), (dropped) =>
          Effect.fail(new DsqlJobError({ ...error, jobId, dropped }))
        )
      : Effect.fail(error)
  )

/** What every call that starts a job can be told. */
interface StartOptions extends WaitOptions {
  /** `false` gives the job as it is after the start. Default: it is waited for. */
  readonly wait?: boolean | undefined
  /** How the statement is run again after a conflict, with a change of the schema (OC001) for instance. */
  readonly retry?: RetryPolicy | undefined
}

/**
 * An index to be built.
 *
 * @since 0.1.0
 * @category models
 */
export interface IndexOptions extends StartOptions {
  /** The table, as `sql(…)` takes names. */
  readonly table: string
  /** Columns by name, or expressions: `sql\`lower(name)\``. No parameters. At most 8 (AWS quotas page). */
  readonly columns: ReadonlyArray<string | Statement.Fragment>
  /** Default: one that the service makes. It stands in the schema of its table, so it has none of its own. */
  readonly name?: string | undefined
  /** Default `false`. */
  readonly unique?: boolean | undefined
  /** With `unique`: whether NULLs count as equal. Default `false`. */
  readonly nullsNotDistinct?: boolean | undefined
  /** Columns that are kept in the index without being a part of its key. */
  readonly include?: ReadonlyArray<string> | undefined
  /** Only rows that this holds for are in the index. No parameters. */
  readonly where?: Statement.Fragment | undefined
  /** Does nothing, and gives `None`, if there is an index of this `name`. Default `false`. */
  readonly ifNotExists?: boolean | undefined
}

const start = (
  statement: Statement.Statement<{ readonly job_id: string }>,
  name: string,
  { retry, wait: waits = true, ...options }: StartOptions,
  waiting: typeof wait
): Effect.Effect<Option.Option<Job>, DsqlJobError | DsqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    yield* outside
    const rows = yield* ours(retryStatement(statement.withoutTransform, { ...retry, name }))
    const jobId = rows[0]?.job_id
    return jobId === undefined ? Option.none() : Option.some(yield* waits ? waiting(jobId, options) : look(jobId))
  })

/**
 * Builds an index, and waits until it can be used. `None` if there was one already (`ifNotExists`).
 *
 * Fails with `DsqlJobError` when the job does: a unique index over duplicates, for instance. The INVALID index that the
 * service leaves behind then is dropped first.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlJobs } from "effect-dsql"
 *
 * export const indexes = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* DsqlJobs.createIndex({ name: "owner_email", table: "owner", columns: [sql`lower(email)`], unique: true })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const createIndex = (
  options: IndexOptions
): Effect.Effect<Option.Option<Job>, DsqlJobError | DsqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* checks.columns("columns", options.columns)
    const { columns, ifNotExists, include = [], name, nullsNotDistinct, table, unique, where } = options
    const when = (holds: boolean | undefined, text: string) => sql.literal(holds === true ? text : "")
    const keys = columns.map((column) => (Statement.isFragment(column) ? sql`(${column})` : sql`${sql(column)}`))
    const included =
      include.length === 0 ? sql`` : sql` INCLUDE (${sql.csv(include.map((column) => sql`${sql(column)}`))})`
    const condition = where === undefined ? sql`` : sql` WHERE ${where}`
    const statement = sql<{
      readonly job_id: string
    }>`CREATE ${when(unique, "UNIQUE ")}INDEX ASYNC ${when(ifNotExists, "IF NOT EXISTS ")}${
      name === undefined ? sql`` : sql`${sql(name)} `
    }ON ${sql(table)} (${sql.csv(keys)})${included}${when(nullsNotDistinct, " NULLS NOT DISTINCT")}${condition}`
    return yield* start(statement, `index ${name ?? table}`, options, waitForIndex)
  })

/**
 * A constraint to be validated.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConstraintOptions extends StartOptions {
  /** The table, as `sql(…)` takes names. */
  readonly table: string
  readonly constraint: string
}

/**
 * Validates a constraint that was added NOT VALID, and waits until that is done. Fails with `DsqlJobError` when a row
 * violates it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const validateConstraint = (
  options: ConstraintOptions
): Effect.Effect<Option.Option<Job>, DsqlJobError | DsqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    start(
      sql<{
        readonly job_id: string
      }>`ALTER TABLE ASYNC ${sql(options.table)} VALIDATE CONSTRAINT ${sql(options.constraint)}`,
      `constraint ${options.constraint}`,
      options,
      wait
    )
  )
