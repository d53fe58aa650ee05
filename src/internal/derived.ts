/** Clients made from others of ours: the same in all but the connection that statements run on, and transactions. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { Transactions } from "./transaction.js"

/** What is different. */
export interface Difference {
  readonly connection: SqlConnection.Connection
  readonly transactions: Transactions
  readonly withTransaction: SqlClient.SqlClient["withTransaction"]
  readonly reserve: SqlClient.SqlClient["reserve"]
}

/** Makes one, given the connection that the statements of the original run on. */
export type Derive = (difference: (connection: SqlConnection.Connection.Acquirer) => Difference) => SqlClient.SqlClient

/** Under this key our clients can be derived from. */
export const deriveKey: unique symbol = Symbol.for("effect-dsql/Derive")

export const deriveOf = (client: SqlClient.SqlClient): Derive | undefined =>
  (client as { readonly [deriveKey]?: Derive })[deriveKey]
