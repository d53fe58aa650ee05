/** Batches, each in a transaction of its own: run again, split and settled until all are done or one cannot be. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { BatchOptions, Progress } from "../Batch.js"
import type { LimitReason } from "../core/serverError.js"
import type { DsqlError } from "../Errors.js"
import { type DsqlConfigError, refine, unwrap } from "../Errors.js"
import { DsqlBatchError } from "./batchError.js"
import { outside } from "./alone.js"
import * as checks from "./checks.js"
import { currentRepeatable } from "./repeatable.js"
import * as retry from "./retry.js"
import type { Transactions } from "./transaction.js"

type Failure = SqlError | DsqlError

/** How a batch gets into its table. */
export interface Writer<A> {
  /** Gives how many rows it wrote. */
  readonly write: (rows: ReadonlyArray<A>) => Effect.Effect<number, Failure>
  /**
   * After a COMMIT whose answer was lost: how many rows it wrote, or `None` when it had no effect or may be run again.
   * Without it nobody can tell.
   */
  readonly verify?: ((rows: ReadonlyArray<A>) => Effect.Effect<Option.Option<number>, Failure>) | undefined
  /**
   * Whether it is a single statement, which commits by itself and needs no transaction around it: that saves two round
   * trips. Default: it is.
   */
  readonly isOneStatement?: ((rows: ReadonlyArray<A>) => boolean) | undefined
  /** The column by which a row differs from the others, if one does. */
  readonly differentColumn?: ((rows: ReadonlyArray<A>) => string | undefined) | undefined
}

interface Settings {
  readonly transactions: Transactions
  readonly name: string
  readonly policy: retry.Policy
}

interface Failed {
  readonly error?: Failure
  readonly column?: string
}

interface Done {
  readonly written: number
  readonly transactions: number
}

/** Fewer rows help against these. */
const splittable: ReadonlySet<LimitReason> = new Set(["Rows", "Size", "Age", "Parameters"])

/** One batch, and its halves when it turns out to be too much for a transaction. */
const runBatch = <A>(writer: Writer<A>, rows: ReadonlyArray<A>, settings: Settings): Effect.Effect<Done, Failure> =>
  Effect.suspend(() => {
    const { verify } = writer
    let doubtful = false
    const found = verify === undefined ? undefined : Effect.suspend(() => ((doubtful = true), verify(rows)))
    const { transactions, ...options } = settings
    const written: Effect.Effect<number, Failure> =
      writer.isOneStatement?.(rows) === false
        ? retry.transact(transactions, refine(writer.write(rows)), Effect.fail<DsqlError>, {
            ...options,
            verify: found
          })
        : retry.statement(transactions, writer.write(rows), { ...options, verify: found })
    return written.pipe(
      Effect.map((written): Done => ({ written, transactions: 1 })),
      Effect.catchAll((error) => {
        const cause = unwrap(error)
        // A COMMIT that was lost and that nothing was found of has arrived in the meantime.
        if (doubtful && verify !== undefined && cause?._tag === "DsqlConstraintError" && cause.reason === "Unique") {
          return Effect.flatMap(
            verify(rows),
            Option.match({
              onNone: () => Effect.fail(error),
              onSome: (written) => Effect.succeed({ written, transactions: 1 })
            })
          )
        }
        if (cause?._tag !== "DsqlLimitError" || !splittable.has(cause.reason) || rows.length === 1) {
          return Effect.fail(error)
        }
        const half = Math.ceil(rows.length / 2)
        return Effect.zipWith(
          runBatch(writer, rows.slice(0, half), settings),
          runBatch(writer, rows.slice(half), settings),
          (first, second) => ({
            written: first.written + second.written,
            transactions: first.transactions + second.transactions
          })
        )
      })
    )
  })

/** The service's limit (AWS quotas page). */
const mostRows = 3000

export const checkRows = (maxRows = 1000): Either.Either<number, DsqlConfigError> =>
  checks.integer("maxRows", maxRows, 1, mostRows)

/** A source's own failure passes as it is; one of our reading it does not know how far the batches have come. */
export const run = <A, E, R, E2 = never, R2 = never>(
  batches: Stream.Stream<ReadonlyArray<A>, E, R>,
  writer: Writer<A>,
  { concurrency = 4, onProgress, table, ...options }: BatchOptions<A, E2, R2>
): Effect.Effect<Progress<A>, E | E2 | DsqlBatchError | DsqlError, R | R2 | SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const transactions = yield* outside
    const { maxAge: _, ...policy } = yield* checks.retry(options.retry, transactions.retry, "retry.")
    const settings = { transactions, policy, name: options.name ?? `batch ${table}` }
    const atOnce = yield* checks.integer("concurrency", concurrency, 1, 1000)
    let progress: Progress<A> = { rows: 0, written: 0, transactions: 0, last: undefined }
    const advance = (rows: ReadonlyArray<A>, { transactions, written }: Done): Progress<A> => ({
      rows: progress.rows + rows.length,
      written: progress.written + written,
      transactions: progress.transactions + transactions,
      last: rows.at(-1)
    })
    const failed = (rows: ReadonlyArray<A>, { column, error }: Failed): DsqlBatchError => {
      const cause = unwrap(error)
      const { last, rows: done } = progress
      const reason = column !== undefined ? "Columns" : retry.isInDoubt(cause) ? "OutcomeUnknown" : "Failed"
      return new DsqlBatchError({ reason, table, from: done + 1, to: done + rows.length, last, column, cause })
    }
    const attempt = (rows: ReadonlyArray<A>): Effect.Effect<Either.Either<Done, Failed>> => {
      const column = writer.differentColumn?.(rows)
      return column === undefined
        ? runBatch(writer, rows, settings).pipe(
            Effect.mapError((error): Failed => ({ error })),
            Effect.either
          )
        : Effect.succeed(Either.left({ column }))
    }
    yield* batches.pipe(
      // The next ones are put together while the server is at work.
      Stream.buffer({ capacity: atOnce }),
      // Their outcomes come in the order of the source, so that no batch behind a failed one is told of.
      Stream.mapEffect((rows) => Effect.map(attempt(rows), (outcome) => ({ outcome, rows })), { concurrency: atOnce }),
      Stream.runForEach(({ outcome, rows }): Effect.Effect<unknown, E2 | DsqlBatchError, R2> => {
        if (outcome._tag === "Left") return Effect.fail(failed(rows, outcome.left))
        progress = advance(rows, outcome.right)
        return onProgress === undefined ? Effect.void : onProgress(progress)
      })
    )
    return progress
  }).pipe(
    Effect.locally(currentRepeatable, true),
    Effect.withSpan("DsqlBatch.run", { captureStackTrace: false, attributes: { "db.collection.name": table } })
  )
