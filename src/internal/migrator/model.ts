/** Migrations as they are loaded, and what the database knows of them. */
import type * as Effect from "effect/Effect"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { Unit } from "../../core/script.js"
import type { DsqlMigrationError } from "./error.js"

/** A file of SQL. */
export class SqlFile {
  constructor(
    readonly path: string,
    readonly text: string
  ) {}
}

/** A step of a migration: what is run, and what the journal knows it by. */
export interface Step {
  readonly kind: Unit["kind"]
  /** Which of its migration, counted from 1. */
  readonly position: number
  readonly line: number | undefined
  readonly text: string
  readonly checksum: string
}

export interface Named {
  readonly id: number
  readonly name: string
}

/** What of a migration is to be run, and why it cannot be as it stands. */
export type Migration = Named & { readonly problems: ReadonlyArray<DsqlMigrationError> } & (
    | { readonly kind: "sql"; readonly file: string; readonly steps: ReadonlyArray<Step & { readonly unit: Unit }> }
    | { readonly kind: "effect"; readonly effect: Effect.Effect<unknown, unknown, SqlClient.SqlClient> }
  )

/** An entry of the journal. */
export interface Entry {
  readonly migrationId: number
  readonly position: number
  readonly checksum: string
  readonly statement: string
  readonly state: "running" | "done"
  /** Whether what the statement leaves in the catalog was there before it ran; `undefined` when one cannot tell by that. */
  readonly before: boolean | undefined
  readonly jobId: string | undefined
  /** Whether it gave rows. */
  readonly returned: boolean
}

/** A migration that has been applied. */
export interface Applied extends Named {
  readonly createdAt: Date
}

/** All that the database knows. */
export interface Known {
  readonly applied: ReadonlyArray<Applied>
  readonly entries: ReadonlyArray<Entry>
}

export const nameOf = ({ id, name }: Named): string => `${id}_${name}`
