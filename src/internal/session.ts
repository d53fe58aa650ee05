/** Statements on a connection: what `@effect/sql` calls a connection, on one of ours. */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DsqlError } from "../Errors.js"
import { DsqlConnectionError, DsqlUnavailableError } from "../Errors.js"
import type { Channel } from "./channel.js"
import type { Cursor } from "./cursor.js"
import type { Result } from "./request.js"
import type { FailWithSqlError } from "./sqlError.js"
import type { Statement, StatementOptions } from "./statement.js"

type Rows = ReadonlyArray<Record<string, unknown>>
type TransformRows = (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** How a session comes to a connection: its own, or one of the pool's for each statement. */
export interface Source {
  readonly use: <A>(f: (channel: Channel) => Effect.Effect<A, DsqlError>) => Effect.Effect<A, DsqlError>
  readonly run: (statement: Statement) => Effect.Effect<ReadonlyArray<Result>, DsqlError>
  /** Whether statements are transactions of their own, which commit by themselves. */
  readonly autocommit: boolean
  /** Where a stream's cursor is opened: on a connection of its own, or on the session's, among its other statements. */
  readonly streams: Effect.Effect<Channel, DsqlError, Scope.Scope> | Channel
}

/** One statement gives what it gives, several give an array of that. */
const oneOrAll = <A, B>(results: ReadonlyArray<A>, f: (result: A) => B): B | ReadonlyArray<B> =>
  results.length === 1 ? f(results[0]!) : results.map(f)

/** When the answer to something that commits is lost, so is its outcome. */
export const ofCommit = (error: DsqlError): DsqlError => {
  if (error._tag === "DsqlConnectionError" && error.reason === "Closed") {
    const { address, cause, host, reason, sqlState } = error
    return new DsqlConnectionError({ address, cause, host, reason, sqlState, outcomeUnknown: true })
  }
  return error._tag === "DsqlUnavailableError"
    ? new DsqlUnavailableError({ server: error.server, cause: error.cause, outcomeUnknown: true })
    : error
}

const streamOf = (cursor: Cursor): Stream.Stream<Record<string, unknown>, DsqlError> =>
  Stream.repeatEffectChunkOption(
    Effect.matchEffect(cursor.fetch, {
      onFailure: (error) => Effect.fail(Option.some(error)),
      onSuccess: (rows) =>
        rows.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(rows))
    })
  )

/** What statements run on. Its errors are `SqlError`s whose cause is one of ours. */
export class Session implements SqlConnection.Connection {
  /** `enclosing` is the connection of the transaction, of whatever client, that this one was opened in. */
  constructor(
    private readonly source: Source,
    private readonly failWithSqlError: FailWithSqlError,
    readonly enclosing?: SqlConnection.Connection | undefined
  ) {}

  /** Something else than a statement of `@effect/sql`, in its turn. */
  inTurn<A>(f: (channel: Channel) => Effect.Effect<A, DsqlError>): Effect.Effect<A, DsqlError> {
    return this.source.use(f)
  }

  private run(
    text: string,
    values: ReadonlyArray<unknown>,
    options?: StatementOptions
  ): Effect.Effect<ReadonlyArray<Result>, SqlError> {
    return Effect.catchAll(this.source.run({ text, values, options }), (error) =>
      this.failWithSqlError(this.source.autocommit ? ofCommit(error) : error)
    )
  }

  private rows(
    text: string,
    values: ReadonlyArray<unknown>,
    transformRows: TransformRows,
    options?: StatementOptions
  ): Effect.Effect<Rows, SqlError> {
    return Effect.map(
      this.run(text, values, options),
      (results) =>
        oneOrAll(results, ({ rows }) =>
          transformRows === undefined ? rows : transformRows(rows as Array<object>)
        ) as Rows
    )
  }

  execute(text: string, values: ReadonlyArray<unknown>, transformRows: TransformRows): Effect.Effect<Rows, SqlError> {
    return this.rows(text, values, transformRows)
  }

  /** The results as `pg` has them: one, or an array when the text held several statements. */
  executeRaw(text: string, values: ReadonlyArray<unknown>): Effect.Effect<Result | ReadonlyArray<Result>, SqlError> {
    return Effect.map(this.run(text, values), (results) => oneOrAll(results, (result) => result))
  }

  executeUnprepared(
    text: string,
    values: ReadonlyArray<unknown>,
    transformRows: TransformRows
  ): Effect.Effect<Rows, SqlError> {
    return this.rows(text, values, transformRows, { prepare: false })
  }

  executeValues(
    text: string,
    values: ReadonlyArray<unknown>
  ): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> {
    return Effect.map(
      this.run(text, values, { rowMode: "array" }),
      (results) => oneOrAll(results, ({ rows }) => rows) as ReadonlyArray<ReadonlyArray<unknown>>
    )
  }

  private open(text: string, values: ReadonlyArray<unknown>): Effect.Effect<Cursor, DsqlError, Scope.Scope> {
    const { streams, use } = this.source
    return "run" in streams
      ? Effect.succeed(streams.openInTransaction((request) => use(() => request), text, values))
      : Effect.flatMap(streams, (channel) => channel.openAlone(text, values))
  }

  executeStream(
    text: string,
    values: ReadonlyArray<unknown>,
    transformRows: TransformRows
  ): Stream.Stream<Record<string, unknown>, SqlError> {
    // Opening sends nothing yet, so nothing is lost between it and its finalizer.
    const cursor = Effect.tap(this.open(text, values), ({ close }) => Effect.addFinalizer(() => close))
    const rows = Stream.catchAll(Stream.unwrapScoped(Effect.map(cursor, streamOf)), (error) =>
      Stream.fromEffect(this.failWithSqlError(this.source.autocommit ? ofCommit(error) : error))
    )
    return transformRows === undefined
      ? rows
      : Stream.mapChunks(rows, (chunk) => Chunk.unsafeFromArray(transformRows(Chunk.toReadonlyArray(chunk))))
  }
}
