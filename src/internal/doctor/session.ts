/** What an open session is asked: a statement, and whether it has the settings that it should. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Resolved } from "../../Config.js"
import { identifierName, tokenize } from "../../core/lexer.js"
import { quotedName } from "../../core/quoting.js"
import { channelOf } from "../channel.js"
import { networkError } from "../driverError.js"
import { makeSetup } from "../setup.js"
import { skewOf, type Skew } from "./clock.js"
import { change, command, sql } from "./cures.js"
import type { LoggedIn } from "./login.js"
import type { Done, Trouble } from "./model.js"

/** How long the statements of a step may take. */
const patience = "5 seconds"

const query = (config: Resolved, { connection }: LoggedIn, text: string, values: ReadonlyArray<unknown> = []) =>
  channelOf(connection)
    .run({ text, values })
    .pipe(
      Effect.timeoutFail({
        duration: patience,
        onTimeout: () => networkError(config, "Closed", new Error("no answer"))
      }),
      Effect.map((results) => (results.at(-1)?.rows[0] ?? {}) as Readonly<Record<string, unknown>>)
    )

const whoAndWhen =
  "SELECT current_user AS who, current_setting('server_version') AS version, extract(epoch FROM now())::float8 AS now"

/** Its value is the skew of the clocks, where the server told its time. */
export const statement = (config: Resolved, session: LoggedIn): Effect.Effect<Done<Skew | undefined>, Trouble> =>
  Effect.gen(function* () {
    const asked = yield* Clock.currentTimeMillis
    const { now, version, who } = yield* query(config, session, whoAndWhen)
    const answered = yield* Clock.currentTimeMillis
    const serverTime = now === undefined ? NaN : Number(now) * 1000
    return {
      value: Number.isNaN(serverTime) ? undefined : skewOf(serverTime, asked, answered, "the cluster"),
      summary: `SELECT as ${String(who)} on PostgreSQL ${String(version)}`,
      facts: { user: String(who), serverVersion: String(version), roundTripMillis: answered - asked }
    }
  }).pipe(
    Effect.mapError((error): Trouble => ({
      summary: "a SELECT failed",
      cause: error.message,
      cures: [
        command("npx effect-dsql doctor"),
        command(`aws dsql get-cluster --identifier ${config.clusterId} --region ${config.region}`)
      ]
    }))
  )

const settingsCures = [
  command("unset DSQL_OPTIONS"),
  change("or correct session, or the options of the connection string")
]

/** The first schema that a search path names, which is a list of identifiers. */
const firstOf = (searchPath: string): string =>
  tokenize(searchPath)
    .map(identifierName)
    .find((name) => name !== undefined && name !== "$user") ?? "<schema>"

const schemasOf = (config: Resolved, session: LoggedIn) => {
  const path = config.session["search_path"]
  return path === undefined
    ? Effect.succeed(undefined)
    : Effect.map(query(config, session, "SELECT current_schema() AS schema"), ({ schema }) =>
        schema !== null
          ? undefined
          : {
              cause: `no schema of the search_path ${path} is there, or ${config.user} may not use it`,
              cures: [
                sql(`CREATE SCHEMA ${quotedName(firstOf(path))}`),
                sql(`GRANT USAGE ON SCHEMA ${quotedName(firstOf(path))} TO ${quotedName(config.user)}`)
              ]
            }
      )
}

/** Runs the user's `setup` as the pool would, then looks what the session starts with. */
export const settings = (config: Resolved, session: LoggedIn): Effect.Effect<Done<void>, Trouble> =>
  Effect.gen(function* () {
    if (session.refusedSettings !== undefined) {
      return yield* Effect.fail<Trouble>({
        summary: "the server refuses a setting",
        cause: session.refusedSettings.message,
        cures: settingsCures
      })
    }
    const setup = makeSetup(config)
    if (setup !== undefined) {
      const { connectTimeout } = config.pool
      yield* setup(session.connection).pipe(
        Effect.mapError((error): Trouble => ({
          summary: "setup failed",
          cause: error.message,
          cures: [change("mend the setup option: it runs on every new connection")]
        })),
        Effect.timeoutFail({
          duration: connectTimeout,
          onTimeout: (): Trouble => ({
            summary: "setup does not end",
            cause: `setup did not end within ${Duration.format(connectTimeout)} (pool.connectTimeout), in which a connection must be open and set up`,
            cures: [
              change("mend the setup option: it runs on every new connection"),
              command("export DSQL_POOL_CONNECT_TIMEOUT='30 seconds'")
            ]
          })
        })
      )
    }
    const names = Object.keys(config.session)
    const warning = yield* Effect.mapError(schemasOf(config, session), (error): Trouble => ({
      summary: "cannot be read",
      cause: error.message,
      cures: settingsCures
    }))
    return {
      value: undefined,
      summary: `${names.length === 0 ? "the server's own" : names.join(", ")}${setup === undefined ? "" : ", setup"}`,
      facts: config.session,
      warning
    }
  })
