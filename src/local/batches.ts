import type { Message } from "./framing.js"

/**
 * What ended a batch. `Limit`: it grew too long and is passed on in parts.
 */
export type BatchEnd = "Query" | "FunctionCall" | "Sync" | "Flush" | "Copy" | "Terminate" | "Limit"

/** The messages a client sends before it waits for an answer: what is judged, and forwarded, together. */
export interface Batch {
  readonly messages: ReadonlyArray<Message>
  readonly end: BatchEnd
}

/** The message types that a client may send once it is logged in. */
export const clientMessageTypes = "BCDEFHPQSXcdf"

const ends: ReadonlyMap<string, BatchEnd> = new Map([
  ["Q", "Query"],
  ["F", "FunctionCall"],
  ["S", "Sync"],
  ["H", "Flush"],
  // COPY data is passed on as it comes: it has no end that could be waited for, and is no statement.
  ["d", "Copy"],
  ["c", "Copy"],
  ["f", "Copy"],
  ["X", "Terminate"]
])

/** About what a message costs beside its bytes. */
const messageOverhead = 128

/**
 * Groups messages into batches. A pipeline without a Sync is cut where it reaches the limit and passed on in parts, so
 * that a session keeps a bounded amount.
 */
export class Batcher {
  readonly #limit: number
  #messages: Array<Message> = []
  #size = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The batch that `message` completes, if it does. */
  push(message: Message): Batch | undefined {
    this.#messages.push(message)
    this.#size += message.raw.length + messageOverhead
    const end = ends.get(message.type) ?? (this.#size >= this.#limit ? "Limit" : undefined)
    if (end === undefined) return undefined
    const messages = this.#messages
    this.#messages = []
    this.#size = 0
    return { messages, end }
  }
}

/** What to do with a batch. */
export interface Forward {
  readonly _tag: "Forward"
  readonly slices: ReadonlyArray<Buffer>
}

/** The seam where batches are judged. */
export type OnBatch = (batch: Batch) => Forward

/**
 * How much of an open pipeline is kept: the service allows 10 MiB for a transaction, so whatever it could commit is one
 * batch here.
 */
export const batchLimit = 20 * 1024 * 1024

export const forwardAsReceived: OnBatch = ({ messages }) => ({
  _tag: "Forward",
  slices: messages.map((message) => message.raw)
})
