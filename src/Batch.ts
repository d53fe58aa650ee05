/**
 * Writing more rows than a transaction of DSQL can hold: 3,000 rows and 10 MiB (AWS quotas page). Rows come as a `Stream` of
 * any size, or are those of a range of keys; each batch is a transaction of its own, run again when it loses a conflict and
 * split when the service still says that it is too much.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { RetryPolicy } from "./Config.js"
import type { DsqlError } from "./Errors.js"
import { ask } from "./internal/alone.js"
import type { DsqlBatchError } from "./internal/batchError.js"
import { Batcher, findDifferentColumn } from "./internal/batching.js"
import * as batchRun from "./internal/batchRun.js"
import * as checks from "./internal/checks.js"
import { insertWriter } from "./internal/insertWriter.js"
import { keyPages, rangeWriter } from "./internal/keyRange.js"

export { DsqlBatchError } from "./internal/batchError.js"

/**
 * How far the batches have come. It counts what is done from the beginning of the source without a gap.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress<A> {
  /** Rows of the source that are done. */
  readonly rows: number
  /** Rows that were inserted, updated or deleted for them. */
  readonly written: number
  /** Transactions that were committed for them. */
  readonly transactions: number
  /** The last of them: the cursor to go on behind. `undefined` as long as there is none. */
  readonly last: A | undefined
}

/**
 * What all batches can be told.
 *
 * @since 0.1.0
 * @category models
 */
export interface BatchOptions<A, E = never, R = never> {
  /** The table, as `sql(…)` takes names: `orders.item` is the table `item` of the schema `orders`. */
  readonly table: string
  /** Rows in a transaction. Default 1,000, at most 3,000 (the service's limit, AWS quotas page). */
  readonly maxRows?: number | undefined
  /** Batches that are written at a time, each on a connection of its own. Default 4, from 1 to 1,000. */
  readonly concurrency?: number | undefined
  /** How a batch is run again. Default: the layer's `retry` option. */
  readonly retry?: RetryPolicy | undefined
  /** Names the transactions in spans and metrics. Default `batch <table>`. */
  readonly name?: string | undefined
  /**
   * Told after each batch, one after the other in the order of the source: the place to keep `progress.last` for a run that
   * is to go on behind it. What was committed after the last call of a process that died, at most `concurrency` batches, is
   * written again by the next run; let `onConflict` pass over it.
   */
  readonly onProgress?: ((progress: Progress<A>) => Effect.Effect<unknown, E, R>) | undefined
}

/**
 * How rows are inserted.
 *
 * @since 0.1.0
 * @category models
 */
export interface InsertOptions<A, E = never, R = never> extends BatchOptions<A, E, R> {
  /**
   * The columns of the primary key, or of another unique constraint. By them a batch that was not answered is looked
   * up, so that it is written exactly once; without them that ends the run with `OutcomeUnknown`. Columns that the rows do
   * not have are filled in by the table, and read back.
   */
  readonly key?: ReadonlyArray<string> | undefined
  /**
   * What becomes of a row whose key is there already: it fails the run (`"fail"`, the default), is passed over (`"ignore"`),
   * or replaces all columns beside the key (`"update"`, which needs `key`).
   */
  readonly onConflict?: "fail" | "ignore" | "update" | undefined
  /**
   * An estimate of the values of a transaction, in bytes. Default 4 MiB: below the service's 10 MiB (AWS quotas page) by
   * what indexes and storage may add. From 1 KiB to 10 MiB.
   */
  readonly maxBytes?: number | undefined
}

/**
 * Inserts the rows of a stream, each an object of its columns. All have the columns of the first. An upsert is
 * `onConflict: "update"`; one batch may then not hold a key twice.
 *
 * Fails with the stream's own errors; with `DsqlBatchError`, which says how far it has come; inside of a transaction, with a
 * client of another package or with options that cannot be right, with our error for that.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { DsqlBatch } from "effect-dsql"
 *
 * export const load = Stream.range(1, 100_000).pipe(
 *   Stream.map((id) => ({ id, name: `owner ${id}` })),
 *   DsqlBatch.insert({ table: "owner", key: ["id"], onProgress: ({ rows }) => Effect.logInfo(`${rows} rows`) })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const insert =
  <A extends object, E2 = never, R2 = never>(options: InsertOptions<A, E2, R2>) =>
  <E, R>(
    rows: Stream.Stream<A, E, R>
  ): Effect.Effect<Progress<A>, E | E2 | DsqlBatchError | DsqlError, R | R2 | SqlClient.SqlClient> =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const maxRows = yield* batchRun.checkRows(options.maxRows)
      const maxBytes = yield* checks.integer("maxBytes", options.maxBytes ?? 4 << 20, 1 << 10, 10 << 20)
      const writer = yield* insertWriter(sql, options)
      const batcher = new Batcher<A>({ maxRows, maxBytes })
      let columns: ReadonlyArray<string> | undefined
      const differentColumn = (rows: ReadonlyArray<A>) => {
        columns ??= Object.keys(rows[0]!)
        return findDifferentColumn(columns, rows)
      }
      const batches = Stream.concat(
        Stream.mapConcat(Stream.chunks(rows), (chunk) => batcher.add(chunk)),
        Stream.suspend(() => Stream.fromIterable(batcher.rest()))
      )
      return yield* batchRun.run(batches, { ...writer, differentColumn }, options)
    })

/**
 * Which rows are changed: those of a range of keys, in the order of the key.
 *
 * @since 0.1.0
 * @category models
 */
export interface RangeOptions<E = never, R = never> extends BatchOptions<Key, E, R> {
  /** The columns of the primary key. */
  readonly key: ReadonlyArray<string>
  /** Only rows that this holds for, `sql\`full_name IS NULL\`` for instance. Default: all. */
  readonly where?: Statement.Fragment | undefined
  /** Begins behind this key: `progress.last` or the error's `last` of a run before. Default: at the first. */
  readonly after?: Key | undefined
}

/**
 * The values of a key as text, in the order of its columns.
 *
 * @since 0.1.0
 * @category models
 */
export type Key = ReadonlyArray<string>

/**
 * What is set.
 *
 * @since 0.1.0
 * @category models
 */
export interface UpdateOptions<E = never, R = never> extends RangeOptions<E, R> {
  /** What stands behind SET: `sql\`full_name = first || ' ' || last\``, or `sql\`${sql.update({ city: "Lisbon" })}\``. */
  readonly set: Statement.Fragment
  /**
   * Whether it does no harm to change a row twice. True where `set` does not depend on what it changes, or makes `where`
   * false. A batch that was not answered is then simply run again; otherwise that ends the run with
   * `OutcomeUnknown`. Default `false`.
   */
  readonly repeatable?: boolean | undefined
}

const inRange = <E2, R2>(
  options: RangeOptions<E2, R2>,
  repeatable: boolean,
  change: (sql: SqlClient.SqlClient, range: Statement.Fragment) => Statement.Statement<unknown>
): Effect.Effect<Progress<Key>, E2 | DsqlBatchError | DsqlError, R2 | SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const maxRows = yield* batchRun.checkRows(options.maxRows)
    yield* checks.columns("key", options.key)
    const verify = repeatable ? () => Effect.succeedNone : undefined
    const { table } = options
    const read = (page: Statement.Statement<unknown>) =>
      ask(page.values, { retry: options.retry, name: `keys of ${table}` })
    return yield* batchRun.run(
      keyPages(sql, options, maxRows, read),
      { write: rangeWriter(sql, options, (range) => change(sql, range)), verify },
      options
    )
  })

/**
 * Updates the rows of a range of keys in batches: a back-fill. The keys of each batch are read first, then changed in a
 * transaction of its own. Rows that come in meanwhile, behind where it is, are changed too.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { DsqlBatch } from "effect-dsql"
 *
 * export const backfill = Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *   DsqlBatch.update({
 *     table: "owner",
 *     key: ["id"],
 *     set: sql`full_name = first_name || ' ' || last_name`,
 *     where: sql`full_name IS NULL`,
 *     repeatable: true
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const update = <E = never, R = never>(
  options: UpdateOptions<E, R>
): Effect.Effect<Progress<Key>, E | DsqlBatchError | DsqlError, R | SqlClient.SqlClient> =>
  inRange(
    options,
    options.repeatable ?? false,
    (sql, range) => sql`UPDATE ${sql(options.table)} SET ${options.set} WHERE ${range}`
  )

const delete_ = <E = never, R = never>(
  options: RangeOptions<E, R>
): Effect.Effect<Progress<Key>, E | DsqlBatchError | DsqlError, R | SqlClient.SqlClient> =>
  inRange(options, true, (sql, range) => sql`DELETE FROM ${sql(options.table)} WHERE ${range}`)

export {
  /**
   * Deletes the rows of a range of keys in batches. Rows that a foreign key deletes along count towards the service's limit;
   * a batch that turns out too much for it is split.
   *
   * @example
   * ```ts
   * import { SqlClient } from "@effect/sql"
   * import { Effect } from "effect"
   * import { DsqlBatch } from "effect-dsql"
   *
   * export const forget = Effect.flatMap(SqlClient.SqlClient, (sql) =>
   *   DsqlBatch.delete({ table: "visit", key: ["id"], where: sql`at < now() - interval '1 year'` })
   * )
   * ```
   *
   * @since 0.1.0
   * @category constructors
   */
  delete_ as delete
}
