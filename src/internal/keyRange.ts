/** The rows of a range of keys, page by page. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Result } from "./request.js"

type Key = ReadonlyArray<string>

interface RangeSettings {
  readonly table: string
  readonly key: ReadonlyArray<string>
  readonly where?: Statement.Fragment | undefined
  readonly after?: Key | undefined
}

const columnsOf = (sql: SqlClient.SqlClient, key: ReadonlyArray<string>) =>
  sql.csv(key.map((column) => sql`${sql(column)}`))

const tupleOf = (sql: SqlClient.SqlClient, key: Key) => sql.csv(key.map((value) => sql`${value}`))

/**
 * The keys of the rows, in their order, at most `size` in a page. As text they lose nothing, which a Date or a number could.
 */
export const keyPages = <E, R>(
  sql: SqlClient.SqlClient,
  { after, key, table, where }: RangeSettings,
  size: number,
  read: (page: Statement.Statement<unknown>) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, E, R>
): Stream.Stream<ReadonlyArray<KeyInRange>, E, R> => {
  const columns = columnsOf(sql, key)
  // With names of their own, or ORDER BY would take the texts for the columns.
  const texts = sql.csv(key.map((column, index) => sql`${sql(column)}::text AS ${sql(`key_${index}`)}`))
  return Stream.paginateChunkEffect(after, (last) => {
    const behind = last === undefined ? sql`true` : sql`(${columns}) > (${tupleOf(sql, last)})`
    const condition = where === undefined ? sql`` : sql` AND (${where})`
    const page = sql`SELECT ${texts} FROM ${sql(table)} WHERE ${behind}${condition} ORDER BY ${columns} LIMIT ${sql.literal(String(size))}`
    return Effect.map(read(page), (rows) => {
      const keys = rows as ReadonlyArray<Key>
      const batch = keys.map((values, index) => Object.assign(Array.from(values), { after: keys[index - 1] ?? last }))
      return [
        batch.length === 0 ? Chunk.empty() : Chunk.of(batch),
        keys.length < size ? Option.none() : Option.some(keys.at(-1))
      ]
    })
  })
}

/** A key, and the one that it comes behind. */
export type KeyInRange = Key & { readonly after: Key | undefined }

export const rangeWriter =
  (
    sql: SqlClient.SqlClient,
    { key, where }: RangeSettings,
    change: (range: Statement.Fragment) => Statement.Statement<unknown>
  ) =>
  (keys: ReadonlyArray<KeyInRange>): Effect.Effect<number, SqlError> => {
    const columns = columnsOf(sql, key)
    const [first] = keys
    const conditions = [
      ...(first?.after === undefined ? [] : [sql`(${columns}) > (${tupleOf(sql, first.after)})`]),
      sql`(${columns}) <= (${tupleOf(sql, keys.at(-1)!)})`,
      ...(where === undefined ? [] : [sql`(${where})`])
    ]
    return Effect.map(change(sql.and(conditions)).raw, (result) => (result as Result).rowCount ?? 0)
  }
