/**
 * Everything from the environment: DSQL_HOST, or DSQL_URL, and any other of the variables in the README.
 *
 *   DSQL_HOST=… DSQL_APPLICATION_NAME=nightly npx tsx examples/environment.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Console, Effect } from "effect"
import { DsqlLive } from "effect-dsql"

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ application: string }>`SELECT current_setting('application_name') AS application`
  yield* Console.log(`connected as ${row?.application}`)
})

program.pipe(Effect.provide(DsqlLive), NodeRuntime.runMain)
