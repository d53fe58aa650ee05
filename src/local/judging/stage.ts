import type { Refusal } from "../../core/rules/rule.js"
import { type Role, TransactionState } from "../../core/rules/transactions.js"
import type { Batch, Stage } from "../batches.js"
import { noTypes, readBind, readExecute, readName, readParse, readQuery } from "../conflicts/messages.js"
import type { Message } from "../framing.js"
import { errorFields, message } from "../wire.js"
import type { Judge } from "./judge.js"
import { readRefusal, refusalText } from "./refusalText.js"

/** Texts are bytes as characters, one to one, so that they stay as they were in any encoding. */
const encoding = "latin1"

/** Clients do not use it for theirs, and PostgreSQL never gets as far as to make it. */
const refusedName = "_dsql_refused"

/**
 * Refuses what the service refuses: in the place of such a statement PostgreSQL gets one that it refuses itself, and the
 * client the words of the service. Everything else goes on as it came.
 */
export class JudgeStage implements Stage {
  readonly #judge: Judge
  readonly #state = new TransactionState()
  /** What the statements and portals of the session do. */
  readonly #statements = new Map<string, Role>()
  readonly #portals = new Map<string, Role>()
  /** How many units PostgreSQL has not answered. */
  #unanswered = 0
  #hasRefused = false

  constructor(judge: Judge) {
    this.#judge = judge
  }

  get answerTypes(): string {
    return this.#hasRefused ? "EZ" : "Z"
  }

  onBatch(batch: Batch): Batch {
    const messages = batch.messages.map((message) => this.#onMessage(message))
    return messages.every((message, index) => message === batch.messages[index]) ? batch : { ...batch, messages }
  }

  onAnswer({ raw, type }: Message): Buffer {
    if (type === "Z") {
      this.#unanswered--
      if (this.#unanswered === 0) {
        this.#state.settle(raw[5] !== idle)
        this.#hasRefused = false
      }
      return raw
    }
    return readRefusal(errorFields(raw.subarray(5))) ?? raw
  }

  #onMessage(message: Message): Message {
    switch (message.type) {
      case "Q":
        return this.#onQuery(message)
      case "P":
        return this.#onParse(message)
      case "B":
        return this.#onBind(message)
      case "E":
        return this.#onExecute(message)
      case "C":
        return this.#onClose(message)
      case "S":
      case "F":
        this.#endUnit()
        return message
      default:
        return message
    }
  }

  #onQuery(original: Message): Message {
    const sql = readQuery(original.raw)
    const judged = sql === undefined ? undefined : this.#judge.judge(sql)
    const texts = judged?.map(({ refusal, role, text }) => {
      const refused = refusal ?? this.#state.run(role)
      return refused === undefined ? text : this.#refuse(refused) + (text.endsWith(";") ? ";" : "")
    })
    this.#statements.delete("")
    this.#endUnit()
    const text = texts?.join("") ?? sql
    return text === sql ? original : { type: "Q", raw: message("Q", Buffer.from(`${text}\0`, encoding)) }
  }

  #onParse(original: Message): Message {
    const parse = readParse(original.raw)
    const judged = parse === undefined ? undefined : this.#judge.judge(parse.sql)
    const meant = judged?.filter(({ isEmpty }) => !isEmpty)
    if (parse === undefined || meant?.length !== 1) return original
    const [{ refusal, role }] = meant as [(typeof meant)[number]]
    this.#statements.set(parse.name, role)
    return refusal === undefined ? original : this.#refusingParse(parse.name, refusal)
  }

  #onBind(original: Message): Message {
    const bind = readBind(original.raw)
    if (bind !== undefined) this.#portals.set(bind.portal, this.#statements.get(bind.statement) ?? "other")
    return original
  }

  #onExecute(original: Message): Message {
    const portal = readExecute(original.raw)?.portal
    const role = portal === undefined ? undefined : this.#portals.get(portal)
    // Going on with a portal is no second statement.
    if (portal !== undefined) this.#portals.delete(portal)
    const refusal = role === undefined ? undefined : this.#state.run(role)
    return refusal === undefined ? original : this.#refusingParse(refusedName, refusal)
  }

  #onClose(original: Message): Message {
    const closed = readName(original.raw)
    if (closed !== undefined) (closed.isPortal ? this.#portals : this.#statements).delete(closed.name)
    return original
  }

  #endUnit(): void {
    this.#state.endUnit()
    this.#unanswered++
  }

  #refuse(refusal: Refusal): string {
    this.#hasRefused = true
    return refusalText(refusal)
  }

  #refusingParse(name: string, refusal: Refusal): Message {
    const text = this.#refuse(refusal)
    return { type: "P", raw: message("P", Buffer.from(`${name}\0${text}\0`, encoding), noTypes) }
  }
}

const idle = "I".charCodeAt(0)
