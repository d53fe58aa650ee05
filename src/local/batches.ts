import type { Message } from "./framing.js"

/**
 * What ended a batch. `Limit`: it grew too long and is passed on in parts. `Broken`: nothing follows, or what cannot be
 * read.
 */
export type BatchEnd = "Query" | "FunctionCall" | "Sync" | "Flush" | "Copy" | "Terminate" | "Limit" | "Broken"

/** The messages a client sends before it waits for an answer: what is judged, and forwarded, together. */
export interface Batch {
  readonly messages: ReadonlyArray<Message>
  readonly end: BatchEnd
}

/** After which nothing is left to be answered. */
export const isWhole = ({ end }: Batch): boolean => end === "Query" || end === "Sync" || end === "FunctionCall"

/** Whether it runs on what no Sync has ended. If that fails, PostgreSQL ignores the rest up to the next Sync. */
export const isMixed = ({ end, messages }: Batch): boolean =>
  (end === "Query" || end === "FunctionCall") && messages.length > 1

/** Whether an answer is to be expected: not to a farewell, nor to data of a COPY that there is not. */
export const isQuestion = ({ end, messages }: Batch): boolean =>
  end !== "Terminate" && end !== "Broken" && (end !== "Copy" || messages.length > 1)

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
    return end === undefined ? undefined : this.#take(end)
  }

  /** What was pushed and is not complete yet; perhaps nothing. */
  rest(): Batch {
    return this.#take("Broken")
  }

  #take(end: BatchEnd): Batch {
    const messages = this.#messages
    this.#messages = []
    this.#size = 0
    return { messages, end }
  }
}

/**
 * The seam where a session is judged: one step on the way of its messages. It is made anew for each session and may
 * remember. Batches pass the stages of a session from the first to the last, answers back from the last to the first.
 */
export interface Stage {
  /** What goes on in the place of a batch. */
  readonly onBatch: (batch: Batch) => Batch
  /** The types of the server's messages that it wants to see at this moment; none in the most sessions. */
  readonly answerTypes: string
  /** What goes on in the place of an answer of such a type; `undefined` for nothing. */
  readonly onAnswer: (answer: Message) => Buffer | undefined
}

/** Makes the stages of one session, by what its login asks for. */
export type MakeStages = (mayBuildIndexes: boolean) => ReadonlyArray<Stage>

/**
 * What stands between the stages of a session and PostgreSQL. Unlike a stage it may keep batches and answers back, and have
 * words of its own with both sides.
 */
export interface Conductor {
  /** What goes on to PostgreSQL now. */
  readonly onBatch: (batch: Batch) => ReadonlyArray<Buffer>
  /** How many batches it keeps back or is at work on. While there are any, there is no use in more. */
  readonly backlog: number
  /** Whether it keeps answers back, so that they must be read even if the client does not. */
  readonly isCollecting: boolean
  /** The types of PostgreSQL's messages that it wants to see at this moment. */
  readonly answerTypes: string
  /** Whether an answer of such a type goes on to the client now. */
  readonly onAnswer: (answer: Message) => boolean
  /** PostgreSQL says nothing more. */
  readonly onEnd: () => void
}

/** How a conductor speaks up at any other time. */
export interface Wire {
  /** To PostgreSQL, behind everything that has gone on. */
  readonly send: (messages: ReadonlyArray<Buffer>) => void
  /** To the client, through the stages. */
  readonly answer: (answers: ReadonlyArray<Message>) => void
  /** Must be called when there is no backlog any more. */
  readonly flow: () => void
  /** Closes the connection to the client abruptly, and leaves PostgreSQL to what it does until `hangUp`. */
  readonly leave: () => Promise<void>
  /** Ends the session abruptly. */
  readonly hangUp: () => void
}

/**
 * How much of an open pipeline is kept: the service allows 10 MiB for a transaction, so whatever it could commit is one
 * batch here.
 */
export const batchLimit = 20 * 1024 * 1024
