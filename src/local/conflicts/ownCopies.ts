import { identifier, literal } from "../quoting.js"
import { runText } from "../statements/messages.js"
import {
  type Block,
  releaseInnerSavepoint,
  rollBackToInnerSavepoint,
  rollBackToSavepoint,
  setInnerSavepoint,
  setSavepoint
} from "./block.js"
import { errorIn } from "./failures.js"
import { repeatWhatGoes, type SessionParts } from "./repetition.js"

/** Larger tables are not copied: that would take longer than a client would wait for a statement. */
const rowLimit = 10_000

/**
 * Lets a block that is doomed go on as if it were alone: on copies of the tables that it writes, with what it sees in them.
 * There it does again what it has done, and what it was only told to have done.
 */
export const moveToOwnCopies = async (
  parts: SessionParts,
  block: Block,
  moreTargets: ReadonlySet<string> = new Set()
): Promise<void> => {
  const { dialogue } = parts
  await dialogue.command(block.hasSavepoint ? rollBackToSavepoint : setSavepoint)
  block.hasSavepoint = true
  for (const name of new Set([...block.steps.flatMap(({ targets }) => [...targets]), ...moreTargets])) {
    await dialogue.command(setInnerSavepoint)
    const answers = await dialogue.askPrivately(
      runText(`SELECT _dsql.own_copy(${literal(identifier(name))}, ${rowLimit})`)
    )
    // It may not be allowed to read all of the table, for instance.
    await dialogue.command(errorIn(answers) === undefined ? releaseInnerSavepoint : rollBackToInnerSavepoint)
  }
  // Of statements that are prepared PostgreSQL does not notice that a name means something else.
  await dialogue.command(runText("DISCARD PLANS"))
  await repeatWhatGoes(parts, block)
  // What still does not go is left out for good.
  block.isBehind = false
}
