import type { StatementKind } from "../../core/statementKind.js"
import { type Batch, isMixed, isQuestion, isWhole } from "../batches.js"
import type { Act } from "../statements/book.js"
import { check, sync } from "../statements/messages.js"
import { Autocommit } from "./autocommit.js"
import type { CopyPhase } from "./copyPhase.js"
import { abortBlock, loseAtCommit, readyForQuery } from "./ending.js"
import { isVolatile } from "./facts.js"
import { type Conflict, conflictAnswer, conflictErrors, errorIn, fieldsOf } from "./failures.js"
import type { Guard } from "./guard.js"
import { type SessionParts, watched } from "./repetition.js"
import { batchOf, segmentsOf } from "./segments.js"
import { guardedKinds, type Standing } from "./standing.js"

const controlKinds: ReadonlySet<StatementKind> = new Set(["begin", "commit", "rollback", "savepoint"])

type Kinds = ReadonlyArray<StatementKind>

const isGuarded = (kinds: Kinds): boolean => kinds.some((kind) => guardedKinds.has(kind))

export const bytesOf = ({ messages }: Batch): ReadonlyArray<Buffer> => messages.map(({ raw }) => raw)

/** Runs the batches of a session one after the other, each as what it does demands. */
export class BatchRunner {
  readonly #parts: SessionParts
  readonly #standing: Standing
  readonly #guard: Guard
  readonly #copy: CopyPhase
  /** Whether what comes is ignored until the next Sync. */
  #isSkipping = false

  constructor(parts: SessionParts, standing: Standing, guard: Guard, copy: CopyPhase) {
    this.#parts = parts
    this.#standing = standing
    this.#guard = guard
    this.#copy = copy
  }

  get isSkipping(): boolean {
    return this.#isSkipping
  }

  async run(batch: Batch): Promise<void> {
    if (this.#isSkipping) return this.#skip(batch)
    const { coordinator, dialogue } = this.#parts
    const acts = this.#standing.book.follow(batch)
    this.#standing.note(acts)
    if (!isQuestion(batch)) return dialogue.send(...bytesOf(batch))
    if (!this.#standing.isOpen && this.#standing.conflictsWithSchema(acts)) return this.#refuse(batch, acts, "schema")
    if (acts.some((act) => this.#standing.kindOf(act) === undefined)) await coordinator.learnFacts()
    const kinds = acts.map((act) => this.#standing.kindOf(act) ?? "unknown")
    if (this.#standing.isOpen || !isWhole(batch) || isMixed(batch)) return this.#runPart(batch, acts, kinds)
    if (dialogue.status === "E") return this.#runInAbortedBlock(batch, acts, kinds)
    const isInBlock = dialogue.status === "T"
    const hasControl = acts.length > 1 && kinds.some((kind) => controlKinds.has(kind))
    if (hasControl && (isInBlock || (kinds[0] === "begin" && isGuarded(kinds)))) return this.#split(batch, acts)
    return isInBlock ? this.#runInBlock(batch, acts, kinds) : this.#runOutside(batch, acts, kinds)
  }

  /** Sends a batch as it is, and its answers as they come. */
  async #pass(batch: Batch, acts: ReadonlyArray<Act>): Promise<void> {
    const unit = this.#standing.expect(batch, acts)
    this.#parts.dialogue.send(...bytesOf(batch))
    if (isWhole(batch)) await unit.answered()
  }

  async #runInBlock(batch: Batch, acts: ReadonlyArray<Act>, kinds: Kinds): Promise<void> {
    const { coordinator, dialogue } = this.#parts
    const [kind] = kinds
    if (acts.length === 1 && kind === "commit") {
      await this.#guard.commit(batch)
      this.#standing.settleKept(batch, true)
      return this.#standing.startAnew()
    }
    if (acts.length === 1 && kind === "rollback") {
      await this.#pass(batch, acts)
      return this.#standing.startAnew()
    }
    const isPlain = kinds.includes("copyIn") || kinds.includes("savepoint") || this.#guard.block?.isOpaque === true
    if (isGuarded(kinds) && !isPlain) {
      await this.#guard.run(batch, acts)
      return this.#standing.settleKept(batch, dialogue.status === "T")
    }
    await this.#guard.restore()
    if (isPlain && this.#guard.block?.doom !== undefined) return this.#refuse(batch, acts, this.#guard.block.doom)
    await this.#passWatched(batch, acts, kinds)
    if (isPlain) await this.#guard.noteForGood(acts, kinds.includes("savepoint"))
    else if (this.#guard.block !== undefined && this.#mayLeaveMore(acts, coordinator.facts)) {
      await this.#guard.noteForGood(acts, false)
    }
  }

  async #runInAbortedBlock(batch: Batch, acts: ReadonlyArray<Act>, kinds: Kinds): Promise<void> {
    await this.#pass(batch, acts)
    // Back to a savepoint of the client's, ours may be gone.
    if (this.#parts.dialogue.status === "T" && kinds.includes("savepoint")) await this.#guard.noteForGood(acts, true)
  }

  /** Whether something else than rows may have changed. */
  #mayLeaveMore(acts: ReadonlyArray<Act>, facts: SessionParts["coordinator"]["facts"]): boolean {
    return acts.some(
      ({ statement }) =>
        statement?.kind === "session" ||
        (statement !== undefined && facts !== undefined && isVolatile(statement, facts))
    )
  }

  async #runOutside(batch: Batch, acts: ReadonlyArray<Act>, kinds: Kinds): Promise<void> {
    const { coordinator } = this.#parts
    if (!isGuarded(kinds)) return this.#pass(batch, acts)
    if (kinds.includes("copyIn") || kinds.includes("unknown") || kinds.some((kind) => controlKinds.has(kind))) {
      await coordinator.autocommits.run(() => this.#passWatched(batch, acts, kinds))
      return void coordinator.countCommit()
    }
    await new Autocommit(this.#parts, this.#standing).run(batch, acts)
  }

  /** As `#pass`, for what may be blocked, or takes data from the client. */
  async #passWatched(batch: Batch, acts: ReadonlyArray<Act>, kinds: Kinds): Promise<void> {
    const unit = this.#standing.expect(batch, acts)
    this.#parts.dialogue.send(...bytesOf(batch))
    if (kinds.includes("copyIn")) this.#copy.expect(batch)
    await watched(this.#parts, false, () => unit.answered())
    this.#copy.end()
  }

  /** A batch that no Sync ends, or that ends others. Its answers cannot be taken back. */
  async #runPart(batch: Batch, acts: ReadonlyArray<Act>, kinds: Kinds): Promise<void> {
    const { dialogue } = this.#parts
    const isFirst = !this.#standing.isOpen
    if (isFirst && dialogue.status === "T") await this.#guard.restore()
    const { doom } = this.#guard.block ?? {}
    if (isFirst && doom !== undefined && isGuarded(kinds)) return this.#refuse(batch, acts, doom)
    if (isFirst && this.#onlyPrepares(batch, acts)) return this.#prepare(batch)
    const endsSurely = this.#standing.endsSurely(batch)
    const unit = this.#standing.expect(batch, acts)
    dialogue.send(...bytesOf(batch))
    if (kinds.includes("copyIn")) {
      this.#copy.expect(batch)
      unit.answered().then(
        () => this.#copy.end(),
        () => {}
      )
    }
    if (!isWhole(batch)) return
    await watched(this.#parts, false, () => (endsSurely ? unit.answered() : unit.answeredOrFailed()))
    if (dialogue.status === "T" && isGuarded(unit.acts.map((act) => this.#standing.kindOf(act) ?? "unknown"))) {
      await this.#guard.noteForGood(unit.acts, false)
    }
  }

  #onlyPrepares({ end, messages }: Batch, acts: ReadonlyArray<Act>): boolean {
    const { status } = this.#parts.dialogue
    // Outside of a block a Sync would be the end of what it binds.
    const prepares =
      messages.some(({ type }) => type === "P") && (status === "T" || !messages.some(({ type }) => type === "B"))
    return prepares && acts.length === 0 && end === "Flush" && status !== "E"
  }

  /** Only prepares statements: a Sync of ours in the place of the Flush makes it a batch of its own, which can be waited for. */
  async #prepare(batch: Batch): Promise<void> {
    const { dialogue } = this.#parts
    const whole: Batch = { end: "Sync", messages: [...batch.messages.slice(0, -1), { type: "S", raw: sync }] }
    this.#standing.book.follow(whole)
    dialogue.isQuiet = true
    dialogue.forgetError()
    await this.#pass(whole, [])
    dialogue.isQuiet = false
    this.#isSkipping = dialogue.lastError !== undefined
  }

  #skip(batch: Batch): void {
    const { dialogue } = this.#parts
    if (batch.end === "Terminate" || batch.end === "Broken") return dialogue.send(...bytesOf(batch))
    if (batch.end !== "Sync") return
    this.#isSkipping = false
    dialogue.answer([readyForQuery(dialogue.status)])
  }

  /** Reports a conflict in the place of doing anything. */
  async #refuse(batch: Batch, acts: ReadonlyArray<Act>, conflict: Conflict): Promise<void> {
    const { dialogue } = this.#parts
    this.#standing.book.settle(batch, false)
    this.#standing.knowSchema()
    const [act] = acts
    if (acts.length === 1 && act?.statement?.kind === "commit" && dialogue.status === "T" && isWhole(batch)) {
      await loseAtCommit(dialogue, batch.messages, conflict)
      return this.#standing.startAnew()
    }
    if (dialogue.status === "T") await abortBlock(dialogue, conflictErrors[conflict])
    this.#isSkipping = !isWhole(batch)
    dialogue.answer([conflictAnswer(conflict), ...(isWhole(batch) ? [readyForQuery(dialogue.status)] : [])])
  }

  /** Runs the statements of a batch as batches of their own, up to the first that fails. */
  async #split(batch: Batch, acts: ReadonlyArray<Act>): Promise<void> {
    const { dialogue } = this.#parts
    if (dialogue.status === "I" && batch.end === "Query" && !(await this.#canBeRead(acts))) {
      return this.#pass(batch, acts)
    }
    dialogue.isQuiet = true
    dialogue.forgetError()
    for (const segment of segmentsOf(batch, acts)) {
      await this.run(batchOf(batch, segment))
      if (dialogue.lastError !== undefined) break
    }
    dialogue.isQuiet = false
    dialogue.answer([readyForQuery(dialogue.status)])
  }

  /** PostgreSQL does nothing of a text that has an error of syntax, or a byte that is none of its encoding, anywhere. */
  async #canBeRead(acts: ReadonlyArray<Act>): Promise<boolean> {
    const { dialogue } = this.#parts
    const checks = dialogue.together(() => acts.map(({ call }) => dialogue.askPrivately(check(call?.sql ?? ""))))
    for (const answers of await Promise.all(checks)) {
      const error = errorIn(answers)
      if (error !== undefined && ["42601", "22021"].includes(fieldsOf(error).get("C") ?? "")) return false
    }
    return true
  }
}
