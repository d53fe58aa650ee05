/** The error of the batches. */
import * as Data from "effect/Data"
import type { DsqlError } from "../Errors.js"
import { withoutPage, withPage } from "./pages.js"

/** Where both ends are one row, one is enough. */
const rowsOf = ({ from, to }: { readonly from: number; readonly to: number }): string =>
  from === to ? `Row ${from}` : `Rows ${from} to ${to}`

/**
 * Batches that could not all be written. Everything before row `from` of the source is done and stays so; `last` is the row
 * before it, to go on behind. With more than one batch at a time, some behind `to` may be done as well.
 *
 * `Failed`: a batch failed, as `cause` says, also after it was retried and split. `OutcomeUnknown`: its answer was
 * lost, and nobody can tell whether it took effect. `Columns`: a row has other columns than the first.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlBatchError extends Data.TaggedError("DsqlBatchError")<{
  readonly reason: "Failed" | "OutcomeUnknown" | "Columns"
  readonly table: string
  /** The first and the last row at fault, counted from 1 in the order of the source. */
  readonly from: number
  readonly to: number
  /** The last row of the source that is done; `undefined` if there is none. */
  readonly last: unknown
  /** The column that one of the rows lacks, for `Columns`. */
  readonly column?: string | undefined
  readonly cause?: DsqlError | undefined
}> {
  override get message(): string {
    return withPage(this._tag, text(this))
  }
}

const text = (error: DsqlBatchError): string => {
  const cause = withoutPage(error.cause?.message ?? "")
  const rows = `${rowsOf(error)} of what was to be written to ${error.table}`
  const goOn = `go on from row ${error.from}`
  switch (error.reason) {
    case "Failed":
      return `${rows}: nothing of that batch was written, all before it was; mend what is said here, then ${goOn}: ${cause}`
    case "OutcomeUnknown":
      return `${rows}: the answer was lost; look in the table whether they are written, then go on behind them or from them. With the \`key\` of an insert, or an update that is \`repeatable\`, it is settled for you: ${cause}`
    case "Columns":
      return `${rows}: the first row of the source and this one do not have the same columns: ${error.column} is in one of them only. Give all rows the same, with null where there is nothing, then ${goOn}`
  }
}
