/** A portal that is read a few rows at a time, for streams. */
import * as Effect from "effect/Effect"
import type { Connection } from "../Connection.js"
import type { DsqlError, DsqlStatementError } from "../Errors.js"
import { orDestroy } from "./dial.js"
import { Messages } from "./messages.js"
import { type Protocol, Request } from "./request.js"
import type { RowShape } from "./rows.js"
import { encode, sendPortal, submit } from "./statement.js"

/** As many rows as `@effect/sql-pg` fetches at a time. */
const rowsPerFetch = 128

type Rows = ReadonlyArray<Record<string, unknown>>

export interface Cursor {
  /** The next rows; none at the end. */
  readonly fetch: Effect.Effect<Rows, DsqlError>
  /** Frees the portal, if it was not read to its end. */
  readonly close: Effect.Effect<void>
}

/** A portal has one statement, and so one result at most. */
const takeRows = ({ results: [result] }: Request): Rows => {
  const rows = result?.rows ?? []
  if (result !== undefined) result.rows = []
  return rows as unknown as Rows
}

/** Outside of a transaction a Sync would end the portal, so the request stays under way until its last row. */
class OpenRequest extends Request {
  private protocol: Protocol | undefined
  private ending = false

  override submit(protocol: Protocol): void {
    this.protocol = protocol
    super.submit(protocol)
  }

  override handlePortalSuspended(): void {
    // What was read ahead when the reader left is of no use.
    if (this.ending) return
    if (this.failure !== undefined) return this.end()
    super.handlePortalSuspended()
    this.done(undefined, this)
  }

  override handleCommandComplete(message: { readonly text: string }): void {
    super.handleCommandComplete(message)
    this.end()
  }

  override handleEmptyQuery(): void {
    super.handleEmptyQuery()
    this.end()
  }

  override handleError(error: unknown): void {
    this.end()
    super.handleError(error)
  }

  resume(): void {
    this.suspended = false
    if (this.protocol === undefined) return
    const messages = new Messages()
    messages.execute("", rowsPerFetch)
    messages.flush()
    messages.writeTo(this.protocol)
  }

  /** The server then says that it is ready, and the request is over. */
  end(): void {
    this.suspended = false
    if (!this.ending) this.protocol?.sync()
    this.ending = true
  }
}

type Fetched = Effect.Effect<Rows, DsqlStatementError>

/**
 * On a connection that nothing else uses meanwhile. The server is asked for the next rows as soon as there are some, so that
 * it works while they are; no more than that is ever read ahead.
 */
export const openAlone = (
  connection: Connection,
  text: string,
  values: ReadonlyArray<unknown>
): Effect.Effect<Cursor, DsqlStatementError> =>
  Effect.map(encode(connection, values), (encoded) => {
    let state: "new" | "reading" | "suspended" | "ended" = "new"
    let ahead: Fetched | undefined
    let waiting: ((fetched: Fetched) => void) | undefined
    let onEnd = () => {}
    const request = new OpenRequest(
      (messages) => {
        sendPortal(messages, connection, { text, values: encoded, portal: "", rows: rowsPerFetch })
        messages.flush()
      },
      connection.types,
      "object",
      (failure) => {
        if (failure === undefined) {
          return give(Effect.succeed(takeRows(request)), request.suspended ? "suspended" : "ended")
        }
        const error = connection.toError(failure)
        connection.whenReady(() => give(Effect.fail(error), "ended"))
      }
    )
    const give = (fetched: Fetched, next: "suspended" | "ended") => {
      state = next
      if (state === "ended") onEnd()
      const taker = waiting
      waiting = undefined
      if (taker === undefined) ahead = fetched
      else {
        readOn()
        taker(fetched)
      }
    }
    const readOn = () => {
      if (state === "new") connection.driver.request(request)
      else if (state === "suspended") request.resume()
      else return
      state = "reading"
    }
    const wait = Effect.async<Rows, DsqlStatementError>((resume) => {
      waiting = resume
      readOn()
      return Effect.sync(connection.destroy)
    })
    const close = Effect.async<void>((resume) => {
      onEnd = () => resume(Effect.void)
      request.end()
    }).pipe(orDestroy(connection, "1 second"))
    return {
      fetch: Effect.suspend(() => {
        const fetched = ahead
        if (fetched === undefined) return state === "ended" ? Effect.succeed([]) : wait
        ahead = undefined
        readOn()
        return fetched
      }),
      close: Effect.suspend(() =>
        (state === "reading" || state === "suspended") && connection.isOpen() ? close : Effect.void
      )
    }
  })

/** Where a request takes its turn among others on one connection. */
export type Use = <A>(f: (connection: Connection) => Effect.Effect<A, DsqlError>) => Effect.Effect<A, DsqlError>

/**
 * Inside of a transaction, where a portal outlives a Sync: every fetch is a request of its own, and other statements run in
 * between. On a connection that is not in one, all rows come with the first fetch.
 */
export const openInTransaction = (use: Use, text: string, values: ReadonlyArray<unknown>): Cursor => {
  let opened: { readonly connection: Connection; readonly portal: string } | undefined
  let shape: RowShape | undefined
  let more = true
  const first = (connection: Connection) =>
    Effect.flatMap(encode(connection, values), (encoded) => {
      const portal = connection.statements.nextPortal()
      const rows = connection.inTransaction() ? rowsPerFetch : 0
      opened = { connection, portal }
      return submit(connection, "object", (messages) => {
        sendPortal(messages, connection, { text, values: encoded, portal, rows })
        messages.sync()
      })
    })
  const next = (connection: Connection, portal: string) =>
    submit(
      connection,
      "object",
      (messages) => {
        connection.statements.sendClosing(messages)
        messages.execute(portal, rowsPerFetch)
        messages.sync()
      },
      shape
    )
  const fetch = use((connection) =>
    Effect.map(opened === undefined ? first(connection) : next(connection, opened.portal), (request) => {
      more = request.suspended
      shape = request.described
      return takeRows(request)
    })
  ).pipe(Effect.tapError(() => Effect.sync(() => (more = false))))
  return {
    fetch: Effect.suspend(() => (more ? fetch : Effect.succeed([]))),
    // Nothing waits for it: it goes along with the next request, or the transaction's end does it.
    close: Effect.sync(() => {
      if (opened !== undefined && more) opened.connection.statements.closePortal(opened.portal)
    })
  }
}
