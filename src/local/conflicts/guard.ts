import type { Batch } from "../batches.js"
import type { Message } from "../framing.js"
import type { Act } from "../statements/book.js"
import { runOneByOne } from "./approximation.js"
import { begin, Block, rollBack, setSavepoint } from "./block.js"
import { commitBlock } from "./committing.js"
import { abortBlock, loseAtCommit } from "./ending.js"
import { conflictErrors, errorIn, type Failure, failureIn } from "./failures.js"
import { noteForGood, noteStep } from "./notes.js"
import { moveToOwnCopies } from "./ownCopies.js"
import {
  persistently,
  repeatSteps,
  repeatWhatGoes,
  restoreSteps,
  type SessionParts,
  watched,
  withdrawSteps
} from "./repetition.js"
import { repeated } from "./segments.js"

const changesSchema = (acts: ReadonlyArray<Act>): boolean => acts.some(({ statement }) => statement?.kind === "ddl")

/** Runs what writes or locks in the blocks of one session so that nobody has to wait for it. */
export class Guard {
  readonly #parts: SessionParts
  /** What the block that the session is in has written or locked, if anything. */
  #block: Block | undefined

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  get block(): Block | undefined {
    return this.#block
  }

  /** The block is over, however it ended. */
  endBlock(): void {
    this.#block = undefined
  }

  /** Runs a batch in a block. */
  async run(batch: Batch, acts: ReadonlyArray<Act>): Promise<void> {
    const { dialogue } = this.#parts
    const block = (this.#block ??= new Block())
    await this.restore()
    if (block.doom !== undefined) return runOneByOne(this.#parts, block, batch, acts)
    const { result: answers } = await watched(this.#parts, changesSchema(acts), () =>
      dialogue.together(() => {
        if (!block.hasSavepoint) void dialogue.askPrivately(setSavepoint)
        block.hasSavepoint = true
        return dialogue.ask(...batch.messages.map(({ raw }) => raw))
      })
    )
    const failure = this.#failureIn(answers)
    if (failure === undefined || failure === "error") await this.#finish(block, acts, answers)
    else await this.#recover(block, batch, acts, failure)
    if (block.changesSchema && block.doom === undefined && block.steps.length > 0 && dialogue.status === "T") {
      // Whoever reads a table waits for its change, so that is there only at work and at COMMIT.
      await withdrawSteps(this.#parts, block)
    }
  }

  /** Does again what has been given up. */
  async restore(): Promise<void> {
    const block = this.#block
    if (block === undefined) return
    await restoreSteps(this.#parts, block)
    if (block.doom !== undefined && (block.isEvicted || block.isBehind)) await moveToOwnCopies(this.#parts, block)
  }

  /** Takes note of what was done in the block without us, and cannot be done again. */
  async noteForGood(acts: ReadonlyArray<Act>, hasSavepoints: boolean): Promise<void> {
    const block = (this.#block ??= new Block())
    block.isOpaque ||= hasSavepoints
    await noteForGood(this.#parts, block, acts)
  }

  /** Runs a batch that commits and does nothing else. */
  async commit({ messages }: Batch): Promise<void> {
    const { dialogue } = this.#parts
    const block = this.#block ?? new Block()
    await restoreSteps(this.#parts, block)
    const ending = await commitBlock(this.#parts, block, () => dialogue.ask(...messages.map(({ raw }) => raw)))
    this.#block = undefined
    if (ending._tag === "Lost") await loseAtCommit(dialogue, messages, ending.conflict)
    else dialogue.answer(ending.answers)
  }

  /** Whether it could give up its locks now, or has none. */
  get canYield(): boolean {
    const block = this.#block
    return block !== undefined && block.hasSavepoint && !block.isOpaque && !(block.isEvicted && block.isPinned)
  }

  /** Gives up the locks of the block until it needs them. */
  async yieldLocks(): Promise<void> {
    const block = this.#block
    if (block !== undefined && block.hasSavepoint && !block.isEvicted) await withdrawSteps(this.#parts, block)
  }

  /** Gives up everything of the block. What the client sees of it is not changed by that. */
  async abandon(): Promise<void> {
    const { dialogue } = this.#parts
    const { status } = dialogue
    if (status === "I") return
    this.#block = undefined
    await dialogue.command(rollBack)
    await dialogue.command(begin)
    if (status === "E") await abortBlock(dialogue, conflictErrors.schema)
  }

  #failureIn(answers: ReadonlyArray<Message>): Failure | undefined {
    const failure = failureIn(answers)
    const { coordinator, participant } = this.#parts
    // If nobody has written anything since, the block sees whatever row stands in the way.
    const isAlone = coordinator.commits === participant.since && !coordinator.isAnyAtWorkBeside(participant)
    return failure === "constraint" && isAlone ? "error" : failure
  }

  async #finish(block: Block, acts: ReadonlyArray<Act>, answers: ReadonlyArray<Message>): Promise<void> {
    this.#parts.dialogue.answer(answers)
    if (errorIn(answers) === undefined) await noteStep(this.#parts, block, acts, answers)
  }

  /** Goes on after a batch that was refused a lock, or has met a change that the block does not see. */
  async #recover(block: Block, batch: Batch, acts: ReadonlyArray<Act>, first: Failure): Promise<void> {
    const { coordinator, dialogue } = this.#parts
    const isSchemaChange = changesSchema(acts) || block.changesSchema
    let answers: ReadonlyArray<Message> = []
    const attempt = async (): Promise<Failure | undefined> => {
      const failure = await repeatSteps(this.#parts, block)
      if (failure !== undefined) return failure
      const again = repeated(batch.messages)
      answers = again.cleaned(await dialogue.ask(...again.messages))
      return this.#failureIn(answers)
    }
    const withdraw = () => withdrawSteps(this.#parts, block)
    await withdraw()
    const failure =
      first === "refused"
        ? await coordinator.inTurn(() => persistently(this.#parts, isSchemaChange, attempt, withdraw))
        : first
    if (failure === undefined || failure === "error") return this.#finish(block, acts, answers)
    if (failure !== "constraint") block.doom = isSchemaChange ? "schema" : "data"
    if (first === "refused") await withdraw()
    await repeatWhatGoes(this.#parts, block)
    if (block.isBehind) await moveToOwnCopies(this.#parts, block)
    await runOneByOne(this.#parts, block, batch, acts)
  }
}
