/**
 * The tag and the mark of `@effect/sql-pg`'s client. They go by their names, so these are the same as its own; its module
 * would bring a pool, cursors and the error's imports along, which are not needed here.
 */
import type { PgClient, TypeId } from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"

export const pgTag: Context.Tag<PgClient, PgClient> = Context.GenericTag<PgClient>("@effect/sql-pg/PgClient")

export const pgTypeId: TypeId = "~@effect/sql-pg/PgClient"
