/** The tables of the migrator: the history that `@effect/sql` keeps as well, the journal of statements, and the lease. */
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { DsqlError } from "../../Errors.js"
import { ask } from "../alone.js"
import type { Entry, Known } from "./model.js"

export interface Tables {
  readonly history: string
  readonly journal: string
  readonly lease: string
}

export const tablesOf = (history: string): Tables => ({
  history,
  journal: `${history}_statements`,
  lease: `${history}_lease`
})

const name = "migrations"

/** Whether a table can be read; only that it is not there counts as no. */
const exists = (sql: SqlClient.SqlClient, table: string) =>
  ask(sql`SELECT 1 FROM ${sql(table)} LIMIT 0`, { name }).pipe(
    Effect.as(true),
    Effect.catchTag("DsqlQueryError", (error) =>
      error.sqlState === "42P01" || error.sqlState === "3F000" ? Effect.succeed(false) : Effect.fail(error)
    )
  )

/**
 * Somebody else may do the same at the same time: on DSQL that is OC001, which is retried; PostgreSQL says that a name exists,
 * in its own ways.
 */
const create = (sql: SqlClient.SqlClient, table: string, columns: string) =>
  Effect.gen(function* () {
    if (yield* exists(sql, table)) return
    yield* ask(sql`CREATE TABLE IF NOT EXISTS ${sql(table)} (${sql.literal(columns)})`, { name }).pipe(
      Effect.catchIf(
        (error) =>
          error._tag === "DsqlConstraintError" ||
          (error._tag === "DsqlQueryError" && /^42(P07|710)$/.test(error.sqlState)),
        (error) => Effect.flatMap(exists(sql, table), (there) => (there ? Effect.void : Effect.fail(error)))
      )
    )
  })

/** The history is as `@effect/sql` makes it for PostgreSQL. */
const historyColumns = `
  migration_id integer primary key,
  created_at timestamp with time zone not null default now(),
  name text not null
`

const journalColumns = `
  migration_id integer NOT NULL,
  position integer NOT NULL,
  checksum text NOT NULL,
  statement text NOT NULL,
  state text NOT NULL,
  was_present boolean,
  job_id text,
  returned boolean NOT NULL DEFAULT false,
  started_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  PRIMARY KEY (migration_id, position)
`

/** Who has the lease (`owner`), and until when (`heartbeat`): two rows, so that a heartbeat collides with no journal entry. */
const leaseColumns = `
  name text PRIMARY KEY,
  token text NOT NULL,
  holder text NOT NULL,
  expires_at timestamptz NOT NULL
`

export const ensure = (
  sql: SqlClient.SqlClient,
  { history, journal, lease }: Tables
): Effect.Effect<void, DsqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    yield* create(sql, history, historyColumns)
    yield* create(sql, journal, journalColumns)
    yield* create(sql, lease, leaseColumns)
    yield* ask(
      sql`INSERT INTO ${sql(lease)} (name, token, holder, expires_at)
          VALUES ('owner', '', '', 'epoch'), ('heartbeat', '', '', 'epoch') ON CONFLICT (name) DO NOTHING`,
      { name }
    )
  })

interface EntryRow {
  readonly migration_id: number
  readonly position: number
  readonly checksum: string
  readonly statement: string
  readonly state: Entry["state"]
  readonly was_present: boolean | null
  readonly job_id: string | null
  readonly returned: boolean
}

const rowsOf = <A extends object>(sql: SqlClient.SqlClient, table: string, order: string) =>
  ask(sql<A>`SELECT * FROM ${sql(table)} ORDER BY ${sql.literal(order)}`.withoutTransform, { name }).pipe(
    Effect.catchTag("DsqlQueryError", (error) =>
      error.sqlState === "42P01" || error.sqlState === "3F000" ? Effect.succeed([]) : Effect.fail(error)
    )
  )

/** What is known; nothing where there are no tables yet. */
export const read = (
  sql: SqlClient.SqlClient,
  { history, journal }: Tables
): Effect.Effect<Known, DsqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    // First, since a migration comes into the history after its statements came into the journal.
    const applied = yield* rowsOf<{ migration_id: number; name: string; created_at: Date }>(
      sql,
      history,
      "migration_id"
    )
    const entries = yield* rowsOf<EntryRow>(sql, journal, "migration_id, position")
    return {
      applied: applied.map(({ created_at, migration_id, name }) => ({ id: migration_id, name, createdAt: created_at })),
      entries: entries.map((row) => ({
        migrationId: row.migration_id,
        position: row.position,
        checksum: row.checksum,
        statement: row.statement,
        state: row.state,
        before: row.was_present ?? undefined,
        jobId: row.job_id ?? undefined,
        returned: row.returned
      }))
    }
  })
