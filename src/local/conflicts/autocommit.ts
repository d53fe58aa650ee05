import type { Batch } from "../batches.js"
import type { Message } from "../framing.js"
import type { Act } from "../statements/book.js"
import { begin, Block, commit, rollBack } from "./block.js"
import { commitBlock } from "./committing.js"
import { readyForQuery } from "./ending.js"
import { mayLeaveNoTrace } from "./facts.js"
import { conflictAnswer, errorIn, failureIn } from "./failures.js"
import { persistently, type SessionParts } from "./repetition.js"
import { repeated } from "./segments.js"
import type { Standing } from "./standing.js"

type Answers = ReadonlyArray<Message>

/** Runs a batch outside of a transaction that writes or locks. A conflict is reported at the statement. */
export class Autocommit {
  readonly #parts: SessionParts
  readonly #standing: Standing

  constructor(parts: SessionParts, standing: Standing) {
    this.#parts = parts
    this.#standing = standing
  }

  async run(batch: Batch, acts: ReadonlyArray<Act>): Promise<void> {
    const { coordinator, dialogue, participant } = this.#parts
    const changesSchema = acts.some(({ statement }) => statement?.kind === "ddl")
    const needsBlock = !changesSchema && (await this.#mayLeaveFootprint(acts))
    let answers: Answers = []
    let isFirst = true
    const attempt = async () => {
      const again = repeated(batch.messages)
      const messages = isFirst ? batch.messages.map(({ raw }) => raw) : again.messages
      const asked = needsBlock ? await this.#runAsBlock(messages) : await this.#runAlone(messages)
      answers = isFirst ? asked : again.cleaned(asked)
      isFirst = false
      return failureIn(answers)
    }
    await persistently(this.#parts, changesSchema, attempt, async () => {})
    const succeeded = errorIn(answers) === undefined
    if (succeeded && changesSchema) coordinator.countSchemaChange(participant)
    else if (succeeded && !needsBlock) coordinator.countCommit()
    dialogue.answer(answers, changesSchema ? "schema" : "data")
    this.#standing.settleKept(batch, succeeded)
  }

  /** Whether others could miss a lock that it takes. */
  async #mayLeaveFootprint(acts: ReadonlyArray<Act>): Promise<boolean> {
    const { coordinator, participant } = this.#parts
    if (!coordinator.isAnyOpenBeside(participant)) return false
    const facts = coordinator.facts ?? (await coordinator.learnFacts())
    return acts.some(({ statement }) => statement === undefined || mayLeaveNoTrace(statement, facts))
  }

  #runAlone(messages: ReadonlyArray<Buffer>): Promise<Answers> {
    return this.#parts.coordinator.autocommits.run(() => this.#parts.dialogue.ask(...messages))
  }

  /** Runs it in a block of its own, so that its locks can be looked at before they are gone. */
  async #runAsBlock(messages: ReadonlyArray<Buffer>): Promise<Answers> {
    const { dialogue } = this.#parts
    this.#standing.startBlock()
    const answers = await dialogue.together(() => {
      void dialogue.command(begin)
      return dialogue.ask(...messages)
    })
    const idle = readyForQuery("I")
    if (errorIn(answers) !== undefined) {
      await dialogue.command(rollBack)
      return [...answers.slice(0, -1), idle]
    }
    const block = new Block()
    block.mayLeaveNoTrace = true
    const ending = await commitBlock(this.#parts, block, () => dialogue.askPrivately(commit))
    const error = ending._tag === "Lost" ? conflictAnswer(ending.conflict) : errorIn(ending.answers)
    if (ending._tag === "Lost") await dialogue.command(rollBack)
    if (error === undefined) return [...answers.slice(0, -1), idle]
    const result = answers.findIndex(({ type }) => type === "D" || type === "C")
    return [...answers.slice(0, result), error, idle]
  }
}
