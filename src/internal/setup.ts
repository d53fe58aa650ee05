/** What the user wants to have run on every new connection. */
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import type { Resolved } from "../Config.js"
import { type DsqlStatementError, unwrap } from "../Errors.js"
import { channelOf } from "./channel.js"
import type { Connection } from "./dial.js"
import { networkError } from "./driverError.js"
import { Session } from "./session.js"
import { makeFailWithSqlError } from "./sqlError.js"
import { statementSettings } from "./statementSettings.js"
import { oneByOne } from "./turns.js"

export type Setup = (connection: Connection) => Effect.Effect<void, DsqlStatementError>

/** What is about this connection stays what it is; anything else is a reason why there is no connection. */
const setupError =
  (config: Resolved) =>
  (error: SqlError): DsqlStatementError => {
    const ours = unwrap(error)
    if (ours === undefined) return networkError(config, "Other", error)
    switch (ours._tag) {
      case "DsqlConfigError":
      case "DsqlRegionError":
      case "DsqlCredentialsError":
      case "DsqlTokenError":
      case "DsqlTransactionError":
      case "DsqlCommitOutcomeUnknownError":
        return networkError(config, "Other", error)
      default:
        return ours
    }
  }

/** The `setup` of a configuration, with statements that run on the very connection; `undefined` if there is none. */
export const makeSetup = (config: Resolved): Setup | undefined => {
  const { setup } = config
  if (setup === undefined) return undefined
  const { compiler, spanAttributes, transformRows } = statementSettings(config)
  return (connection) =>
    Effect.suspend(() => {
      // Not as statements that commit by themselves: nobody's work depends on their outcome, so all may be tried again.
      const session = new Session(
        oneByOne(channelOf(connection), false, { refusal: () => undefined }),
        makeFailWithSqlError()
      )
      return setup(Statement.make(Effect.succeed(session), compiler, spanAttributes, transformRows))
    }).pipe(Effect.mapError(setupError(config)), Effect.asVoid)
}
