import { isWord } from "../../core/lexer.js"
import type { Batch } from "../batches.js"
import {
  type Call,
  noTypes,
  noValues,
  type ParseMessage,
  readBind,
  readExecute,
  readName,
  readParse,
  readQuery
} from "./messages.js"
import type { KnownStatement, Texts } from "./texts.js"

/** One statement that a batch runs. */
export interface Act {
  /** `undefined` if it is not known for sure. */
  readonly statement: KnownStatement | undefined
  /** The same if PostgreSQL takes everything that the client has it prepare. */
  readonly likely: KnownStatement | undefined
  /** How to run it again; `undefined` if it cannot be run in one go. */
  readonly call: Call | undefined
  /** Which of the batch's messages runs it. */
  readonly index: number
}

interface Prepared {
  readonly message: ParseMessage
  /** Whether PostgreSQL has taken it; if not, what it holds under this name is not known. */
  isCertain: boolean
  /** The batch that brought it. Whoever uses it there does so only if it was taken. */
  readonly batch: Batch
}

interface Portal {
  readonly statement: Prepared | undefined
  readonly values: Buffer
  readonly batch: Batch
}

/** The names of statements and portals in one session, as far as they can be known from what the client sends. */
export class Book {
  readonly #texts: Texts
  readonly #statements = new Map<string, Prepared>()
  readonly #portals = new Map<string, Portal>()
  #followed: { readonly batch: Batch; readonly acts: ReadonlyArray<Act> } | undefined

  constructor(texts: Texts) {
    this.#texts = texts
  }

  /** Whether the client may still fetch from a portal, which would not outlive a rollback. */
  get hasOpenPortals(): boolean {
    return this.#portals.size > 0
  }

  /** Takes note of a batch, and gives what it runs. To follow one twice does no harm: more than one asks about each. */
  follow(batch: Batch): ReadonlyArray<Act> {
    if (this.#followed?.batch !== batch) {
      const acts = this.#read(batch)
      for (const { statement } of acts) if (statement?.kind === "session") this.#onSessionStatement(statement)
      this.#followed = { batch, acts }
    }
    return this.#followed.acts
  }

  #read(batch: Batch): ReadonlyArray<Act> {
    return batch.messages.flatMap(({ raw, type }, index) => {
      switch (type) {
        case "Q":
          return this.#onQuery(raw, index)
        case "P":
          this.#onParse(raw, batch)
          return []
        case "B":
          this.#onBind(raw, batch)
          return []
        case "C":
          this.#onClose(raw)
          return []
        case "E":
          return [this.#onExecute(raw, index, batch)]
        case "F":
          return [unknown(index)]
        default:
          return []
      }
    })
  }

  /** PostgreSQL has run a batch to its end, or has not, but has taken so many of the statements that it prepares. */
  settle(batch: Batch, succeeded: boolean, taken = 0): void {
    // Its messages may be large, and nobody asks about it any more.
    this.#followed = undefined
    let parsed = 0
    for (const { raw, type } of batch.messages) {
      const name = type === "P" ? readParse(raw)?.name : type === "C" ? readName(raw)?.name : undefined
      const isTaken = succeeded || (type === "P" && parsed++ < taken)
      const prepared = name === undefined ? undefined : this.#statements.get(name)
      if (prepared === undefined) continue
      if (isTaken && prepared.batch === batch) prepared.isCertain = true
      else if (!isTaken) prepared.isCertain = false
    }
  }

  /** A transaction has ended, and with it its portals. */
  endTransaction(): void {
    this.#portals.clear()
  }

  /** By SQL too statements can be prepared and forgotten, under the same names. */
  #onSessionStatement({ source }: KnownStatement): void {
    if (!["prepare", "deallocate", "discard"].some((word) => isWord(source.tokens[0], word))) return
    for (const prepared of this.#statements.values()) prepared.isCertain = false
  }

  #onQuery(raw: Buffer, index: number): ReadonlyArray<Act> {
    const sql = readQuery(raw)
    if (sql === undefined) return [unknown(index)]
    // Every simple query takes the place of the unnamed statement and portal.
    this.#statements.delete("")
    this.#portals.delete("")
    return this.#texts.read(sql).map((statement) => ({
      statement,
      likely: statement,
      call: { sql: statement.source.text, types: noTypes, values: noValues },
      index
    }))
  }

  #onParse(raw: Buffer, batch: Batch): void {
    const message = readParse(raw)
    if (message !== undefined) this.#statements.set(message.name, { message, isCertain: false, batch })
  }

  #onBind(raw: Buffer, batch: Batch): void {
    const message = readBind(raw)
    if (message === undefined) return
    this.#portals.set(message.portal, {
      statement: this.#statements.get(message.statement),
      values: message.values,
      batch
    })
  }

  #onClose(raw: Buffer): void {
    const closed = readName(raw)
    if (closed === undefined) return
    if (closed.isPortal) this.#portals.delete(closed.name)
    else this.#statements.delete(closed.name)
  }

  #onExecute(raw: Buffer, index: number, batch: Batch): Act {
    const execute = readExecute(raw)
    const portal = execute === undefined ? undefined : this.#portals.get(execute.portal)
    if (execute === undefined || portal?.statement === undefined) return unknown(index)
    const { isCertain, message, batch: origin } = portal.statement
    const statements = this.#texts.read(message.sql)
    if (statements.length > 1) return unknown(index)
    const likely = statements[0] ?? empty
    if (!isCertain && origin !== batch) return { ...unknown(index), likely }
    const isWhole = execute.limit <= 0 && portal.batch === batch
    if (execute.limit <= 0) this.#portals.delete(execute.portal)
    return {
      statement: likely,
      likely,
      call: isWhole ? { sql: message.sql, types: message.types, values: portal.values } : undefined,
      index
    }
  }
}

const unknown = (index: number): Act => ({ statement: undefined, likely: undefined, call: undefined, index })

const empty: KnownStatement = {
  kind: "empty",
  source: { start: 0, text: "", tokens: [] },
  calls: new Set(),
  targets: { names: new Set(), columns: new Set(), usesDefaults: false },
  shadow: undefined
}
