/**
 * Conflicts as the service has them; `docs/local-cluster-conflicts.md` says what clients see of it, and how it is done. From the
 * outside to the inside:
 *
 * - `conductor.ts` stands in each session between the client and PostgreSQL and lets through what only reads. `coordinator.ts`
 *   is what the sessions of a cluster know of one another: who blocks whom (asked through `observer.ts`), how often something was
 *   committed, and how often the schema was changed.
 * - `runner.ts` decides batch by batch how one is run. `book.ts` and `texts.ts` (in `statements`) know which statements it runs,
 *   `facts.ts` what these may do, `standing.ts` in which transaction the session is, and `dialogue.ts` which answer belongs to
 *   what.
 * - Outside of a transaction that is `autocommit.ts`. Inside of one it is `guard.ts`: a `Block` (`block.ts`) holds what it did
 *   (`notes.ts`), `repetition.ts` does it again when its locks were given up, and `committing.ts` lets it commit or not.
 * - A block that has lost goes on statement by statement in `approximation.ts`, on copies of its tables (`ownCopies.ts`).
 *   `rivals.ts` finds out whether it was a conflict, and `ending.ts` ends it.
 * - `footprints.ts` remembers locks and deletions, which `schema.ts` finds in PostgreSQL.
 */
import { type Batch, type Conductor, isMixed, isQuestion, isWhole, type Wire } from "../batches.js"
import type { Message } from "../framing.js"
import type { Book } from "../statements/book.js"
import { readParse } from "../statements/messages.js"
import type { Coordinator, Participant } from "./coordinator.js"
import { CopyPhase } from "./copyPhase.js"
import { Dialogue, SessionEnded } from "./dialogue.js"
import { Guard } from "./guard.js"
import { BatchRunner, bytesOf } from "./runner.js"
import { guardedKinds, type SchemaConflicts, Standing } from "./standing.js"

/** What another session wants. */
interface Favour {
  readonly task: () => Promise<void>
  readonly done: () => void
}

/**
 * Lets the batches of one session through as long as they only read, and has those that do not run one after the other. So a
 * session that reads is as fast as without it.
 */
export class ConflictConductor implements Conductor, Participant {
  readonly processId: number
  readonly #coordinator: Coordinator
  readonly #wire: Wire
  readonly #dialogue: Dialogue
  readonly #guard: Guard
  readonly #standing: Standing
  readonly #copy: CopyPhase
  readonly #runner: BatchRunner
  /** What waits its turn. */
  readonly #batches: Array<Batch> = []
  /** What others want, which comes first. */
  readonly #favours: Array<Favour> = []
  #isWorking = false
  /** Whether an aborted block has been made to hold nothing. */
  #isEmptied = false

  constructor(processId: number, book: Book, coordinator: Coordinator, schemaConflicts: SchemaConflicts, wire: Wire) {
    this.processId = processId
    this.#coordinator = coordinator
    this.#wire = wire
    this.#copy = new CopyPhase(() => this.#sendCopyData())
    this.#dialogue = new Dialogue(wire, () => this.#copy.begin())
    const parts = { dialogue: this.#dialogue, coordinator, participant: this }
    this.#guard = new Guard(parts)
    this.#standing = new Standing(book, this.#dialogue, this.#guard, coordinator, schemaConflicts)
    this.#runner = new BatchRunner(parts, this.#standing, this.#guard, this.#copy)
    coordinator.join(this)
  }

  get since(): number | undefined {
    return this.#standing.since
  }

  get isBusy(): boolean {
    return this.#isWorking || this.#standing.isOpen || !this.#dialogue.isSettled
  }

  get backlog(): number {
    return this.#copy.isOn ? 0 : this.#batches.length + Number(this.#isWorking)
  }

  get isCollecting(): boolean {
    return this.#dialogue.isCollecting
  }

  get answerTypes(): string {
    return this.#dialogue.answerTypes
  }

  onAnswer(answer: Message): boolean {
    return this.#dialogue.onAnswer(answer)
  }

  onEnd(): void {
    this.#coordinator.leave(this)
    this.#dialogue.end()
    for (const { done } of this.#favours.splice(0)) done()
  }

  onBatch(batch: Batch): ReadonlyArray<Buffer> {
    if (this.#copy.takes(batch, this.#dialogue.hasFailed)) return bytesOf(batch)
    if (!this.#isWorking && this.#passes(batch)) return bytesOf(batch)
    this.#batches.push(batch)
    void this.#work()
    return []
  }

  yieldLocks(): Promise<void> | undefined {
    const { status } = this.#dialogue
    if (status === "T") {
      if (!this.#guard.canYield || this.#standing.book.hasOpenPortals) return undefined
      return this.#favour(() => this.#guard.yieldLocks())
    }
    // Meanwhile it may have come to its end.
    if (status === "I" || this.#isEmptied) return Promise.resolve()
    this.#isEmptied = true
    return this.#favour(() => this.#guard.abandon())
  }

  endForSchema(): void {
    if (this.isBusy) this.#dialogue.cancelledFor = "schema"
    else if (this.#dialogue.status === "T") {
      this.#standing.loseTransaction()
      void this.#favour(() => this.#guard.abandon())
    } else void this.yieldLocks()
  }

  expectCancel(): void {
    this.#dialogue.cancelledFor ??= "client"
  }

  knowSchema(): void {
    this.#standing.knowSchema()
  }

  /** Lets a batch through if there is no need to look at it more closely. */
  #passes(batch: Batch): boolean {
    if (this.#guard.block !== undefined || this.#runner.isSkipping || this.#standing.isOutdated) return false
    if (isMixed(batch)) return false
    const acts = this.#standing.book.follow(batch)
    for (const act of acts) {
      const kind = this.#standing.kindOf(act)
      if (kind === undefined || guardedKinds.has(kind)) return false
    }
    if (!isWhole(batch) && this.#preparesGuarded(batch)) return false
    this.#standing.note(acts)
    if (isQuestion(batch)) this.#standing.expect(batch, acts)
    return true
  }

  #preparesGuarded({ messages }: Batch): boolean {
    return messages.some(({ raw, type }) => {
      const sql = type === "P" ? readParse(raw)?.sql : undefined
      return sql !== undefined && this.#coordinator.texts.read(sql).some(({ kind }) => guardedKinds.has(kind))
    })
  }

  /** Resolves when it is done, or the session has ended. */
  #favour(task: () => Promise<void>): Promise<void> {
    const done = new Promise<void>((resolve) => this.#favours.push({ task, done: resolve }))
    void this.#work()
    return done
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return
    this.#isWorking = true
    try {
      while (this.#favours.length > 0 || this.#batches.length > 0) {
        await this.#standing.settled()
        const favour = this.#favours.shift()
        if (favour === undefined) await this.#runner.run(this.#batches.shift()!)
        else await favour.task().finally(favour.done)
        if (this.#dialogue.isSettled) this.#standing.noteStatus()
        this.#isEmptied &&= this.#dialogue.status === "E"
      }
    } catch (error) {
      // Better no session than one of which we do not know any more where it stands.
      if (!(error instanceof SessionEnded)) this.#wire.hangUp()
    }
    this.#isWorking = false
    this.#wire.flow()
  }

  /** Sends what came right behind the statement, and lets more come. */
  #sendCopyData(): void {
    for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
      if (!this.#copy.takes(batch, this.#dialogue.hasFailed)) break
      this.#batches.shift()
      this.#dialogue.send(...bytesOf(batch))
    }
    this.#wire.flow()
  }
}
