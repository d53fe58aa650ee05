import type { Message } from "../framing.js"
import { literal } from "../quoting.js"
import { runText } from "../statements/messages.js"
import { type ErrorFields, message, type TransactionStatus } from "../wire.js"
import { rollBack } from "./block.js"
import type { Dialogue } from "./dialogue.js"
import { type Conflict, conflictAnswer } from "./failures.js"

export const readyForQuery = (status: TransactionStatus): Message => ({
  type: "Z",
  raw: message("Z", Buffer.from(status))
})

/** Makes PostgreSQL abort the block, which only an error does. */
export const abortBlock = async (dialogue: Dialogue, { code, message }: ErrorFields): Promise<void> => {
  await dialogue.askPrivately(runText(`SELECT _dsql.fail(${literal(code)}, ${literal(message)})`))
}

/** Answers a batch that does nothing but COMMIT with a conflict. The block is over then. */
export const loseAtCommit = async (
  dialogue: Dialogue,
  messages: ReadonlyArray<Message>,
  conflict: Conflict
): Promise<void> => {
  const answers = await dialogue.together(() => {
    dialogue.askPrivately(rollBack)
    return dialogue.ask(...messages.map(({ raw }) => raw))
  })
  // PostgreSQL warns that there is nothing to commit, and goes on.
  const end = answers.findIndex(({ type }) => type === "C" || type === "E")
  const before = answers.slice(0, Math.max(0, end)).filter(({ type }) => type !== "N")
  dialogue.answer([...before, conflictAnswer(conflict), ...answers.slice(-1)])
}
