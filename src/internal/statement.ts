/** What goes over the wire for a statement, and how its answer comes back into Effect. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
// @ts-expect-error a part of `pg` that its types leave out
import { prepareValue } from "pg/lib/utils.js"
import type { Connection } from "../Connection.js"
import { DsqlLimitError, type DsqlStatementError } from "../Errors.js"
import type { Messages } from "./messages.js"
import type { PreparedStatement } from "./preparedStatements.js"
import { Request, type Result, type RowMode } from "./request.js"
import type { RowShape } from "./rows.js"

/** A parameter in the form in which it is sent. */
const toWire: (value: unknown) => string | Uint8Array | null = prepareValue

/** The protocol counts parameters in 16 bits. */
const mostParameters = 65_535

/** Values in the form in which they are sent, made before anything is: one that cannot be sent harms nothing. */
export const encode = (
  connection: Connection,
  values: ReadonlyArray<unknown>
): Either.Either<ReadonlyArray<unknown>, DsqlStatementError> =>
  values.length > mostParameters
    ? Either.left(
        new DsqlLimitError({
          reason: "Parameters",
          server: { sqlState: "54000", message: `a statement cannot have ${values.length} parameters` }
        })
      )
    : Either.try({ try: () => values.map((value) => toWire(value)), catch: connection.toError })

/** A portal to be opened on a statement; `rows` is how many to fetch at first, 0 for all. */
export interface Portal {
  readonly text: string
  readonly values: ReadonlyArray<unknown>
  readonly statement?: PreparedStatement | undefined
  readonly portal: string
  readonly rows: number
}

/** Everything up to the first rows; the caller ends it with Sync or Flush. */
export const sendPortal = (
  messages: Messages,
  { changes, statements }: Connection,
  { portal, rows, statement, text, values }: Portal
): void => {
  changes.sending(text, values)
  statements.sendClosing(messages)
  if (statements.mustParse(statement)) {
    messages.parse(statement?.name ?? "", text)
  }
  messages.bind({ portal, statement: statement?.name ?? "", values })
  if (statement?.shape === undefined) {
    messages.describe(portal)
  }
  messages.execute(portal, rows)
}

/** How a request has ended. */
type Done = (error: DsqlStatementError | undefined, request: Request) => void

/** Calls back when the server is ready for the next request. */
const start = (
  connection: Connection,
  rowMode: RowMode,
  send: (messages: Messages) => void,
  shape: RowShape | undefined,
  done: Done
): void => {
  const request = new Request(
    send,
    connection.types,
    rowMode,
    (failure, request) => {
      if (failure === undefined) return done(undefined, request)
      // The driver reports an error before the server has said in which state it left the transaction.
      const error = connection.toError(failure)
      connection.whenReady(() => done(error, request))
    },
    shape
  )
  connection.driver.request(request)
}

/** A request that runs to its end. Interrupting it destroys the connection, since nothing else would stop the server. */
export const submit = (
  connection: Connection,
  rowMode: RowMode,
  send: (messages: Messages) => void,
  shape?: RowShape
): Effect.Effect<Request, DsqlStatementError> =>
  Effect.async((resume) => {
    start(connection, rowMode, send, shape, (error, request) =>
      resume(error === undefined ? Effect.succeed(request) : Effect.fail(error))
    )
    return Effect.sync(connection.destroy)
  })

/** Takes what a statement has come to. */
type End = (outcome: Effect.Effect<ReadonlyArray<Result>, DsqlStatementError>) => void

/** The simple protocol: no parameters, any number of statements. */
const startSimple = (connection: Connection, text: string, rowMode: RowMode, end: End): void => {
  const send = (messages: Messages) => {
    connection.changes.sending(text)
    messages.query(text)
  }
  start(connection, rowMode, send, undefined, (error, { results }) =>
    end(error === undefined ? Effect.succeed(results) : Effect.fail(error))
  )
}

/** "cached plan must not change result type", and a name that the server does not know (any more). */
const isStale = (error: DsqlStatementError): boolean =>
  error._tag === "DsqlConflictError"
    ? error.server.sqlState === "0A000"
    : error._tag === "DsqlQueryError" && error.sqlState === "26000"

/** With `prepare` the server keeps the statement under a name. */
const startExtended = (
  connection: Connection,
  text: string,
  values: ReadonlyArray<unknown>,
  rowMode: RowMode,
  prepare: boolean,
  end: End
): void => {
  const encoded = encode(connection, values)
  if (Either.isLeft(encoded)) return end(Effect.fail(encoded.left))
  const { statements } = connection
  const attempt = (isFirst: boolean): void => {
    const statement = prepare ? statements.use(text) : undefined
    const send = (messages: Messages) => {
      sendPortal(messages, connection, { text, values: encoded.right, statement, portal: "", rows: 0 })
      messages.sync()
    }
    start(connection, rowMode, send, statement?.shape ?? undefined, (error, request) => {
      if (error === undefined) {
        if (statement !== undefined) statement.shape = request.described ?? null
        return end(Effect.succeed(request.results))
      }
      if (statement !== undefined && isStale(error)) {
        statements.forget(text)
        // Refused before it did anything, so it may run again; but inside a transaction block that is lost as a whole.
        if (isFirst && !connection.inTransaction()) return attempt(false)
      }
      end(Effect.fail(error))
    })
  }
  attempt(true)
}

export interface StatementOptions {
  readonly rowMode?: RowMode | undefined
  /** Whether a statement with parameters is kept by the server under a name. Default `true`. */
  readonly prepare?: boolean | undefined
}

/** A statement with its parameters; several statements, when the text holds them and there are no parameters. */
export interface Statement {
  readonly text: string
  readonly values?: ReadonlyArray<unknown> | undefined
  readonly options?: StatementOptions | undefined
}

/** Runs one where nobody needs an effect of its own. To stop it, the connection must be destroyed. */
export const startStatement = (connection: Connection, { options, text, values = [] }: Statement, end: End): void => {
  const { prepare = true, rowMode = "object" } = options ?? {}
  if (values.length === 0) startSimple(connection, text, rowMode, end)
  else startExtended(connection, text, values, rowMode, prepare, end)
}

/** The same as an effect. Interrupting it destroys the connection. */
export const run = (
  connection: Connection,
  statement: Statement
): Effect.Effect<ReadonlyArray<Result>, DsqlStatementError> =>
  Effect.async((resume) => {
    startStatement(connection, statement, resume)
    return Effect.sync(connection.destroy)
  })
