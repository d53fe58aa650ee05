/** One statement with its entry in the journal, from wherever it was left. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { RetryPolicy } from "../../Config.js"
import { type Trace, traceOf } from "../../core/catalogTraces.js"
import { tokenize, isSignificant } from "../../core/lexer.js"
import { type DsqlError, isDsqlError } from "../../Errors.js"
import { type Job, type WaitOptions, waitForIndex } from "../../Jobs.js"
import { ours, outside } from "../alone.js"
import * as checks from "../checks.js"
import { DsqlJobError } from "../jobError.js"
import * as retry from "../retry.js"
import { DsqlMigrationError } from "./error.js"
import { isPresent, isValidIndex, type Journal, jobOfIndex } from "./journal.js"
import type { Lease } from "./lease.js"
import type { Entry, Step } from "./model.js"

/** What a statement gave. */
export interface Outcome {
  /** As the caller of the statement gets it. */
  readonly value: unknown
  readonly rows: ReadonlyArray<unknown>
}

type Failure = DsqlMigrationError | DsqlError

export interface StepContext {
  readonly sql: SqlClient.SqlClient
  readonly lease: Lease
  readonly journal: Journal
  readonly retry: RetryPolicy | undefined
  readonly jobs: WaitOptions
  /** The entries of the migration when this run began, by position. */
  readonly entries: ReadonlyMap<number, Entry>
  readonly onJob: (step: Step, job: Job) => Effect.Effect<void>
  readonly failWith: (
    step: Step,
    reason: DsqlMigrationError["reason"],
    detail: string,
    cause?: unknown
  ) => DsqlMigrationError
}

const name = "migrations"

const traceOfText = (text: string): Trace => traceOf(tokenize(text).filter(isSignificant))

const failed = ({ failWith }: StepContext, step: Step, error: Failure): DsqlMigrationError => {
  if (error instanceof DsqlMigrationError) return error
  return error._tag === "DsqlUnsupportedError"
    ? failWith(step, "Refused", "DSQL refuses this statement; write it otherwise, then run again", error)
    : failWith(step, "Statement", "this statement failed; mend what is said here, then run again", error)
}

const uncertain = ({ failWith, journal }: StepContext, step: Step, cause?: unknown): DsqlMigrationError =>
  failWith(
    step,
    "Uncertain",
    `nobody knows whether this statement took effect, because its process or connection died while it ran. Look in the database whether it has. ${journal.remedy(step)}`,
    cause
  )

/** The id of the job that a statement has started, which is all that it gives then. */
const jobOf = ({ rows }: Outcome): string | undefined => {
  const [row] = rows
  if (typeof row !== "object" || row === null) return undefined
  const [jobId, ...others] = Object.values(row as object) as ReadonlyArray<unknown>
  return others.length === 0 && typeof jobId === "string" && /^[a-z2-7]{26}$/.test(jobId) ? jobId : undefined
}

const jobFailed = (
  context: StepContext,
  step: Step,
  error: Failure | DsqlJobError
): Effect.Effect<never, Failure, SqlClient.SqlClient> => {
  if (!(error instanceof DsqlJobError)) return Effect.fail(error)
  if (error.reason !== "Failed") {
    return Effect.fail(
      context.failWith(step, "Job", "its job did not come to an end; run again to go on waiting for it", error)
    )
  }
  // The next run is to start it anew.
  return Effect.zipRight(
    context.journal.forget(step),
    Effect.fail(context.failWith(step, "Job", "its job failed; mend what is said here, then run again", error))
  )
}

/** A job of which only the index or constraint is left to tell. */
const settleForgotten = (context: StepContext, step: Step, trace: Trace, error: DsqlJobError) =>
  Effect.gen(function* () {
    if (trace._tag === "object" && trace.object.kind === "index" && (yield* isValidIndex(context.sql, trace.object)))
      return
    if (trace._tag === "object" && trace.object.kind === "validated" && (yield* isPresent(context.sql, trace.object)))
      return
    return yield* uncertain(context, step, error)
  })

const followJob = (
  context: StepContext,
  step: Step,
  trace: Trace,
  jobId: string
): Effect.Effect<void, Failure, SqlClient.SqlClient> =>
  waitForIndex(jobId, context.jobs, (job) => context.onJob(step, job)).pipe(
    Effect.asVoid,
    Effect.catchAll((error): Effect.Effect<void, Failure, SqlClient.SqlClient> =>
      error instanceof DsqlJobError && error.reason === "NotFound"
        ? settleForgotten(context, step, trace, error)
        : jobFailed(context, step, error)
    )
  )

/** A statement whose process died behind it: its job is looked for, if it has one. */
const resumeBehind = (context: StepContext, step: Step, trace: Trace & { readonly _tag: "object" }) =>
  Effect.gen(function* () {
    const { object } = trace
    if (object.kind !== "index" || (yield* isValidIndex(context.sql, object))) return
    const jobId = yield* jobOfIndex(context.sql, object)
    if (Option.isNone(jobId)) return yield* uncertain(context, step)
    yield* context.journal.startJob(step, jobId.value)
    yield* followJob(context, step, trace, jobId.value)
  })

/** Runs what commits by itself, however its answer is lost. `before`: whether what it leaves was there before it. */
const runByItself = (
  context: StepContext,
  step: Step,
  trace: Trace,
  before: boolean | undefined,
  execute: Effect.Effect<Outcome, SqlError, SqlClient.SqlClient>
): Effect.Effect<Outcome | undefined, Failure, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const { sql } = context
    const transactions = yield* outside
    const { maxAge: _, ...policy } = yield* checks.retry(context.retry, transactions.retry, "retry.")
    let doubtful = false
    const tookEffect =
      trace._tag === "object" && before !== trace.present
        ? Effect.map(isPresent(sql, trace.object), (now) => now === trace.present)
        : Effect.succeed(false)
    const verify =
      trace._tag === "unknown"
        ? undefined
        : Effect.suspend(() => {
            doubtful = true
            return Effect.map(tookEffect, (is) => (is ? Option.some(undefined) : Option.none()))
          })
    return yield* ours(retry.statement(transactions, execute, { name, policy, verify })).pipe(
      Effect.catchAll((error) =>
        Effect.gen(function* () {
          if (retry.isInDoubt(error)) return yield* uncertain(context, step, error)
          // What was in doubt, and seemed to have had no effect, had one after all.
          if (doubtful && (yield* tookEffect)) return undefined
          yield* context.journal.forget(step)
          return yield* Effect.fail(error)
        })
      )
    )
  })

/** A statement that no transaction can hold together with its entry: the entry comes first, and is finished afterwards. */
const stepByItself = (
  context: StepContext,
  step: Step,
  execute: Effect.Effect<Outcome, SqlError, SqlClient.SqlClient>
): Effect.Effect<unknown, Failure, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const { journal, sql } = context
    const trace = traceOfText(step.text)
    const entry = context.entries.get(step.position)
    const finished = (outcome: Outcome | undefined, jobId: string | undefined) =>
      Effect.as(journal.finish(step, jobId === undefined && (outcome?.rows.length ?? 0) > 0), outcome?.value ?? [])
    if (entry?.jobId !== undefined) {
      yield* followJob(context, step, trace, entry.jobId)
      return yield* finished(undefined, entry.jobId)
    }
    const before = entry === undefined && trace._tag === "object" ? yield* isPresent(sql, trace.object) : entry?.before
    if (entry !== undefined) {
      if (trace._tag === "unknown") return yield* uncertain(context, step)
      if (
        trace._tag === "object" &&
        before !== trace.present &&
        (yield* isPresent(sql, trace.object)) === trace.present
      ) {
        yield* resumeBehind(context, step, trace)
        return yield* finished(undefined, undefined)
      }
    }
    yield* journal.begin(step, before)
    const outcome = yield* runByItself(context, step, trace, before, execute)
    if (outcome === undefined && trace._tag === "object") yield* resumeBehind(context, step, trace)
    const jobId = outcome === undefined ? undefined : jobOf(outcome)
    if (jobId !== undefined) {
      yield* journal.startJob(step, jobId)
      yield* followJob(context, step, trace, jobId)
    }
    return yield* finished(outcome, jobId)
  })

/** What changes rows: in one transaction with its entry, so that both are there or neither. */
const stepInTransaction = (
  context: StepContext,
  step: Step,
  execute: Effect.Effect<Outcome, SqlError, SqlClient.SqlClient>
): Effect.Effect<unknown, Failure, SqlClient.SqlClient> =>
  Effect.suspend(() => {
    let last: Outcome | undefined
    const body = Effect.tap(execute, (outcome) => {
      last = outcome
      return context.journal.writeDone(step, outcome.rows.length > 0)
    })
    const verify = Effect.map(context.journal.isDone(step), (done) => (done ? Option.some(last!) : Option.none()))
    return Effect.map(context.lease.fenced(body, verify), ({ value }) => value)
  })

/** Runs a step that is not done yet. */
export const runStep = (
  context: StepContext,
  step: Step,
  execute: Effect.Effect<Outcome, SqlError, SqlClient.SqlClient>
): Effect.Effect<unknown, DsqlMigrationError | DsqlError, SqlClient.SqlClient> => {
  const entered = context.entries.get(step.position)
  const run =
    step.kind === "write" && entered === undefined
      ? Effect.catchIf(
          stepInTransaction(context, step, execute),
          // As many rows as a transaction may have leave no room for the entry.
          (error): error is DsqlError =>
            isDsqlError(error) && error._tag === "DsqlLimitError" && error.reason === "Rows",
          () => stepByItself(context, step, execute)
        )
      : stepByItself(context, step, execute)
  return Effect.mapError(run, (error) => failed(context, step, error))
}
