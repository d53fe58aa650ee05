import type { StatementKind } from "../../core/statementKind.js"
import type { Step } from "../../core/faults.js"
import type { Batch } from "../batches.js"
import type { Act } from "../statements/book.js"
import { query, readQuery } from "../statements/messages.js"
import type { Message } from "../framing.js"
import { errorFields, type ErrorFields, errorResponse, message, type TransactionStatus } from "../wire.js"

/** An error in the place of something that a client wants done. */
export interface Strike {
  readonly act: Act
  readonly error: ErrorFields
  /** Whether the transaction is over then, as after a COMMIT that failed. */
  readonly endsTransaction: boolean
  /** Called if the act fails otherwise before it comes to that. */
  readonly onMissed: () => void
}

const control: Readonly<Partial<Record<StatementKind, Step>>> = {
  begin: "BEGIN",
  commit: "COMMIT",
  rollback: "ROLLBACK"
}

/**
 * Which step a statement is for a session in such a state; `undefined` if none. What only sets or shows something of the
 * session is none: pools do it on their own.
 */
export const stepOf = (kind: StatementKind, status: TransactionStatus): Step | undefined => {
  if (kind === "empty" || kind === "session") return undefined
  if (kind === "rollback") return status === "I" ? undefined : "ROLLBACK"
  if (status === "E" || (kind === "commit" && status === "I")) return undefined
  return control[kind] ?? "statement"
}

/** The state behind a statement that succeeds. */
export const statusAfter = (kind: StatementKind, status: TransactionStatus): TransactionStatus => {
  if (kind === "begin") return status === "I" ? "T" : status
  return kind === "commit" || kind === "rollback" ? "I" : status
}

/** Neither a function nor a portal has this name, so what asks for it fails, and aborts the block that it is in. */
const nothing = "_dsql_fault"

const executeNothing: Message = { type: "E", raw: message("E", Buffer.from(`${nothing}\0`), Buffer.alloc(4)) }
const callNothing = (before: string): Message => ({ type: "Q", raw: query(`${before}SELECT ${nothing}()`) })

/** A batch that fails where the act was. What stands in front of it is done, what stands behind it is not. */
export const failingAt = ({ end, messages }: Batch, { index, likely }: Act): Batch => {
  const struck = messages[index]!
  const before = messages.slice(0, index)
  if (struck.type === "E") return { end, messages: [...before, executeNothing, ...messages.slice(index + 1)] }
  const sql = struck.type === "Q" ? (readQuery(struck.raw) ?? "") : ""
  return { end: "Query", messages: [...before, callNothing(sql.slice(0, likely?.source.start ?? 0))] }
}

/** Whether PostgreSQL failed where it was to fail. In a block that was aborted before it has other words for that. */
export const hasStruck = (answer: Message, { act }: Strike): boolean => {
  const fields = errorFields(answer.raw.subarray(5))
  if (act.likely?.kind === "rollback" && fields.get("C") === "25P02") return true
  return fields.get("M")?.includes(nothing) === true
}

export const strikeAnswer = ({ error }: Strike): Message => ({ type: "E", raw: errorResponse("ERROR", error) })
