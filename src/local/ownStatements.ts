import { splitStatements, type Statement } from "../core/statements.js"
import type { Stage } from "./batches.js"
import type { Message } from "./framing.js"
import { gatewayNotice, hiddenSchema } from "./systemSchema.js"
import { commandComplete, errorFields, message, responseWith } from "./wire.js"

/** What is run in the place of a statement that PostgreSQL has not; `undefined` for PostgreSQL's own. */
export type CallOf = (statement: Statement) => string | undefined

/** Learns of every statement that was run in the place of another, with what its notice says beside the tag. */
export type OnRun = (tag: string, detail: string | undefined) => void

/** Begins a statement of the service's own, or stands near its beginning. */
const words = /\baws\b|\basync\b|\bserver_version|\bdisable_sync_create_index\b/i

/**
 * What the service has and PostgreSQL has not becomes calls of what `systemSchema.ts` defines. These tell by a notice what
 * tag the client is to see, and nothing else shows how they are run.
 */
export const ownStatements = (callOf: CallOf, onRun: OnRun): Stage => {
  // An error may come from what is never called by name.
  let answerTypes = "E"
  let tag: string | undefined
  let places = new Places()
  return {
    onBatch: (batch) => {
      if (answerTypes === "E" && !batch.messages.some(({ raw, type }) => "QP".includes(type) && isCandidate(raw))) {
        return batch
      }
      const replaced = new Places()
      const messages = batch.messages.map((message) => rewriteMessage(message, callOf, replaced))
      places = replaced
      if (messages.every((message, index) => message === batch.messages[index])) return batch
      // From now on for the whole session: a statement that is prepared now may be run at any time.
      answerTypes = "CEN"
      return { ...batch, messages }
    },
    get answerTypes() {
      return answerTypes
    },
    onAnswer: ({ raw, type }) => {
      if (type === "C") {
        const answer = tag === undefined ? raw : commandComplete(tag)
        tag = undefined
        return answer
      }
      const fields = errorFields(raw.subarray(5))
      if (type === "N" && fields.get("C") === gatewayNotice) {
        tag = fields.get("M")
        onRun(tag ?? "", fields.get("D"))
        return undefined
      }
      if (type === "E") tag = undefined
      const isInCall = fields.get("W")?.includes(`${hiddenSchema}.`) === true
      const position = isInCall ? places.inCall(fields) : places.behindCalls(fields)
      if (!isInCall && position === undefined) return raw
      const shown = position === undefined ? fields : new Map([...fields, ["P", String(position)]])
      return responseWith(type, shown, isInCall ? [..."Wpq"] : [])
    }
  }
}

const isCandidate = (raw: Buffer): boolean => words.test(raw.toString("latin1", 5))

/** Where calls stand in what was sent last, and where the statements did: in characters, from 0. */
class Places {
  readonly #calls: Array<{ readonly start: number; readonly end: number; readonly longer: number }> = []

  add(start: number, end: number, longer: number): void {
    this.#calls.push({ start, end, longer })
  }

  /** Where an error in what a call runs stands in the statement, which it got as it was. */
  inCall(fields: ReadonlyMap<string, string>): number | undefined {
    const position = Number(fields.get("p"))
    const [call] = this.#calls
    return position > 0 && call !== undefined && this.#calls.length === 1 ? call.start + position : undefined
  }

  /** Where an error behind calls stands in what the client sent. */
  behindCalls(fields: ReadonlyMap<string, string>): number | undefined {
    const position = Number(fields.get("P"))
    const before = this.#calls.filter(({ end }) => end < position)
    return before.length === 0 ? undefined : before.reduce((rest, { longer }) => rest - longer, position)
  }
}

/** Bytes as characters, one to one, so that all that is not rewritten stays as it was in any encoding. */
const encoding = "latin1"

const characters = (text: string): number => [...Buffer.from(text, encoding).toString("utf8")].length

const rewriteMessage = (original: Message, callOf: CallOf, places: Places): Message => {
  if ((original.type !== "Q" && original.type !== "P") || !isCandidate(original.raw)) return original
  const body = original.raw.toString(encoding, 5)
  // Parse begins with the name of the statement.
  const start = original.type === "P" ? body.indexOf("\0") + 1 : 0
  const end = body.indexOf("\0", start)
  const sql = body.slice(start, end)
  const rewritten = end === -1 ? sql : rewrite(sql, callOf, places)
  if (rewritten === sql) return original
  const raw = message(original.type, Buffer.from(body.slice(0, start) + rewritten + body.slice(end), encoding))
  return { type: original.type, raw }
}

/** The same text with calls in the place of statements, where they fit as long as those. */
const rewrite = (sql: string, callOf: CallOf, places: Places): string => {
  let result = ""
  for (const statement of splitStatements(sql)) {
    const { start, text, tokens } = statement
    const call = tokens.length === 0 ? undefined : callOf(statement)
    if (call === undefined) {
      result += text
      continue
    }
    const last = tokens.at(-1)!
    const from = tokens[0]!.start - start
    const to = last.start + last.text.length - start
    const before = text.slice(0, from)
    const padded = call.padEnd(to - from)
    places.add(
      characters(sql.slice(0, start)),
      characters(result + before + padded),
      characters(padded) - characters(text.slice(from, to))
    )
    result += before + padded + text.slice(to)
  }
  return result
}
