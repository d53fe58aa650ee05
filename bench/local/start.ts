/** Starts a cluster and asks it something, as a test file does. Prints milliseconds: of that, and since the process began. */
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"

const began = performance.now()
const { answered } = await Effect.runPromise(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`SELECT 1`
    return { answered: performance.now() }
  }).pipe(Effect.provide(DsqlLocal.layerLive()))
)
console.log(JSON.stringify({ start: answered - began, process: answered }))
