/** What statements and transactions need from a connection; a test double needs no more. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import type { DsqlError } from "../Errors.js"
import { type Cursor, openAlone, openInTransaction } from "./cursor.js"
import type { Result } from "./request.js"
import { run, type Statement } from "./statement.js"

/** Waits for its turn among the requests on one connection. */
export type InTurn = <A>(request: Effect.Effect<A, DsqlError>) => Effect.Effect<A, DsqlError>

export interface Channel {
  readonly run: (statement: Statement) => Effect.Effect<ReadonlyArray<Result>, DsqlError>
  /** A cursor that nothing else runs beside. */
  readonly openAlone: (text: string, values: ReadonlyArray<unknown>) => Effect.Effect<Cursor, DsqlError>
  /** A cursor whose fetches take turns with other statements. */
  readonly openInTransaction: (inTurn: InTurn, text: string, values: ReadonlyArray<unknown>) => Cursor
  /** Asked before a COMMIT, which can only have taken effect if it was sent. */
  readonly isOpen: () => boolean
  readonly destroy: () => void
}

/** Where channels come from. */
export interface Channels {
  /** Waits until `by` at the latest, by the clock. */
  readonly use: <A, E, R>(
    f: (channel: Channel) => Effect.Effect<A, E, R>,
    by?: number
  ) => Effect.Effect<A, E | DsqlError, R>
  readonly reserve: Effect.Effect<Channel, DsqlError, Scope.Scope>
  /** Runs one statement on any of them. */
  readonly run: (statement: Statement) => Effect.Effect<ReadonlyArray<Result>, DsqlError>
}

export const channelOf = (connection: Connection): Channel => ({
  run: (statement) => run(connection, statement),
  openAlone: (text, values) => openAlone(connection, text, values),
  openInTransaction: (inTurn, text, values) =>
    openInTransaction((f) => inTurn(Effect.suspend(() => f(connection))), text, values),
  isOpen: connection.isOpen,
  destroy: connection.destroy
})
