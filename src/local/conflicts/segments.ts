import type { Batch } from "../batches.js"
import type { Message } from "../framing.js"
import type { Act } from "../statements/book.js"
import { closeStatement, query, readParse, readQuery, sync } from "../statements/messages.js"

/** The part of a batch that runs one statement, or what follows the last. */
export interface Segment {
  readonly act: Act | undefined
  /** Without a Sync. */
  readonly messages: ReadonlyArray<Message>
}

/** Cuts a batch that a Query or a Sync ends, so that its statements can be run one by one. */
export const segmentsOf = ({ end, messages }: Batch, acts: ReadonlyArray<Act>): ReadonlyArray<Segment> => {
  if (end === "Query") return segmentsOfQuery(messages, acts)
  const segments = acts.map((act, place) => ({
    act,
    messages: messages.slice((acts[place - 1]?.index ?? -1) + 1, act.index + 1)
  }))
  const rest = messages.slice((acts.at(-1)?.index ?? -1) + 1, -1)
  return rest.length === 0 ? segments : [...segments, { act: undefined, messages: rest }]
}

/** Several statements in one text are run as texts of their own, at the same place, so that errors tell right positions. */
const segmentsOfQuery = (messages: ReadonlyArray<Message>, acts: ReadonlyArray<Act>): ReadonlyArray<Segment> => {
  const [first] = acts
  if (acts.length < 2) return [{ act: first, messages }]
  const last = messages.at(-1)!
  const sql = readQuery(last.raw) ?? ""
  return acts.map((act, place) => {
    const { start, text } = act.statement!.source
    const before = [...Buffer.from(sql.slice(0, start), "latin1").toString("utf8")].length
    const own = { type: "Q", raw: query(" ".repeat(before) + text) }
    return { act, messages: place === 0 ? [...messages.slice(0, -1), own] : [own] }
  })
}

/** The batch that a segment is when it is sent alone. */
export const batchOf = ({ end }: Batch, { messages }: Segment): Batch => ({
  end,
  messages: end === "Query" ? messages : [...messages, { type: "S", raw: sync }]
})

export interface Repeated {
  readonly messages: ReadonlyArray<Buffer>
  /** Leaves out the answers to what was not among the original messages. */
  readonly cleaned: (answers: ReadonlyArray<Message>) => ReadonlyArray<Message>
}

/** Messages that were sent before: what they prepare is there, and PostgreSQL would not take it twice under one name. */
export const repeated = (originals: ReadonlyArray<Message>): Repeated => {
  const messages: Array<Buffer> = []
  const isOwnClose: Array<boolean> = []
  for (const { raw, type } of originals) {
    const name = type === "P" ? readParse(raw)?.name : undefined
    if (name !== undefined && name !== "") {
      messages.push(closeStatement(name))
      isOwnClose.push(true)
    }
    if (type === "C") isOwnClose.push(false)
    messages.push(raw)
  }
  const cleaned = (answers: ReadonlyArray<Message>): ReadonlyArray<Message> => {
    let closed = 0
    return answers.filter(({ type }) => type !== "3" || isOwnClose[closed++] !== true)
  }
  return { messages, cleaned }
}

/** Whether PostgreSQL got as far as running the statement of a segment, so that only this can have failed. */
export const ranUntilItsEnd = ({ messages }: Segment, answers: ReadonlyArray<Message>): boolean => {
  const asked = messages.filter(({ type }) => "PBDC".includes(type)).length
  const answered = answers.filter(({ type }) => "123nT".includes(type)).length
  return messages.at(-1)?.type === "Q" || answered >= asked
}
