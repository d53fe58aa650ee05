/** INSERT statements for batches of rows, and how to find out whether they took effect. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { DsqlConfigError } from "../Errors.js"
import type { Writer } from "./batchRun.js"
import * as checks from "./checks.js"
import type { Result } from "./request.js"

/** The protocol counts the parameters of a statement in 16 bits. */
const mostParameters = 65_535

interface InsertSettings {
  readonly table: string
  readonly key?: ReadonlyArray<string> | undefined
  readonly onConflict?: "fail" | "ignore" | "update" | undefined
}

type Values = ReadonlyArray<unknown>

const chunksOf = <A>(rows: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, n) => rows.slice(n * size, (n + 1) * size))

type Row = Readonly<Record<string, unknown>>

/** All values in one array; `undefined` if one of them is more than a parameter. A plain loop, since this is the hot one. */
const parametersOf = (rows: ReadonlyArray<Row>, columns: ReadonlyArray<string>): Array<unknown> | undefined => {
  const values: Array<unknown> = []
  for (const row of rows) {
    for (const column of columns) {
      const value = row[column]
      if (typeof value === "object" && Statement.isFragment(value)) return undefined
      values.push(value)
    }
  }
  return values
}

const valuesOf = (row: object, columns: ReadonlyArray<string>): Values => columns.map((column) => (row as Row)[column])

export const insertWriter = (
  sql: SqlClient.SqlClient,
  { key = [], onConflict = "fail", table }: InsertSettings
): Either.Either<Writer<object>, DsqlConfigError> => {
  const names = (columns: ReadonlyArray<string>) => sql.csv(columns.map((column) => sql`${sql(column)}`))

  const conflictClause = (columns: ReadonlyArray<string>): Statement.Fragment => {
    if (onConflict === "fail") return sql``
    const target = key.length === 0 ? sql`` : sql`(${names(key)})`
    const others = columns.filter((column) => !key.includes(column))
    return onConflict === "ignore" || others.length === 0
      ? sql` ON CONFLICT ${target} DO NOTHING`
      : sql` ON CONFLICT ${target} DO UPDATE SET ${sql.csv(
          others.map((column) => sql`${sql(column)} = excluded.${sql(column)}`)
        )}`
  }

  const texts = new Map<string, string>()
  /** The text for so many rows, which the next batches have as well. */
  const textFor = (columns: ReadonlyArray<string>, rows: number, returning: boolean): string => {
    const name = `${returning} ${rows}`
    const known = texts.get(name)
    if (known !== undefined) return known
    let next = 1
    const tuple = () => `(${columns.map(() => `$${next++}`).join(",")})`
    const tuples = sql.literal(Array.from({ length: rows }, tuple).join(","))
    const end = returning ? sql` RETURNING ${names(key)}` : sql``
    const [text] =
      sql`INSERT INTO ${sql(table)} (${names(columns)}) VALUES ${tuples}${conflictClause(columns)}${end}`.compile()
    texts.set(name, text)
    return text
  }

  /** What the helper of `@effect/sql` makes, for rows with values that are more than parameters, such as JSON. */
  const helped = (rows: ReadonlyArray<object>, columns: ReadonlyArray<string>, returning: boolean) =>
    sql`INSERT INTO ${sql(table)} ${sql.insert(rows as never)}${conflictClause(columns)}${
      returning ? sql` RETURNING ${names(key)}` : sql``
    }`

  /** Gives the keys of what was inserted, where they are not known beforehand; else how many rows were written. */
  const insert = (
    rows: ReadonlyArray<object>,
    returning: boolean
  ): Effect.Effect<ReadonlyArray<Values> | number, SqlError> => {
    const columns = Object.keys(rows[0]!)
    const values = parametersOf(rows as ReadonlyArray<Row>, columns)
    const statement =
      values === undefined
        ? helped(rows, columns, returning)
        : sql.unsafe(textFor(columns, rows.length, returning), values)
    return returning ? statement.values : Effect.map(statement.raw, (result) => (result as Result).rowCount ?? 0)
  }

  /** How many rows with these keys are there. */
  const count = (keys: ReadonlyArray<Values>): Effect.Effect<number, SqlError> => {
    const tuples = sql.csv(keys.map((values) => sql`(${sql.csv(values.map((value) => sql`${value as string}`))})`))
    const found = sql`SELECT count(*)::int FROM ${sql(table)} WHERE (${names(key)}) IN (${tuples})`
    return Effect.map(found.values, ([row]) => Number(row?.[0]))
  }

  const inParts = <A>(rows: ReadonlyArray<A>, columns: number) =>
    chunksOf(rows, Math.max(1, Math.floor(mostParameters / Math.max(1, columns))))

  const allThere = (keys: ReadonlyArray<Values>): Effect.Effect<Option.Option<number>, SqlError> =>
    Effect.map(
      Effect.forEach(inParts(keys, key.length), (part) => count(part)),
      (counts) => {
        const found = counts.reduce((sum, count) => sum + count, 0)
        return found === keys.length ? Option.some(found) : Option.none()
      }
    )

  const widthOf = (rows: ReadonlyArray<object>): number => Object.keys(rows[0]!).length
  const insertAll = (rows: ReadonlyArray<object>, returning: boolean) =>
    Effect.forEach(inParts(rows, widthOf(rows)), (part) => insert(part, returning))

  if (key.length === 0 && onConflict === "update") {
    return Either.left(checks.invalid("key", 'is needed for onConflict: "update": the columns of the primary key'))
  }

  /** Whether the keys of what is inserted are only known from what the table returns. */
  const returns = (rows: ReadonlyArray<object>): boolean =>
    key.length > 0 && (onConflict === "ignore" || (onConflict === "fail" && !key.every((column) => column in rows[0]!)))
  /** What the last attempt at a batch has inserted, by the batch. */
  const inserted = new WeakMap<ReadonlyArray<object>, ReadonlyArray<Values>>()
  const lookUp = (rows: ReadonlyArray<object>) =>
    // Writing the same rows once more changes nothing.
    onConflict === "update" || (onConflict === "ignore" && key.length === 0)
      ? Effect.succeedNone
      : allThere(returns(rows) ? inserted.get(rows)! : rows.map((row) => valuesOf(row, key)))

  return Either.right({
    write: (rows) =>
      returns(rows)
        ? Effect.map(insertAll(rows, true), (results) => {
            const keys = results.flat() as ReadonlyArray<Values>
            inserted.set(rows, keys)
            return keys.length
          })
        : Effect.map(insertAll(rows, false), (counts) => (counts as ReadonlyArray<number>).reduce((a, b) => a + b, 0)),
    verify: key.length === 0 && onConflict === "fail" ? undefined : lookUp,
    // The keys that were returned are needed before COMMIT, in case its answer is lost.
    isOneStatement: (rows) => !returns(rows) && rows.length * widthOf(rows) <= mostParameters
  })
}
