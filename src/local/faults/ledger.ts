import { type Batch, isQuestion, isWhole } from "../batches.js"
import type { Act } from "../statements/book.js"
import type { Message } from "../framing.js"
import type { SessionClock } from "../sessionClock.js"
import { statusOf, type TransactionStatus } from "../wire.js"

/** Looks at the answers to what one ReadyForQuery ends. */
export interface Watch {
  /** The types that it wants to see. */
  readonly types: string
  /** What goes on in the place of an answer of such a type; `undefined` for nothing. */
  readonly onAnswer: (answer: Message) => Message | undefined
  /** The same for the ReadyForQuery. */
  readonly onReady: (ready: Message, status: TransactionStatus) => Message | undefined
}

interface Unit {
  isWhole: boolean
  endsTransaction: boolean
  endsWithSync: boolean
  watch: Watch | undefined
}

const ownTypes = "GZ"

/** What a session has asked and not been told yet, and where it stands by what it was told. */
export class Ledger {
  readonly #clock: SessionClock
  readonly #onReady: () => void
  /** The oldest first; only the last one may want a Sync. */
  readonly #units: Array<Unit> = []
  #status: TransactionStatus = "I"
  #since = 0

  /** `onReady` is called when another unit has been answered. */
  constructor(clock: SessionClock, onReady: () => void) {
    this.#clock = clock
    this.#onReady = onReady
  }

  get status(): TransactionStatus {
    return this.#status
  }

  /** How long the transaction has been open, in milliseconds; 0 if there is none, or it is aborted. */
  get age(): number {
    return this.#status === "T" ? this.#clock.now() - this.#since : 0
  }

  /** Whether all is answered that can be by now, so that it is known where the session stands. */
  get isSettled(): boolean {
    return this.#units.length === 0 || (this.#units.length === 1 && this.#units[0]?.isWhole === false)
  }

  /** Whether nothing is to be sent until what is watched has been answered. */
  get hasWatched(): boolean {
    return this.#units.some(({ isWhole, watch }) => isWhole && watch !== undefined)
  }

  /** Whether what is sent now belongs to what is watched already. */
  get isWatched(): boolean {
    const last = this.#units.at(-1)
    return last?.isWhole === false && last.watch !== undefined
  }

  get types(): string {
    const [unit] = this.#units
    if (unit === undefined) return ""
    return unit.watch === undefined ? ownTypes : ownTypes + unit.watch.types
  }

  /** A batch is sent. */
  note(batch: Batch, acts: ReadonlyArray<Act>, watch?: Watch): void {
    if (!isQuestion(batch)) return
    let unit = this.#units.at(-1)
    if (unit === undefined || unit.isWhole) {
      unit = { isWhole: false, endsTransaction: false, endsWithSync: false, watch: undefined }
      this.#units.push(unit)
    }
    unit.isWhole = isWhole(batch)
    unit.endsWithSync = batch.end === "Sync"
    unit.endsTransaction ||= acts.some(({ likely }) => endings.has(likely?.kind ?? "unknown"))
    unit.watch ??= watch
  }

  /** What goes on to the client in the place of an answer. */
  onAnswer(answer: Message): Message | undefined {
    const [unit] = this.#units
    if (unit === undefined) return answer
    if (answer.type === "Z") return this.#end(unit, answer)
    // PostgreSQL ignores the Sync that came with a COPY, and waits for another behind the data.
    if (answer.type === "G" && unit.endsWithSync && this.#units.length === 1) unit.isWhole = false
    return unit.watch?.types.includes(answer.type) === true ? unit.watch.onAnswer(answer) : answer
  }

  #end(unit: Unit, ready: Message): Message | undefined {
    this.#units.shift()
    const status = statusOf(ready.raw)
    if (this.#status !== "T" || unit.endsTransaction) this.#since = this.#clock.now()
    this.#status = status
    const shown = unit.watch === undefined ? ready : unit.watch.onReady(ready, status)
    this.#onReady()
    return shown
  }
}

const endings: ReadonlySet<string> = new Set(["commit", "rollback"])
