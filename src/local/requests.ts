import { type Batch, Batcher, batchLimit, clientMessageTypes, type Conductor, type Stage } from "./batches.js"
import { type FramingProblem, MessageFramer } from "./framing.js"
import { invalidMessageLength } from "./refusals.js"
import type { MessageLimit } from "./limits.js"
import { copyFail, fatal, shortMessageLimit, terminate } from "./wire.js"

/** The types of messages that PostgreSQL itself wants to be short. */
const shortTypes = "CDEHSXcf"

/**
 * Follows what a client asks, batch by batch; the counterpart of `AnswerStream`. Behind a Terminate, or what cannot be
 * read, nothing more goes on.
 */
export class RequestStream {
  readonly #stages: ReadonlyArray<Stage>
  readonly #conductor: Conductor | undefined
  readonly #limit: MessageLimit
  readonly #framer: MessageFramer
  readonly #batcher = new Batcher(batchLimit)
  #isOver = false
  #lastWords: Buffer | undefined

  constructor(stages: ReadonlyArray<Stage>, conductor: Conductor | undefined, limit: MessageLimit) {
    this.#stages = stages
    this.#conductor = conductor
    this.#limit = limit
    this.#framer = new MessageFramer(clientMessageTypes, (type) =>
      shortTypes.includes(type) ? Math.min(shortMessageLimit, limit.messageSize) : limit.messageSize
    )
  }

  /** What is left to be said to the client once PostgreSQL has answered all the rest. */
  get lastWords(): Buffer | undefined {
    return this.#lastWords
  }

  /** What goes on to PostgreSQL now. */
  push(chunk: Buffer): Array<Buffer> {
    const slices: Array<Buffer> = []
    if (this.#isOver) return slices
    for (const message of this.#framer.push(chunk)) {
      const batch = this.#batcher.push(message)
      if (batch === undefined) continue
      this.#judge(batch, slices)
      this.#isOver = batch.end === "Terminate"
      if (this.#isOver) return slices
    }
    const { problem } = this.#framer
    if (problem !== undefined) {
      this.#isOver = true
      const { end, messages } = this.#batcher.rest()
      this.#judge({ end, messages: [...messages, { type: "", raw: this.#refuse(problem) }] }, slices)
    }
    return slices
  }

  /** What still goes on when the client has said all: what it has sent without waiting for an answer. */
  end(): Array<Buffer> {
    const slices: Array<Buffer> = []
    if (!this.#isOver) this.#judge(this.#batcher.rest(), slices)
    this.#isOver = true
    return slices
  }

  #judge(batch: Batch, slices: Array<Buffer>): void {
    const judged = this.#stages.reduce((rest, stage) => stage.onBatch(rest), batch)
    if (this.#conductor !== undefined) slices.push(...this.#conductor.onBatch(judged))
    else for (const { raw } of judged.messages) slices.push(raw)
  }

  /** What PostgreSQL gets in the place of what cannot be read, so that it ends the session behind all it has to answer. */
  #refuse(problem: FramingProblem): Buffer {
    // It has words of its own for this.
    if (problem._tag === "InvalidType") return Buffer.of(problem.type)
    const { messageSize, oversizedMessage } = this.#limit
    if (problem.length <= messageSize || oversizedMessage === "error") this.#lastWords = fatal(invalidMessageLength)
    // The first ends a COPY, in which a Terminate would be a mistake; outside of one it is ignored.
    return Buffer.concat([copyFail(invalidMessageLength.message), terminate])
  }
}
