/** The real client over scripted connections: only where answers come from is different. */
import type * as Reactivity from "@effect/experimental/Reactivity"
import type { PgClient } from "@effect/sql-pg/PgClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Client from "../Client.js"
import { DsqlConfig, type Resolved } from "../Config.js"
import type { DsqlError } from "../Errors.js"
import type { Channel, Channels } from "../internal/channel.js"
import type { Cursor } from "../internal/cursor.js"
import { networkError } from "../internal/driverError.js"
import type { Result } from "../internal/request.js"
import { makeFailWithSqlError } from "../internal/sqlError.js"
import { ScriptedConnection } from "./connection.js"
import type { ScriptState } from "./script.js"

/** As many rows as the client fetches at a time. */
const rowsPerFetch = 128

/** All rows come with the answer, and are handed out as from a server. */
const cursorOn = (answer: Effect.Effect<Result, DsqlError>): Cursor => {
  let rows: Array<unknown> | undefined
  const next = () => rows!.splice(0, rowsPerFetch) as Array<Record<string, unknown>>
  return {
    fetch: Effect.suspend(() =>
      rows === undefined
        ? Effect.map(answer, (result) => {
            rows = [...result.rows]
            return next()
          })
        : Effect.sync(next)
    ),
    close: Effect.void
  }
}

const channelTo = (script: ScriptState, config: Resolved): Channel => {
  const connection = new ScriptedConnection(script, config)
  const answer = (text: string, values: ReadonlyArray<unknown>) =>
    // A test's own error goes the way of ours, and nothing on that way looks at more than its tag and message.
    connection.run(text, values) as Effect.Effect<Result, DsqlError>
  return {
    run: ({ options, text, values = [] }) =>
      Effect.map(answer(text, values), (result) => [
        options?.rowMode === "array"
          ? { ...result, rows: result.rows.map((row) => Object.values(row as object)) }
          : result
      ]),
    openAlone: (text, values) => Effect.succeed(cursorOn(answer(text, values))),
    openInTransaction: (inTurn, text, values) => cursorOn(inTurn(answer(text, values))),
    isOpen: connection.isOpen,
    destroy: connection.destroy
  }
}

export const make = (
  script: ScriptState,
  config: Resolved
): Effect.Effect<PgClient, never, Reactivity.Reactivity | Scope.Scope> => {
  const connect = Effect.suspend(() => {
    const [delay, error] = [script.takeDelay("connect"), script.takeFailure("connect")]
    const connected = error === undefined ? Effect.sync(() => channelTo(script, config)) : Effect.fail(error)
    return delay === undefined ? connected : Effect.delay(connected, delay)
  })
  const connectBy = (by: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.timeoutFail(connect, { duration: by - now, onTimeout: () => networkError(config, "AcquireTimeout") })
    )
  const use: Channels["use"] = (f, by = Infinity) => Effect.flatMap(Number.isFinite(by) ? connectBy(by) : connect, f)
  // Loaded here, so that a test clock that is moved finds nobody waiting for an import.
  const run: Channels["run"] = (statement) => use((channel) => channel.run(statement))
  return Client.makeOver({ use, reserve: connect, run }, makeFailWithSqlError(SqlError)).pipe(
    Effect.provideService(DsqlConfig, config)
  )
}
