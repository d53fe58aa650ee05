/** Rows as `pg-protocol` gives them, turned into values. */
import type { FieldDef } from "pg"

/** Finds the parser for a column's type. */
export interface TypeParsers {
  readonly getTypeParser: (oid: number, format: "text") => (text: string) => unknown
}

/** What the rows of a result look like. */
export class RowShape {
  private readonly parsers: ReadonlyArray<(text: string) => unknown>
  /** Copied for every row, so that all have one hidden class, and a column called `__proto__` is a column. */
  private readonly empty: Readonly<Record<string, unknown>>

  constructor(
    readonly fields: ReadonlyArray<FieldDef>,
    types: TypeParsers
  ) {
    this.parsers = fields.map((field) => types.getTypeParser(field.dataTypeID, "text"))
    this.empty = Object.fromEntries(fields.map((field) => [field.name, null]))
  }

  toObject(values: ReadonlyArray<string | null>): Record<string, unknown> {
    const row: Record<string, unknown> = { ...this.empty }
    for (let index = 0; index < values.length; index++) {
      const value = values[index]!
      if (value !== null) row[this.fields[index]!.name] = this.parsers[index]!(value)
    }
    return row
  }

  toArray(values: ReadonlyArray<string | null>): ReadonlyArray<unknown> {
    return values.map((value, index) => (value === null ? null : this.parsers[index]!(value)))
  }
}
