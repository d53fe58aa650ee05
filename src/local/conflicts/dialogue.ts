import type { Wire } from "../batches.js"
import type { Message } from "../framing.js"
import { serverMessageTypes, statusOf, type TransactionStatus } from "../wire.js"
import { type Conflict, conflictAnswer, errorAnswer, errorIn, fieldsOf, translated } from "./failures.js"

/** The session has ended while an answer was awaited. */
export class SessionEnded extends Error {}

/** What is answered by one ReadyForQuery. */
interface Request {
  /** Its answers if they are kept back, else only errors. */
  readonly answers: Array<Message>
  keepsBack: boolean
  /** What a lock is taken for that is refused where answers are not kept back. */
  readonly refused: Conflict
  /** Whether nobody but us has asked. */
  readonly isOwn: boolean
  readonly expectation: Expectation
}

/** Who learns of an answer. Most batches only read, and nobody waits for them: callbacks cost less than promises. */
export interface Expectation {
  /** There is an error; its ReadyForQuery is still to come. */
  readonly onError: () => void
  /** With the answers as `Request` keeps them. */
  readonly onAnswered: (answers: ReadonlyArray<Message>) => void
  readonly onEnded: () => void
}

/** There are others with the same code, as a COPY that its client gives up. */
const isCancelled = (error: Message): boolean => {
  const fields = fieldsOf(error)
  return fields.get("C") === "57014" && fields.get("M") === "canceling statement due to user request"
}
const lockTimeout = errorAnswer({ code: "55P03", message: "canceling statement due to lock timeout" })

/** What goes to PostgreSQL in one session, and which answers are whose. */
export class Dialogue {
  readonly #wire: Wire
  readonly #onCopy: () => void
  readonly #requests: Array<Request> = []
  #status: TransactionStatus = "I"
  #outbox: Array<Buffer> | undefined
  #hasEnded = false
  /** Who has asked PostgreSQL to cancel a statement: the client, or we for a conflict. */
  cancelledFor: Conflict | "client" | undefined
  /** While it is set, no ReadyForQuery goes on to the client; the last one is kept. */
  isQuiet = false
  #lastReady: Message | undefined
  #lastError: Message | undefined
  #lastParsed = 0

  /** `onCopy` is called when PostgreSQL begins to take the data of a COPY. */
  constructor(wire: Wire, onCopy: () => void) {
    this.#wire = wire
    this.#onCopy = onCopy
  }

  get status(): TransactionStatus {
    return this.#status
  }

  /** Whether everything that was asked has been answered. */
  get isSettled(): boolean {
    return this.#requests.length === 0
  }

  /** Whether answers are kept back, so that the client need not take any. */
  get isCollecting(): boolean {
    return this.#requests[0]?.keepsBack === true
  }

  get lastReady(): Message | undefined {
    return this.#lastReady
  }

  /** The last error that went to the client. */
  get lastError(): Message | undefined {
    return this.#lastError
  }

  /** How many statements PostgreSQL has prepared in what was last answered after it was kept back. */
  get lastParsed(): number {
    return this.#lastParsed
  }

  forgetError(): void {
    this.#lastError = undefined
  }

  get answerTypes(): string {
    const [request] = this.#requests
    return request === undefined ? "" : request.keepsBack ? serverMessageTypes : "EGZ"
  }

  /** Collects what `send` sends, to send it in one. */
  together<A>(send: () => A): A {
    this.#outbox = []
    try {
      return send()
    } finally {
      const messages = this.#outbox
      this.#outbox = undefined
      if (messages.length > 0) this.#wire.send(messages)
    }
  }

  /** Sends what is answered by nothing, or by what is expected already. */
  send(...messages: ReadonlyArray<Buffer>): void {
    if (this.#hasEnded) throw new SessionEnded()
    if (this.#outbox === undefined) this.#wire.send(messages)
    else this.#outbox.push(...messages)
  }

  /** Expects one more ReadyForQuery, the answers up to which go on to the client as they come; gives errors and it. */
  expect(refused: Conflict, expectation: Expectation): void {
    if (this.#hasEnded) expectation.onEnded()
    else this.#requests.push({ answers: [], keepsBack: false, refused, isOwn: false, expectation })
  }

  /** Sends what is answered by one ReadyForQuery, and gives the answers with it. */
  ask(...messages: ReadonlyArray<Buffer>): Promise<ReadonlyArray<Message>> {
    return this.#ask(messages, false)
  }

  /** As `ask`, for what the client is not to hear of, whatever happens. */
  askPrivately(...messages: ReadonlyArray<Buffer>): Promise<ReadonlyArray<Message>> {
    return this.#ask(messages, true)
  }

  /** As `askPrivately`, for what cannot fail: rejects if it does. */
  async command(...messages: ReadonlyArray<Buffer>): Promise<void> {
    const error = errorIn(await this.askPrivately(...messages))
    if (error !== undefined) throw new Error(fieldsOf(error).get("M"))
  }

  /** Whether PostgreSQL has refused some of what it is asked at the moment. */
  get hasFailed(): boolean {
    return errorIn(this.#requests[0]?.answers ?? []) !== undefined
  }

  /** Answers the client. `refused` tells what a lock is taken for that was refused. */
  answer(answers: ReadonlyArray<Message>, refused: Conflict = "data"): void {
    this.#lastParsed = answers.filter(({ type }) => type === "1").length
    const loud = answers.flatMap((answer) => {
      if (answer.type === "E") return [(this.#lastError = this.#shown(answer, refused))]
      if (answer.type !== "Z") return [answer]
      this.#lastReady = answer
      return this.isQuiet ? [] : [answer]
    })
    if (loud.length > 0) this.#wire.answer(loud)
  }

  onAnswer(answer: Message): boolean {
    const [request] = this.#requests
    if (request === undefined) return true
    const { type } = answer
    if (type === "A") return true
    if (type === "E" && fieldsOf(answer).get("V") === "FATAL") return this.#takeLeave(request)
    const message = this.#isRefusedLock(answer) ? lockTimeout : answer
    if (type === "G") {
      this.#release(request)
      this.#onCopy()
    }
    if (type === "Z") {
      this.#requests.shift()
      this.#status = statusOf(message.raw)
      request.answers.push(message)
      if (!request.keepsBack) this.#lastReady = message
      request.expectation.onAnswered(request.answers)
      return !request.keepsBack && !this.isQuiet
    }
    if (request.keepsBack || type === "E") request.answers.push(message)
    if (type === "E") request.expectation.onError()
    if (request.keepsBack) return false
    if (type !== "E") return true
    this.#lastError = this.#shown(message, request.refused)
    if (this.#lastError === answer) return true
    this.#wire.answer([this.#lastError])
    return false
  }

  end(): void {
    this.#hasEnded = true
    for (const { expectation } of this.#requests.splice(0)) expectation.onEnded()
  }

  #shown(error: Message, refused: Conflict): Message {
    const { cancelledFor } = this
    if (cancelledFor === undefined || cancelledFor === "client" || !isCancelled(error))
      return translated(error, refused)
    return conflictAnswer(cancelledFor)
  }

  /** PostgreSQL calls a lock timeout a cancelled statement if it gets the lock at that moment, and then waits for another. */
  #isRefusedLock(answer: Message): boolean {
    return answer.type === "E" && this.cancelledFor === undefined && isCancelled(answer)
  }

  #ask(messages: ReadonlyArray<Buffer>, isOwn: boolean): Promise<ReadonlyArray<Message>> {
    this.send(...messages)
    const answered = new Promise<ReadonlyArray<Message>>((resolve, reject) => {
      const expectation = { onError: () => {}, onAnswered: resolve, onEnded: () => reject(new SessionEnded()) }
      this.#requests.push({ answers: [], keepsBack: true, refused: "data", isOwn, expectation })
    })
    // Not everyone who asks waits.
    answered.catch(() => {})
    return answered
  }

  /** From here on its answers go on as they come. */
  #release(request: Request): void {
    if (!request.keepsBack) return
    if (!request.isOwn) this.answer(request.answers.splice(0))
    request.keepsBack = false
  }

  /** PostgreSQL ends the session: the client gets that, and what was kept from it before. */
  #takeLeave(request: Request): boolean {
    this.#release(request)
    return true
  }
}
