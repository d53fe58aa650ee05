/** A portal that is read a few rows at a time, for streams. */
import * as Effect from "effect/Effect"
import PgCursor from "pg-cursor"
import type { DsqlStatementError } from "../Errors.js"
import { type Connection, orDestroy } from "./dial.js"

/** As many rows as `@effect/sql-pg` fetches at a time. */
const rowsPerFetch = 128

/** What the driver's connection offers to whom it asks for COPY data. */
interface CopyTarget {
  readonly sendCopyFail: (message: string) => void
}

/** The callbacks of a `pg-cursor` that its types leave out. */
interface Callbacks {
  handleDataRow(message: unknown): void
}

const Base = PgCursor as unknown as new (
  text: string,
  values: ReadonlyArray<unknown>
) => InstanceType<typeof PgCursor> & Callbacks

/** The driver calls these from the socket's events, where an exception would end the process. */
class Portal extends Base {
  failure: unknown = undefined

  override handleDataRow(message: unknown): void {
    if (this.failure !== undefined) return
    try {
      super.handleDataRow(message)
    } catch (failure) {
      this.failure = failure
    }
  }

  handleCopyInResponse(connection: CopyTarget): void {
    connection.sendCopyFail("a stream reads rows and has no COPY data to send")
  }

  handleCopyData(): void {}
}

export interface Cursor {
  /** The next rows; none at the end. */
  readonly fetch: Effect.Effect<ReadonlyArray<Record<string, unknown>>, DsqlStatementError>
  /** Frees the portal, if it was not read to its end. */
  readonly close: Effect.Effect<void>
}

export const openCursor = (
  connection: Connection,
  text: string,
  values: ReadonlyArray<unknown>
): Effect.Effect<Cursor, DsqlStatementError> =>
  Effect.try({
    try: () => {
      const portal = new Portal(text, values)
      connection.client.query(portal)
      let ended = false
      return {
        fetch: Effect.async<ReadonlyArray<Record<string, unknown>>, DsqlStatementError>((resume) => {
          portal.read(rowsPerFetch, (error: Error | null | undefined, rows: Array<unknown>) => {
            if (error) {
              ended = true
              const failure = Effect.fail(connection.toError(error))
              return connection.whenReady(() => resume(failure))
            }
            ended = rows.length === 0
            resume(
              portal.failure === undefined
                ? Effect.succeed(rows as ReadonlyArray<Record<string, unknown>>)
                : Effect.fail(connection.toError(portal.failure))
            )
          })
          return Effect.sync(connection.destroy)
        }),
        close: Effect.suspend(() =>
          ended || !connection.isOpen()
            ? Effect.void
            : Effect.async<void>((resume) => portal.close(() => resume(Effect.void))).pipe(
                orDestroy(connection, "1 second")
              )
        )
      }
    },
    catch: connection.toError
  })
