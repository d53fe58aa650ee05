import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"

layer(DsqlLocal.layerLive({ jobDuration: "10 minutes" }), { excludeTestServices: true })("our client", (it) => {
  it.effect("sees what jobs are due when the session clock has been moved", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE item (id int PRIMARY KEY, name text)`
      const [job] = yield* sql<{ job_id: string }>`CREATE UNIQUE INDEX ASYNC ON item (name)`
      const status = Effect.map(sql`SELECT status FROM sys.jobs WHERE job_id = ${job!.job_id}`, (rows) => rows)
      assert.deepStrictEqual(yield* status, [{ status: "submitted" }])
      yield* local.sessionClock.advance("5 minutes")
      assert.deepStrictEqual(yield* status, [{ status: "processing" }])
      yield* local.sessionClock.advance("5 minutes")
      assert.deepStrictEqual(yield* status, [{ status: "completed" }])
      assert.deepStrictEqual(yield* sql`CALL sys.wait_for_job(${job!.job_id})`, [{ succeeded: true }])
    })
  )
})
