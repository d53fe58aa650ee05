import { createHash } from "node:crypto"
import type { Message } from "../framing.js"
import { type Call, runText } from "../statements/messages.js"
import type { Conflict } from "./failures.js"

/** What a transaction did in one go, and how to do it again. */
export interface Step {
  readonly calls: ReadonlyArray<Call>
  /** The names of the tables that it writes. */
  readonly targets: ReadonlySet<string>
  /**
   * Of what PostgreSQL answered, if it did. Whoever gets another answer the second time has been told something wrong the
   * first.
   */
  readonly digest: string | undefined
}

/**
 * A transaction block that has written or locked something. Its locks can be given up by rolling back to a savepoint, which
 * keeps what the transaction sees, and taken again by repeating its steps since then.
 */
export class Block {
  /** Whether the savepoint is set that the steps follow. */
  hasSavepoint = false
  steps: Array<Step> = []
  /** Whether the steps are rolled back. */
  isEvicted = false
  /** Why it must not commit. */
  doom: Conflict | undefined
  /** Whether it has been told of steps that are not done; only if it is doomed. */
  isBehind = false
  /** Whether it did something in front of the savepoint that cannot be given up. */
  isPinned = false
  /** Whether the client sets savepoints itself, so that we cannot. */
  isOpaque = false
  /** Whether it may have locked rows that it did not write, or removed some. */
  mayLeaveNoTrace = false
  changesSchema = false

  /** What it did so far stays where it is. */
  pin(): void {
    this.isPinned = true
    this.hasSavepoint = false
    this.steps = []
  }
}

/** PostgreSQL's answers as far as they tell what happened. */
export const digestOf = (answers: ReadonlyArray<Message>): string => {
  const hash = createHash("sha1")
  for (const { raw, type } of answers) if (type === "C" || type === "D") hash.update(raw)
  return hash.digest("base64")
}

/** In front of the steps of a block. */
export const setSavepoint: Buffer = runText("SAVEPOINT _dsql_block")
export const rollBackToSavepoint: Buffer = runText("ROLLBACK TO SAVEPOINT _dsql_block")

/** Around a single statement whose failure is to leave the rest as it is. */
export const setInnerSavepoint: Buffer = runText("SAVEPOINT _dsql_step")
export const rollBackToInnerSavepoint: Buffer = runText("ROLLBACK TO SAVEPOINT _dsql_step")
export const releaseInnerSavepoint: Buffer = runText("RELEASE SAVEPOINT _dsql_step")

export const begin: Buffer = runText("BEGIN")
export const commit: Buffer = runText("COMMIT")
export const rollBack: Buffer = runText("ROLLBACK")
