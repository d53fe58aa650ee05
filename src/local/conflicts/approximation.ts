import type { Batch } from "../batches.js"
import type { Message } from "../framing.js"
import type { Act } from "../statements/book.js"
import {
  type Call,
  describe,
  firstValue,
  hasValues,
  noTypes,
  noValues,
  run,
  sync,
  typesOf,
  withTextResults
} from "../statements/messages.js"
import { commandComplete } from "../wire.js"
import { type Block, releaseInnerSavepoint, rollBackToInnerSavepoint, setInnerSavepoint } from "./block.js"
import { abortBlock, readyForQuery } from "./ending.js"
import { conflictAnswer, conflictErrors, errorIn, failureIn, type Fields, fieldsOf } from "./failures.js"
import { noteStep } from "./notes.js"
import { moveToOwnCopies } from "./ownCopies.js"
import type { SessionParts } from "./repetition.js"
import { rivalProbe } from "./rivals.js"
import { ranUntilItsEnd, repeated, type Segment, segmentsOf } from "./segments.js"

/**
 * Runs a batch statement by statement where one of them conflicts, or may. A statement that conflicts dooms the block, and is
 * answered as if it had succeeded: by what can be told without doing it, else by doing it on copies. If there are none, the
 * conflict is reported at the statement.
 */
export const runOneByOne = async (
  parts: SessionParts,
  block: Block,
  batch: Batch,
  acts: ReadonlyArray<Act>
): Promise<void> => {
  const { dialogue } = parts
  const answers: Array<Message> = []
  for (const segment of segmentsOf(batch, acts)) {
    if (block.isBehind) await moveToOwnCopies(parts, block)
    answers.push(...(await runSegment(parts, block, segment)))
    if (dialogue.status !== "T") break
  }
  dialogue.answer([...answers, readyForQuery(dialogue.status)])
}

const isQuery = ({ messages }: Segment): boolean => messages.at(-1)?.type === "Q"

/** Gives the answers without the ReadyForQuery. */
const runSegment = async (
  parts: SessionParts,
  block: Block,
  segment: Segment,
  mayCopy = true,
  mayRepeat = true
): Promise<ReadonlyArray<Message>> => {
  const { dialogue } = parts
  const { cleaned, messages } = repeated(segment.messages)
  const raw = await dialogue.together(() => {
    dialogue.askPrivately(setInnerSavepoint)
    return dialogue.ask(...messages, ...(isQuery(segment) ? [] : [sync]))
  })
  const answers = cleaned(raw.slice(0, -1))
  const error = errorIn(answers)
  if (error === undefined) {
    await dialogue.command(releaseInnerSavepoint)
    if (segment.act !== undefined) await noteStep(parts, block, [segment.act], answers)
    return answers
  }
  const failure = failureIn(answers)
  if (failure === "error") return answers
  await dialogue.command(rollBackToInnerSavepoint)
  const before = answers.slice(0, answers.indexOf(error))
  const fields = fieldsOf(error)
  // What a row references may be there only on a copy, which is nothing to the tables that there are.
  const isMisled = block.doom !== undefined && mayCopy && fields.get("C") === "23503"
  if (failure === "constraint" && !isMisled && !(await isConflict(parts, fields))) {
    // The row that stood in the way may be gone again.
    if (mayRepeat && fields.get("C") === "23505") return runSegment(parts, block, segment, mayCopy, false)
    await abortBlock(dialogue, { code: fields.get("C") ?? "", message: fields.get("M") ?? "" })
    return [...before, error]
  }
  block.doom ??= "data"
  const call = segment.act?.call
  const targets = segment.act?.statement?.targets.names ?? new Set()
  const outcome = ranUntilItsEnd(segment, answers) ? await outcomeOf(parts, segment) : undefined
  if (outcome !== undefined) {
    if (call !== undefined && targets.size > 0) block.steps.push({ calls: [call], targets, digest: undefined })
    block.isBehind ||= targets.size > 0
    return [...before, ...outcome]
  }
  if (mayCopy && targets.size > 0) {
    await moveToOwnCopies(parts, block, targets)
    return runSegment(parts, block, segment, false)
  }
  await abortBlock(dialogue, conflictErrors.data)
  return [...before, conflictAnswer("data")]
}

/** Runs what must leave no trace, not even if it fails. */
const lookUp = async ({ dialogue }: SessionParts, question: Buffer): Promise<ReadonlyArray<Message> | undefined> => {
  const answers = await dialogue.together(() => {
    dialogue.askPrivately(setInnerSavepoint)
    return dialogue.askPrivately(question)
  })
  const hasFailed = errorIn(answers) !== undefined
  await dialogue.command(hasFailed ? rollBackToInnerSavepoint : releaseInnerSavepoint)
  return hasFailed ? undefined : answers
}

/** Whether a constraint failed for a row that the block does not see. */
const isConflict = async (parts: SessionParts, fields: Fields): Promise<boolean> => {
  const ask = (sql: string) => parts.coordinator.ask(sql)
  const probe = await rivalProbe(fields, ask).catch(() => undefined)
  if (probe === undefined) return false
  const call: Call = { sql: probe.sql, types: noTypes, values: noValues }
  const row = (await lookUp(parts, run(call)))?.find(({ type }) => type === "D")
  if (row === undefined || (firstValue(row.raw) === "t") !== probe.isConflictWhenSeen) return false
  return !probe.mustBeSeenOutside || (await ask(probe.sql).catch(() => undefined)) === "t"
}

/** The answer to a statement as far as it can be told without doing it. */
const outcomeOf = async (parts: SessionParts, segment: Segment): Promise<ReadonlyArray<Message> | undefined> => {
  const call = segment.act?.call
  const shadow = segment.act?.statement?.shadow
  if (call === undefined || shadow === undefined) return undefined
  const complete = (tag: string): ReadonlyArray<Message> => [{ type: "C", raw: commandComplete(tag) }]
  if (shadow._tag === "Rows") return complete(`INSERT 0 ${shadow.rows}`)

  // Of a parameter that the shadow does not use it would be unknown of what type it is.
  const description = hasValues(call.values) ? await lookUp(parts, describe(call)) : []
  const types = description?.find(({ type }) => type === "t")?.raw
  const typed: Call = { ...call, sql: shadow.sql, types: types === undefined ? call.types : typesOf(types) }
  if (shadow._tag === "Query") {
    const kept = isQuery(segment) ? "TDC" : "DC"
    return (await lookUp(parts, run(typed, isQuery(segment))))?.filter(({ type }) => kept.includes(type))
  }
  const counted = await lookUp(parts, run({ ...typed, values: withTextResults(call.values) }))
  const row = counted?.find(({ type }) => type === "D")
  return row === undefined ? undefined : complete(`${shadow.verb} ${firstValue(row.raw)}`)
}
