import type { StatementKind } from "../../core/statementKind.js"
import { type Batch, isMixed, isWhole } from "../batches.js"
import type { Act, Book } from "../statements/book.js"
import type { Coordinator } from "./coordinator.js"
import type { Dialogue } from "./dialogue.js"
import { mayWrite } from "./facts.js"
import { errorIn } from "./failures.js"
import type { Guard } from "./guard.js"
import { PendingUnit } from "./pending.js"

/** Who learns of a change of the schema by another session; see `ClusterOptions`. */
export type SchemaConflicts = "transactions" | "sessions" | "off"

/** What cannot be done without looking at what others do. */
export const guardedKinds: ReadonlySet<StatementKind> = new Set(["lock", "write", "copyIn", "ddl", "unknown"])
/** What does not fix yet what a transaction sees. */
const blindKinds: ReadonlySet<StatementKind> = new Set(["empty", "begin", "session"])
/** What a change of the schema does not disturb. */
const undisturbedKinds: ReadonlySet<StatementKind> = new Set(["empty", "begin", "rollback"])

/** Where a session stands: in which transaction, since when, and with what under way. */
export class Standing {
  readonly book: Book
  readonly #dialogue: Dialogue
  readonly #guard: Guard
  readonly #coordinator: Coordinator
  readonly #schemaConflicts: SchemaConflicts
  #open: PendingUnit | undefined
  #last: PendingUnit | undefined
  #since: number | undefined
  /** Whether PostgreSQL has fixed what the transaction sees. */
  #hasSnapshot = false
  #knownSchema: number
  /** Whether the transaction was ended by somebody else's change of the schema. */
  #isLost = false

  constructor(
    book: Book,
    dialogue: Dialogue,
    guard: Guard,
    coordinator: Coordinator,
    schemaConflicts: SchemaConflicts
  ) {
    this.book = book
    this.#dialogue = dialogue
    this.#guard = guard
    this.#coordinator = coordinator
    this.#schemaConflicts = schemaConflicts
    this.#knownSchema = coordinator.schemaChanges
  }

  /** Since when it is in a transaction, as a number of commits. */
  get since(): number | undefined {
    return this.#since
  }

  /** Whether the batches so far want a Sync behind them. */
  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** `undefined` as long as too little is known of the functions that a query calls. */
  kindOf({ statement }: Act): StatementKind | undefined {
    if (statement === undefined) return "unknown"
    if (statement.kind !== "read" || statement.calls.size === 0) return statement.kind
    const { facts } = this.#coordinator
    return facts === undefined ? undefined : mayWrite(statement, facts) ? "unknown" : "read"
  }

  /** Expects the answers to a batch that is sent as it is. */
  expect(batch: Batch, acts: ReadonlyArray<Act>): PendingUnit {
    const endsSurely = this.endsSurely(batch)
    const unit = (this.#open ??= this.#begin(acts))
    unit.batches.push(batch)
    unit.acts.push(...acts)
    this.#last = unit
    if (isWhole(batch) && endsSurely) this.#open = undefined
    return unit
  }

  /** Whether PostgreSQL answers the end of a batch with ReadyForQuery, whatever has failed before. */
  endsSurely(batch: Batch): boolean {
    return batch.end === "Sync" || (this.#open === undefined && !isMixed(batch))
  }

  #begin(acts: ReadonlyArray<Act>): PendingUnit {
    const isReading = acts.every(({ statement }) => statement?.kind === "read")
    const unit = new PendingUnit((unit, answers) => {
      // The Sync that ends a COPY comes with its data.
      if (this.#open === unit) this.#open = undefined
      this.#settle(unit.batches, errorIn(answers) === undefined, 0)
    })
    this.#dialogue.expect(isReading ? "schema" : "data", unit)
    return unit
  }

  /** Resolves when all is answered but for what wants a Sync. */
  async settled(): Promise<void> {
    if (this.#open === undefined && !this.#dialogue.isSettled) await this.#last?.answered()
  }

  /** A batch has been answered whose answers were kept back. */
  settleKept(batch: Batch, succeeded: boolean): void {
    this.#settle([batch], succeeded, this.#dialogue.lastParsed)
  }

  #settle(batches: ReadonlyArray<Batch>, succeeded: boolean, taken: number): void {
    for (const batch of batches) this.book.settle(batch, succeeded, taken)
    this.#dialogue.cancelledFor = undefined
    // Others may be under way already.
    if (this.#dialogue.isSettled) this.noteStatus()
  }

  /** Everything has been answered. */
  noteStatus(): void {
    if (this.#dialogue.status !== "I") return
    this.#since = undefined
    this.#hasSnapshot = false
    this.#isLost = false
    this.#guard.endBlock()
    this.book.endTransaction()
    this.#coordinator.forgetFootprints()
  }

  /** A transaction has ended, and perhaps another began with the same statement. */
  startAnew(): void {
    this.#guard.endBlock()
    this.#since = this.#coordinator.commits
    this.#hasSnapshot = false
    this.#isLost = false
    this.noteStatus()
  }

  /** A transaction begins that sees what there is now. */
  startBlock(): void {
    this.#since = this.#coordinator.commits
    this.#hasSnapshot = true
  }

  /** Notes since when the transaction exists, and since when it sees what it sees. */
  note(acts: ReadonlyArray<Act>): void {
    for (const { statement } of acts) {
      const kind = statement?.kind ?? "unknown"
      if (kind === "begin") this.#since ??= this.#coordinator.commits
      else if (this.#since !== undefined && !this.#hasSnapshot && !blindKinds.has(kind)) {
        this.#since = this.#coordinator.commits
        this.#hasSnapshot = true
      }
    }
  }

  /** Whether there is something about the schema that it does not know. */
  get isOutdated(): boolean {
    return this.#isLost || this.#knownSchema !== this.#coordinator.schemaChanges
  }

  /** Whether the client must be told before it goes on. */
  conflictsWithSchema(acts: ReadonlyArray<Act>): boolean {
    const { status } = this.#dialogue
    if (!this.isOutdated || status === "E") return false
    const tells = status === "I" ? this.#schemaConflicts === "sessions" : this.#schemaConflicts !== "off"
    if (!this.#isLost && !tells) this.knowSchema()
    return (this.#isLost || tells) && !acts.every(({ statement }) => undisturbedKinds.has(statement?.kind ?? "unknown"))
  }

  knowSchema(): void {
    this.#knownSchema = this.#coordinator.schemaChanges
    this.#isLost = false
  }

  loseTransaction(): void {
    this.#isLost = true
  }
}
