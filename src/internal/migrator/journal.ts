/** The journal of statements, and the catalog as a witness of what it does not know. */
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CatalogObject } from "../../core/catalogTraces.js"
import { ask } from "../alone.js"
import { shortened } from "./error.js"
import type { Lease } from "./lease.js"
import { type Named, nameOf, type Step } from "./model.js"
import type { Tables } from "./tables.js"

const name = "migrations"

/** What is written of one migration. Every entry is one that can be written twice. */
export const makeJournal = (sql: SqlClient.SqlClient, tables: Tables, lease: Lease, migration: Named) => {
  const journal = sql(tables.journal)
  const at = ({ position }: Step) => sql`migration_id = ${migration.id} AND position = ${position}`

  const write = (
    { checksum, position, text }: Step,
    state: string,
    before: boolean | undefined,
    returned: boolean
  ) => sql`
    INSERT INTO ${journal} (migration_id, position, checksum, statement, state, was_present, returned, finished_at)
    VALUES (${migration.id}, ${position}, ${checksum}, ${shortened(text)}, ${state}, ${before ?? null}, ${returned}, ${
      state === "done" ? sql`now()` : sql`NULL`
    })
    ON CONFLICT (migration_id, position) DO UPDATE SET checksum = excluded.checksum, statement = excluded.statement,
      state = excluded.state, was_present = excluded.was_present, returned = excluded.returned,
      finished_at = excluded.finished_at, job_id = NULL`

  return {
    /** Before a statement that commits by itself. */
    begin: (step: Step, before: boolean | undefined) => lease.fenced(write(step, "running", before, false)),
    startJob: (step: Step, jobId: string) =>
      lease.fenced(sql`UPDATE ${journal} SET job_id = ${jobId} WHERE ${at(step)}`),
    finish: (step: Step, returned = false) =>
      lease.fenced(
        sql`UPDATE ${journal} SET state = 'done', returned = ${returned}, finished_at = now() WHERE ${at(step)}`
      ),
    /** It had no effect. */
    forget: (step: Step) => lease.fenced(sql`DELETE FROM ${journal} WHERE ${at(step)}`),
    /** In the transaction of the statement itself. */
    writeDone: (step: Step, returned: boolean) => write(step, "done", undefined, returned),
    /** Whether that transaction has committed. */
    isDone: (step: Step) =>
      Effect.map(
        ask(sql`SELECT 1 FROM ${journal} WHERE ${at(step)} AND state = 'done' AND checksum = ${step.checksum}`, {
          name
        }),
        (rows) => rows.length > 0
      ),
    complete: lease.fenced(
      sql`INSERT INTO ${sql(tables.history)} (migration_id, name) VALUES (${migration.id}, ${migration.name})
        ON CONFLICT (migration_id) DO NOTHING`
    ),
    /** What to do by hand about a statement of which nobody knows whether it took effect. */
    remedy: (step: Step): string =>
      `If it has: UPDATE ${tables.journal} SET state = 'done' WHERE migration_id = ${migration.id} AND position = ${step.position}. ` +
      `If not: DELETE FROM ${tables.journal} WHERE migration_id = ${migration.id} AND position = ${step.position}. ` +
      `Then run again (${nameOf(migration)} goes on there)`
  }
}

export type Journal = ReturnType<typeof makeJournal>

/** Whether an object is in the catalog. */
export const isPresent = (sql: SqlClient.SqlClient, object: CatalogObject) => {
  const inSchema = (schema: string | undefined) => sql`n.nspname = coalesce(${schema ?? null}::text, current_schema())`
  const find = () => {
    switch (object.kind) {
      case "relation":
      case "index":
        return sql`pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relname = ${object.name} AND ${inSchema(object.schema)}`
      case "schema":
        return sql`pg_namespace n WHERE n.nspname = ${object.name}`
      case "role":
        return sql`pg_roles r WHERE r.rolname = ${object.name}`
      case "type":
        return sql`pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
          WHERE t.typname = ${object.name} AND ${inSchema(object.schema)}`
      case "column":
        return sql`pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE a.attname = ${object.name} AND NOT a.attisdropped AND c.relname = ${object.table} AND ${inSchema(object.schema)}`
      case "constraint":
      case "validated":
        return sql`pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE k.conname = ${object.name} AND c.relname = ${object.table} AND ${inSchema(object.schema)}
            AND ${object.kind === "validated" ? sql`k.convalidated` : sql`true`}`
    }
  }
  return Effect.map(ask(sql`SELECT 1 FROM ${find()} LIMIT 1`, { name }), (rows) => rows.length > 0)
}

/** The last job that works on an index; `None` if the service knows of none. */
export const jobOfIndex = (
  sql: SqlClient.SqlClient,
  { name: index, schema }: CatalogObject & { readonly kind: "index" }
) =>
  Effect.map(
    ask(
      sql<{ job_id: string }>`
        SELECT j.job_id FROM sys.jobs j JOIN pg_class c ON c.oid = j.object_id JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = ${index} AND n.nspname = coalesce(${schema ?? null}::text, current_schema())
        ORDER BY j.start_time DESC LIMIT 1`.withoutTransform,
      { name }
    ),
    ([row]) => Option.fromNullable(row?.job_id)
  )

export const isValidIndex = (
  sql: SqlClient.SqlClient,
  { name: index, schema }: CatalogObject & { readonly kind: "index" }
) =>
  Effect.map(
    ask(
      sql`SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = ${index} AND n.nspname = coalesce(${schema ?? null}::text, current_schema()) AND i.indisvalid`,
      { name }
    ),
    (rows) => rows.length > 0
  )
