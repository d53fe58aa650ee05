import { applyEdits, type Edit } from "../../core/rules/edits.js"
import type { Refusal } from "../../core/rules/rule.js"
import { type Role, TransactionState } from "../../core/rules/transactions.js"
import type { Batch, Stage } from "../batches.js"
import { noTypes, readBind, readExecute, readName, readParse, readQuery } from "../statements/messages.js"
import type { Message } from "../framing.js"
import { gatewayNotice, hiddenSchema } from "../systemSchema.js"
import { commandComplete, errorFields, message, responseWith, statusOf } from "../wire.js"
import type { Judge, JudgedStatement } from "./judge.js"
import { readRefusal, refusalText } from "./refusalText.js"
import { type SentText, Unit } from "./unit.js"

/** Texts are bytes as characters, one to one, so that they stay as they were in any encoding. */
const encoding = "latin1"

/** Clients do not use it for theirs, and PostgreSQL never gets as far as to make it. */
const refusedName = "_dsql_refused"

/**
 * Refuses what the service refuses: in the place of such a statement PostgreSQL gets one that it refuses itself, and the
 * client the words of the service. What the service does otherwise than PostgreSQL is changed. Everything else goes on as it
 * came.
 */
export class JudgeStage implements Stage {
  readonly #judge: Judge
  readonly #state = new TransactionState()
  /** What the statements and portals of the session do. */
  readonly #statements = new Map<string, Role>()
  readonly #portals = new Map<string, Role>()
  /** What PostgreSQL has not answered yet, the oldest first, and what is not complete yet. */
  readonly #units: Array<Unit> = []
  #unit = new Unit()
  /** Whether a text that is under way was changed. */
  #hasChanged = false
  #tag: string | undefined
  /** Whether the session may have allowed itself to make indexes at once, so that PostgreSQL must look; see `schema.ts`. */
  #mayBuildIndexes: boolean

  constructor(judge: Judge, mayBuildIndexes: boolean) {
    this.#judge = judge
    this.#mayBuildIndexes = mayBuildIndexes
  }

  get answerTypes(): string {
    return this.#hasChanged ? "1CENZ" : "EZ"
  }

  onBatch(batch: Batch): Batch {
    const messages = batch.messages.map((message) => this.#onMessage(message))
    return messages.every((message, index) => message === batch.messages[index]) ? batch : { ...batch, messages }
  }

  onAnswer({ raw, type }: Message): Buffer | undefined {
    switch (type) {
      case "1":
        this.#answeredUnit.noteRead()
        return raw
      case "C": {
        const tag = this.#tag
        this.#tag = undefined
        return tag === undefined ? raw : commandComplete(tag)
      }
      case "N":
        return this.#onNotice(raw)
      case "Z":
        this.#onReady(raw)
        return raw
      default:
        return this.#onError(raw)
    }
  }

  get #answeredUnit(): Unit {
    return this.#units[0] ?? this.#unit
  }

  #onReady(raw: Buffer): void {
    this.#units.shift()
    if (this.#units.length > 0) return
    this.#state.settle(statusOf(raw) !== "I")
    this.#hasChanged = false
  }

  #onNotice(raw: Buffer): Buffer | undefined {
    const fields = errorFields(raw.subarray(5))
    if (fields.get("C") !== gatewayNotice) return withoutOurs("N", raw, fields)
    this.#tag = fields.get("M")
    return undefined
  }

  #onError(raw: Buffer): Buffer {
    this.#tag = undefined
    const fields = errorFields(raw.subarray(5))
    const refusal = readRefusal(fields)
    if (refusal !== undefined) return refusal
    if (isLongKey(fields)) return responseWith("E", new Map([...fields, ["M", "key size too large"]]), [..."DHstn"])
    const place = Number(fields.get("P") ?? 0)
    const original = place === 0 ? 0 : this.#answeredUnit.placeOf(place)
    const answer = withoutOurs("E", raw, fields)
    if (answer !== raw || place === original) return answer
    return responseWith("E", new Map([...fields, ["P", String(original)]]), [])
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
    const edits = judged === undefined ? [] : this.#edit(judged, (role) => this.#state.run(role))
    const text = this.#send(sql, edits)
    this.#statements.delete("")
    this.#endUnit()
    return text === undefined ? original : { type: "Q", raw: message("Q", Buffer.from(`${text}\0`, encoding)) }
  }

  #onParse(original: Message): Message {
    const parse = readParse(original.raw)
    const judged = parse === undefined ? undefined : this.#judge.judge(parse.sql)
    const meant = judged?.filter(({ isEmpty }) => !isEmpty)
    const edits = judged === undefined || meant?.length !== 1 ? [] : this.#edit(judged, () => undefined)
    const text = this.#send(parse?.sql, edits)
    if (parse === undefined) return original
    this.#statements.set(parse.name, (meant?.length === 1 ? meant[0]?.role : undefined) ?? "other")
    if (text === undefined) return original
    return { type: "P", raw: message("P", Buffer.from(`${parse.name}\0${text}\0`, encoding), parse.types) }
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
    if (refusal === undefined) return original
    const text = refusalText(refusal)
    return { type: "P", raw: message("P", Buffer.from(`${refusedName}\0${text}\0`, encoding), noTypes) }
  }

  #onClose(original: Message): Message {
    const closed = readName(original.raw)
    if (closed !== undefined) (closed.isPortal ? this.#portals : this.#statements).delete(closed.name)
    return original
  }

  /** What must be changed in the text that consists of these statements. */
  #edit(judged: ReadonlyArray<JudgedStatement>, run: (role: Role) => Refusal | undefined): ReadonlyArray<Edit> {
    let start = 0
    return judged.flatMap(({ edits, refusal, role, text, type }) => {
      const from = start
      start += text.length
      this.#mayBuildIndexes ||= type === "VariableSetStmt" && text.includes(syncIndexes)
      const refused = (this.#mayBuildIndexes && refusal?.rule.id === "index-sync" ? undefined : refusal) ?? run(role)
      if (refused === undefined) return edits.map((edit) => ({ ...edit, at: edit.at + from }))
      return [{ at: from, length: text.length - (text.endsWith(";") ? 1 : 0), text: refusalText(refused) }]
    })
  }

  /** Takes note of a text; gives what it becomes, or `undefined` if it stays. */
  #send(original: string | undefined, edits: ReadonlyArray<Edit>): string | undefined {
    const text: SentText | undefined =
      original === undefined || edits.length === 0 ? undefined : { original, sent: applyEdits(original, edits), edits }
    this.#unit.send(text)
    this.#hasChanged ||= text !== undefined
    return text?.sent
  }

  #endUnit(): void {
    this.#state.endUnit()
    this.#units.push(this.#unit)
    this.#unit = new Unit()
  }
}

const syncIndexes = "disable_sync_create_index"

/** A key that PostgreSQL's own indexes cannot hold, which are asked before the limits are. */
const isLongKey = (fields: ReadonlyMap<string, string>): boolean =>
  fields.get("C") === "54000" && /^index row (?:size|requires)/.test(fields.get("M") ?? "")

/** The same without the text in which PostgreSQL mentions what clients need not see. */
const withoutOurs = (type: string, raw: Buffer, fields: ReadonlyMap<string, string>): Buffer =>
  fields.get("W")?.includes(`${hiddenSchema}.`) === true ? responseWith(type, fields, [..."Wpq"]) : raw
