/** A test that takes its whole process with it, or waits to be interrupted. */
import { SqlClient } from "@effect/sql"
import { layer } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "1 minute" })("a test", (it) => {
  it.effect("dies", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`SELECT 1`
      process.stdout.write("\nworking\n")
      if (process.env["DEATH"] === "wait") yield* Effect.never
      process.kill(process.pid, "SIGKILL")
    })
  )
})
