/** Statements on a connection: what `@effect/sql` calls a connection, on one of ours. */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { QueryResult } from "pg"
import Cursor from "pg-cursor"
import type { Connection } from "../Connection.js"
import type { DsqlError, DsqlStatementError } from "../Errors.js"

type Rows = ReadonlyArray<Record<string, unknown>>
type TransformRows = (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** The driver gives an array when the text held several statements. */
type Results = QueryResult | Array<QueryResult>

/** How a session comes to a connection: its own, or one of the pool's for each statement. */
export interface Source {
  readonly use: <A>(f: (connection: Connection) => Effect.Effect<A, DsqlError>) => Effect.Effect<A, DsqlError>
  /** A connection for a stream alone; a session with one connection has none to spare. */
  readonly reserve?: Effect.Effect<Connection, DsqlError, Scope.Scope> | undefined
}

/** Statements on one connection take turns; the driver would queue them too, but could not take one back. */
export const oneByOne = (connection: Connection): Source => {
  const turn = Effect.unsafeMakeSemaphore(1)
  return { use: (f) => turn.withPermits(1)(Effect.suspend(() => f(connection))) }
}

/** As many rows as `@effect/sql-pg` fetches at a time. */
const rowsPerFetch = 128

export const toSqlError = (cause: DsqlError): SqlError => new SqlError({ cause, message: cause.message })

/** A SET shows by its command tag, `set_config` hides in a SELECT. */
const changesSession = (text: string, results: Results): boolean =>
  /set_config/i.test(text) ||
  (Array.isArray(results) ? results.some((result) => result.command === "SET") : results.command === "SET")

export const query = (
  connection: Connection,
  text: string,
  values: ReadonlyArray<unknown>,
  rowMode?: "array"
): Effect.Effect<Results, DsqlStatementError> =>
  Effect.async((resume) => {
    connection.client.query(
      { text, values: values as Array<unknown>, rowMode: rowMode! },
      (error: Error | null, results: Results) => {
        if (error) {
          return resume(Effect.fail(connection.toError(error)))
        }
        if (changesSession(text, results)) {
          connection.markChanged()
        }
        resume(Effect.succeed(results))
      }
    )
    return Effect.sync(connection.destroy)
  })

const rowsOf = (results: Results): Rows =>
  Array.isArray(results) ? results.map((result) => result.rows as unknown as Record<string, unknown>) : results.rows

const fetch = (connection: Connection, cursor: Cursor): Effect.Effect<Rows, DsqlStatementError> =>
  Effect.async((resume) => {
    cursor.read(rowsPerFetch, (error: Error | null | undefined, rows: Rows) => {
      resume(error ? Effect.fail(connection.toError(error)) : Effect.succeed(rows))
    })
    return Effect.sync(connection.destroy)
  })

/** A portal that was not read to its end is closed; what cannot be closed at once takes its connection with it. */
const closeCursor = (connection: Connection, cursor: Cursor) =>
  Effect.async<void>((resume) => cursor.close(() => resume(Effect.void))).pipe(
    Effect.timeout("1 second"),
    Effect.interruptible,
    Effect.exit,
    Effect.map((exit) => {
      if (Exit.isFailure(exit)) {
        connection.destroy()
      }
    })
  )

const stream = (
  reserve: Effect.Effect<Connection, DsqlError, Scope.Scope>,
  text: string,
  values: ReadonlyArray<unknown>
): Stream.Stream<Record<string, unknown>, DsqlError> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const connection = yield* reserve
      let ended = false
      const cursor = yield* Effect.acquireRelease(
        Effect.sync(() => connection.client.query(new Cursor(text, values as Array<unknown>))),
        (cursor) => (ended ? Effect.void : closeCursor(connection, cursor))
      )
      return Stream.repeatEffectChunkOption(
        fetch(connection, cursor).pipe(
          Effect.tapError(() => Effect.sync(() => (ended = true))),
          Effect.mapError(Option.some),
          Effect.flatMap((rows) => {
            if (rows.length > 0) {
              return Effect.succeed(Chunk.unsafeFromArray(rows))
            }
            ended = true
            return Effect.fail(Option.none())
          })
        )
      )
    })
  )

/** What statements run on. Its errors are `SqlError`s whose cause is one of ours. */
export class Session implements SqlConnection.Connection {
  constructor(private readonly source: Source) {}

  private query(text: string, values: ReadonlyArray<unknown>, rowMode?: "array"): Effect.Effect<Results, SqlError> {
    return Effect.mapError(
      this.source.use((connection) => query(connection, text, values, rowMode)),
      toSqlError
    )
  }

  execute(text: string, values: ReadonlyArray<unknown>, transformRows: TransformRows): Effect.Effect<Rows, SqlError> {
    return Effect.map(this.query(text, values), (results) =>
      transformRows === undefined ? rowsOf(results) : transformRows(rowsOf(results))
    )
  }

  executeRaw(text: string, values: ReadonlyArray<unknown>): Effect.Effect<Results, SqlError> {
    return this.query(text, values)
  }

  executeUnprepared(
    text: string,
    values: ReadonlyArray<unknown>,
    transformRows: TransformRows
  ): Effect.Effect<Rows, SqlError> {
    return this.execute(text, values, transformRows)
  }

  executeValues(
    text: string,
    values: ReadonlyArray<unknown>
  ): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> {
    return Effect.map(
      this.query(text, values, "array"),
      (results) => rowsOf(results) as unknown as ReadonlyArray<ReadonlyArray<unknown>>
    )
  }

  executeStream(
    text: string,
    values: ReadonlyArray<unknown>,
    transformRows: TransformRows
  ): Stream.Stream<Record<string, unknown>, SqlError> {
    if (this.source.reserve === undefined) {
      // A cursor would hold back what the stream's consumer runs in the same transaction, so the rows are read first.
      return Stream.fromIterableEffect(this.execute(text, values, transformRows))
    }
    const rows = Stream.mapError(stream(this.source.reserve, text, values), toSqlError)
    return transformRows === undefined
      ? rows
      : Stream.mapChunks(rows, (chunk) => Chunk.unsafeFromArray(transformRows(Chunk.toReadonlyArray(chunk))))
  }
}
