import { ageLimitWords, type DropMoment } from "../../core/faults.js"
import type { Batch, Conductor, Wire } from "../batches.js"
import { type Act, Book } from "../statements/book.js"
import { query } from "../statements/messages.js"
import type { Texts } from "../statements/texts.js"
import type { Message } from "../framing.js"
import type { SessionClock } from "../sessionClock.js"
import { serverMessageTypes } from "../wire.js"
import type { Faults } from "./faults.js"
import { Ledger, type Watch } from "./ledger.js"
import { failingAt, hasStruck, statusAfter, stepOf, type Strike, strikeAnswer } from "./strike.js"

export interface FaultContext {
  readonly faults: Faults
  readonly clock: SessionClock
  readonly texts: Texts
  /** How old a transaction may become, in milliseconds. */
  readonly transactionAge: number
}

const rollBack: Batch = { end: "Query", messages: [{ type: "Q", raw: query("ROLLBACK") }] }

/**
 * Stands in front of everything else that a session does, and lets go wrong what is to go wrong: faults that a test has
 * asked for, and transactions that have become too old. As long as there are none, batches pass at once.
 */
export class FaultConductor implements Conductor {
  readonly #context: FaultContext
  readonly #inner: Conductor | undefined
  readonly #wire: Wire
  readonly #book: Book
  readonly #ledger: Ledger
  readonly #queue: Array<Batch> = []
  #isWorking = false
  #hasEnded = false
  /** Whether a COMMIT has failed and its transaction is still to be ended. */
  #mustRollBack = false
  #wakeUp = (): void => {}

  constructor(context: FaultContext, wire: Wire, makeInner: (wire: Wire, book: Book) => Conductor | undefined) {
    this.#context = context
    this.#wire = wire
    this.#book = new Book(context.texts)
    this.#ledger = new Ledger(context.clock, () => this.#wakeUp())
    const answer: Wire["answer"] = (answers) =>
      wire.answer(answers.flatMap((answer) => this.#ledger.onAnswer(answer) ?? []))
    this.#inner = makeInner({ ...wire, answer }, this.#book)
  }

  get backlog(): number {
    return this.#queue.length + Number(this.#isWorking) + (this.#inner?.backlog ?? 0)
  }

  get isCollecting(): boolean {
    return this.#mustRollBack || this.#inner?.isCollecting === true
  }

  get answerTypes(): string {
    return this.#inner === undefined ? this.#ledger.types : this.#inner.answerTypes + this.#ledger.types
  }

  onAnswer(answer: Message): boolean {
    if (this.#inner?.answerTypes.includes(answer.type) === true && !this.#inner.onAnswer(answer)) return false
    const shown = this.#ledger.onAnswer(answer)
    if (shown !== undefined && shown !== answer) this.#wire.answer([shown])
    return shown === answer
  }

  onEnd(): void {
    this.#end()
    this.#inner?.onEnd()
  }

  onBatch(batch: Batch): ReadonlyArray<Buffer> {
    const acts = this.#book.follow(batch)
    if (!this.#isWorking && !this.#mustWait(batch) && !this.#mayStrike(acts)) return this.#forward(batch, acts)
    this.#queue.push(batch)
    void this.#work()
    return []
  }

  /** Whether something has gone wrong that must be brought to its end before. */
  #mustWait({ end }: Batch): boolean {
    return this.#mustRollBack || (this.#ledger.hasWatched && end !== "Copy")
  }

  #mayStrike(acts: ReadonlyArray<Act>): boolean {
    if (acts.length === 0 || this.#ledger.isWatched) return false
    return this.#context.faults.isArmed || this.#ledger.age > this.#context.transactionAge
  }

  #forward(batch: Batch, acts: ReadonlyArray<Act>, watch?: Watch): ReadonlyArray<Buffer> {
    this.#ledger.note(batch, acts, watch)
    return this.#inner?.onBatch(batch) ?? batch.messages.map(({ raw }) => raw)
  }

  #send(batch: Batch, acts: ReadonlyArray<Act>, watch?: Watch): void {
    this.#wire.send(this.#forward(batch, acts, watch))
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return
    this.#isWorking = true
    // What was forwarded before must be on its way.
    await Promise.resolve()
    while ((this.#mustRollBack || this.#queue.length > 0) && !this.#hasEnded) {
      if (this.#mustRollBack) await this.#rollBack()
      else await this.#next()
    }
    this.#isWorking = false
    if (!this.#hasEnded) this.#wire.flow()
  }

  async #next(): Promise<void> {
    const batch = this.#queue[0]!
    const acts = this.#book.follow(batch)
    // Whether a statement is in a transaction shows when all before it is answered.
    const mustKnow = this.#mayStrike(acts) && !this.#ledger.isSettled
    if (mustKnow || this.#mustWait(batch)) return this.#change()
    this.#queue.shift()
    if (!this.#mayStrike(acts) || !(await this.#strikes(batch, acts))) this.#send(batch, acts)
  }

  /** Resolves when another answer is complete, or the session has ended. */
  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wakeUp = resolve))
  }

  /** Whether something goes wrong with a batch, which is seen to then. */
  async #strikes(batch: Batch, acts: ReadonlyArray<Act>): Promise<boolean> {
    const { faults, transactionAge } = this.#context
    let { status } = this.#ledger
    let isTooOld = this.#ledger.age > transactionAge
    for (const act of acts) {
      const kind = act.likely?.kind ?? "unknown"
      if (isTooOld && kind !== "rollback" && kind !== "empty") {
        this.#fail(batch, acts, this.#tooOld(act))
        return true
      }
      const step = stepOf(kind, status)
      const delay = step === undefined ? undefined : faults.takeDelay(step)
      if (delay !== undefined) await this.#pause(delay)
      if (this.#hasEnded) return true
      const claim = step === undefined ? undefined : faults.take(step)
      if (claim?.what._tag === "Drop") {
        await this.#drop(batch, acts, claim.what.moment, claim.giveBack)
        return true
      }
      if (claim?.what._tag === "Fail") {
        const { error } = claim.what
        this.#fail(batch, acts, { act, error, endsTransaction: step === "COMMIT", onMissed: claim.giveBack })
        return true
      }
      status = statusAfter(kind, status)
      isTooOld &&= status === "T"
    }
    return false
  }

  #tooOld(act: Act): Strike {
    const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000)
    const words = ageLimitWords(seconds(this.#context.transactionAge), seconds(this.#ledger.age))
    return { act, error: { ...words, code: words.sqlState }, endsTransaction: false, onMissed: () => {} }
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const callOff = this.#context.clock.after(milliseconds, resolve)
      this.#wakeUp = () => {
        if (!this.#hasEnded) return
        callOff()
        resolve()
      }
    })
  }

  #fail(batch: Batch, acts: ReadonlyArray<Act>, strike: Strike): void {
    let isStruck = false
    this.#send(failingAt(batch, strike.act), acts, {
      types: "E",
      onAnswer: (answer) => {
        if (isStruck || !hasStruck(answer, strike)) return answer
        isStruck = true
        return strikeAnswer(strike)
      },
      onReady: (ready, status) => {
        if (!isStruck) strike.onMissed()
        if (!isStruck || !strike.endsTransaction || status !== "E") return ready
        this.#mustRollBack = true
        void this.#work()
        return undefined
      }
    })
  }

  /** Ends a transaction whose COMMIT has failed. Its ReadyForQuery takes the place of the one that the client has not got. */
  async #rollBack(): Promise<void> {
    let isDone = false
    this.#send(rollBack, this.#book.follow(rollBack), {
      types: serverMessageTypes,
      onAnswer: () => undefined,
      onReady: (ready) => {
        isDone = true
        return ready
      }
    })
    while (!isDone && !this.#hasEnded) await this.#change()
    this.#mustRollBack = false
  }

  async #drop(batch: Batch, acts: ReadonlyArray<Act>, moment: DropMoment, giveBack: () => void): Promise<void> {
    if (moment === "before") return this.#hangUp()
    if (moment === "during") await this.#wire.leave()
    this.#send(batch, acts, {
      types: "C",
      onAnswer: (answer) => {
        if (!isCommitted(answer)) return answer
        this.#hangUp()
        return undefined
      },
      onReady: (ready) => {
        if (moment === "during") this.#hangUp()
        else if (!this.#hasEnded) giveBack()
        return ready
      }
    })
  }

  #hangUp(): void {
    this.#end()
    this.#wire.hangUp()
  }

  #end(): void {
    this.#hasEnded = true
    this.#wakeUp()
  }
}

const isCommitted = ({ raw }: Message): boolean => raw.toString("latin1", 5) === "COMMIT\0"
