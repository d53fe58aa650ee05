import type { Message } from "../framing.js"
import { runText, valuesOf } from "../statements/messages.js"
import type { Block } from "./block.js"
import { type Conflict, errorIn } from "./failures.js"
import type { Held } from "./footprints.js"
import { ObserverError } from "./observer.js"
import { type SessionParts, watched } from "./repetition.js"

/** What PostgreSQL answered to a COMMIT, or why there was none. */
export type Ending =
  | { readonly _tag: "Answered"; readonly answers: ReadonlyArray<Message> }
  | { readonly _tag: "Lost"; readonly conflict: Conflict }

const lost = (conflict: Conflict): Ending => ({ _tag: "Lost", conflict })

/** Has `commit` commit a block that is as it was when its client last saw it, if it may. */
export const commitBlock = async (
  parts: SessionParts,
  block: Block,
  commit: () => Promise<ReadonlyArray<Message>>
): Promise<Ending> => {
  if (block.doom !== undefined) return lost(block.doom)
  const { coordinator, participant } = parts
  const { footprints, autocommits } = coordinator
  const holder = {
    processId: participant.processId,
    since: participant.since,
    ownRows: (tables: Names, updated: Names) => ownRows(parts, tables, updated)
  }
  try {
    const mayLeave = block.mayLeaveNoTrace && (autocommits.isAnyRunning || coordinator.isAnyOpenBeside(participant))
    // One look is enough: as long as this block holds a row, nobody else commits what is against that.
    const held = await footprints.heldBy(holder, mayLeave)
    if (footprints.collide(held, holder.since)) return lost("data")
    const footprint = mayLeave ? footprints.leave(held) : undefined
    if (footprint === undefined) return answered(await send(parts, block, commit))
    const answers = await autocommits
      .without(() => send(parts, block, commit))
      .catch((error: unknown) => {
        // The client has gone meanwhile. It may have committed.
        footprint.settle(coordinator.countCommit())
        throw error
      })
    const hasCommitted = answers !== undefined && errorIn(answers) === undefined
    footprint.settle(hasCommitted ? coordinator.commits : undefined)
    return answers === undefined ? lost("data") : answered(answers)
  } catch (error) {
    if (!(error instanceof ObserverError)) throw error
    // Whether it may commit cannot be told, so it must not.
    return lost("data")
  }
}

type Names = ReadonlyArray<string>

const ownRows = async ({ dialogue }: SessionParts, tables: Names, updated: Names): Promise<Held> => {
  const answers = await dialogue.askPrivately(
    runText(`SELECT held, mode FROM _dsql.own_footprint('{${tables.join()}}', '{${updated.join()}}')`)
  )
  if (errorIn(answers) !== undefined) throw new ObserverError()
  return answers.flatMap(({ raw, type }) => {
    if (type !== "D") return []
    const [row = "", mode = ""] = valuesOf(raw)
    return [[row, mode] as const]
  })
}

const answered = (answers: ReadonlyArray<Message>): Ending => ({ _tag: "Answered", answers })

const send = async (
  parts: SessionParts,
  block: Block,
  commit: () => Promise<ReadonlyArray<Message>>
): Promise<ReadonlyArray<Message>> => {
  const { coordinator, participant } = parts
  const { result: answers } = await watched(parts, block.changesSchema, commit)
  if (errorIn(answers) === undefined) {
    if (block.changesSchema) coordinator.countSchemaChange(participant)
    else coordinator.countCommit()
  }
  return answers
}
