import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { readdirSync } from "node:fs"
import { tmpdir } from "node:os"

/** Works in a schema of its own, and prints which process found which cluster. */
export const visit = (schema: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE SCHEMA ${sql(schema)}`
    const table = sql(`${schema}.item`)
    yield* sql`CREATE TABLE ${table} (id int PRIMARY KEY)`
    yield* sql`INSERT INTO ${table} ${sql.insert({ id: 1 })}`
    const [server] = yield* sql<{ started: Date }>`SELECT pg_postmaster_start_time() AS started`
    const clusters = readdirSync(tmpdir()).filter((name) => name.startsWith("effect-dsql-"))
    process.stdout.write(
      `\nvisit ${JSON.stringify({ schema, pid: process.pid, started: server?.started, clusters })}\n`
    )
    return yield* sql`SELECT id FROM ${table}`
  })
