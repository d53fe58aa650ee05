/** Cutting rows into batches that one transaction can hold. */

/** What a row takes beside its values, in bytes: PostgreSQL's tuple header and item pointer. */
const rowOverhead = 28

/** What a value takes beside its text: a length, or the alignment of a fixed size. */
const valueOverhead = 4

const bytesOf = (value: unknown): number => {
  switch (typeof value) {
    case "string":
      return Buffer.byteLength(value)
    case "number":
    case "bigint":
    case "boolean":
      return 8
    case "object":
      return value === null ? 0 : ArrayBuffer.isView(value) ? value.byteLength : bytesOfObject(value)
    default:
      return 0
  }
}

const bytesOfObject = (value: object): number => {
  try {
    return Buffer.byteLength(JSON.stringify(value) ?? "")
  } catch {
    // What cannot be written as JSON will not be stored either; the statement says so.
    return 0
  }
}

/** An estimate of what a row takes, without its indexes. */
export const rowBytes = (row: object): number => {
  let bytes = rowOverhead
  for (const column in row) bytes += bytesOf((row as Readonly<Record<string, unknown>>)[column]) + valueOverhead
  return bytes
}

export interface BatchLimits {
  readonly maxRows: number
  readonly maxBytes: number
}

/** Collects rows until one more would be too many or too much. A row that is too much by itself is a batch of its own. */
export class Batcher<A extends object> {
  private rows: Array<A> = []
  private bytes = 0

  constructor(private readonly limits: BatchLimits) {}

  /** Takes rows, and gives the batches that they have filled. */
  add(rows: Iterable<A>): ReadonlyArray<ReadonlyArray<A>> {
    const full: Array<ReadonlyArray<A>> = []
    for (const row of rows) {
      const bytes = rowBytes(row)
      if (this.rows.length === this.limits.maxRows || this.bytes + bytes > this.limits.maxBytes)
        full.push(...this.rest())
      this.rows.push(row)
      this.bytes += bytes
    }
    return full
  }

  /** The last batch, if there is one. */
  rest(): ReadonlyArray<ReadonlyArray<A>> {
    const batch = this.rows
    this.rows = []
    this.bytes = 0
    return batch.length === 0 ? [] : [batch]
  }
}

/** Whether a row has these columns in this order, as rows that are made in one place have. */
const hasColumns = (row: object, columns: ReadonlyArray<string>): boolean => {
  let index = 0
  for (const column in row) if (column !== columns[index++]) return false
  return index === columns.length
}

/** A column that some row has and the first has not, or the other way round. */
export const findDifferentColumn = (
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<object>
): string | undefined => {
  for (const row of rows) {
    if (hasColumns(row, columns)) continue
    const others = Object.keys(row)
    const different =
      others.find((column) => !columns.includes(column)) ?? columns.find((column) => !others.includes(column))
    if (different !== undefined) return different
  }
  return undefined
}
