/** Statements on a connection: what `@effect/sql` calls a connection, on one of ours. */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { QueryResult } from "pg"
import type { Connection } from "../Connection.js"
import type { DsqlError, DsqlStatementError } from "../Errors.js"
import { DsqlConnectionError, DsqlUnavailableError } from "../Errors.js"
import { openCursor } from "./cursor.js"

type Rows = ReadonlyArray<Record<string, unknown>>
type TransformRows = (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** The driver gives an array when the text held several statements. */
type Results = QueryResult | Array<QueryResult>

/** How a session comes to a connection: its own, or one of the pool's for each statement. */
export interface Source {
  readonly use: <A>(f: (connection: Connection) => Effect.Effect<A, DsqlError>) => Effect.Effect<A, DsqlError>
  /** Whether statements are transactions of their own. */
  readonly autocommit: boolean
  /** A connection for a stream alone; a session with one connection has none to spare. */
  readonly reserve?: Effect.Effect<Connection, DsqlError, Scope.Scope> | undefined
}

/**
 * Statements on one connection take turns; the driver would queue them too, but could not take one back. Whether the
 * session has ended is looked at when a statement's turn has come, since that may have happened while it waited.
 */
export const oneByOne = (connection: Connection, autocommit: boolean, ended: () => DsqlError | undefined): Source => {
  const turn = Effect.unsafeMakeSemaphore(1)
  return {
    autocommit,
    use: (f) =>
      turn.withPermits(1)(
        Effect.suspend(() => {
          const error = ended()
          return error === undefined ? f(connection) : Effect.fail(error)
        })
      )
  }
}

export const toSqlError = (cause: DsqlError): SqlError => new SqlError({ cause, message: cause.message })

/** A SET shows by its command tag, `set_config` hides in a SELECT; `RESET ALL` undoes neither a role nor a PREPARE. */
const noteChanges = (connection: Connection, text: string, commands: ReadonlyArray<string>): void => {
  if (commands.includes("PREPARE")) {
    connection.markChanged("more")
  } else if (commands.includes("SET") || /set_config/i.test(text)) {
    connection.markChanged(/\b(?:role|authorization)\b/i.test(text) ? "more" : "settings")
  }
}

const commandsOf = (results: Results): ReadonlyArray<string> =>
  Array.isArray(results) ? results.map((result) => result.command) : [results.command]

export const query = (
  connection: Connection,
  text: string,
  values: ReadonlyArray<unknown>,
  rowMode?: "array"
): Effect.Effect<Results, DsqlStatementError> =>
  Effect.async((resume) => {
    let failed = false
    connection.client.query(
      { text, values: values as Array<unknown>, rowMode: rowMode! },
      (error: Error | null, results: Results) => {
        if (failed) return
        if (error) {
          failed = true
          const failure = Effect.fail(connection.toError(error))
          // The driver calls back before the server has said in which state the failure left the transaction.
          return connection.whenReady(() => resume(failure))
        }
        noteChanges(connection, text, commandsOf(results))
        resume(Effect.succeed(results))
      }
    )
    return Effect.sync(connection.destroy)
  })

const rowsOf = (results: Results): Rows =>
  Array.isArray(results) ? results.map((result) => result.rows as unknown as Record<string, unknown>) : results.rows

/** Outside of a transaction a statement commits by itself, so when its answer is lost, so is its outcome. */
const ofAutocommit = (error: DsqlError): DsqlError => {
  if (error._tag === "DsqlConnectionError" && error.reason === "Closed") {
    const { address, cause, host, reason, sqlState } = error
    return new DsqlConnectionError({ address, cause, host, reason, sqlState, outcomeUnknown: true })
  }
  return error._tag === "DsqlUnavailableError"
    ? new DsqlUnavailableError({ server: error.server, outcomeUnknown: true })
    : error
}

/** On a connection of the pool, outside of any transaction. */
const stream = (
  reserve: Effect.Effect<Connection, DsqlError, Scope.Scope>,
  text: string,
  values: ReadonlyArray<unknown>
): Stream.Stream<Record<string, unknown>, DsqlError> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const connection = yield* reserve
      noteChanges(connection, text, [])
      const cursor = yield* Effect.acquireRelease(openCursor(connection, text, values), (cursor) => cursor.close)
      return Stream.repeatEffectChunkOption(
        Effect.matchEffect(cursor.fetch, {
          onFailure: (error) => Effect.fail(Option.some(ofAutocommit(error))),
          onSuccess: (rows) =>
            rows.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(rows))
        })
      )
    })
  )

/** What statements run on. Its errors are `SqlError`s whose cause is one of ours. */
export class Session implements SqlConnection.Connection {
  constructor(private readonly source: Source) {}

  private query(text: string, values: ReadonlyArray<unknown>, rowMode?: "array"): Effect.Effect<Results, SqlError> {
    return Effect.mapError(
      this.source.use((connection) => {
        const results = query(connection, text, values, rowMode)
        return this.source.autocommit ? Effect.mapError(results, ofAutocommit) : results
      }),
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
