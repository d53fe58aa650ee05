/** What a test has scripted, and what has been run so far. */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { DropMoment, Step } from "../core/faults.js"
import type { DsqlError } from "../Errors.js"
import { withPageBelow } from "../internal/pages.js"

/**
 * Which statements an answer is for: the exact text, a pattern in it, or a function of text and parameters. The text is the
 * compiled one, with `$1` for parameters, and white space outside of quotes counts as one space.
 *
 * @since 0.1.0
 * @category models
 */
export type Match = string | RegExp | ((sql: string, params: ReadonlyArray<unknown>) => boolean)

/**
 * What a statement gives, where rows alone do not say it: `{ rowCount: 3 }` for an UPDATE without RETURNING. Default of
 * `rows`: none; of `rowCount`: the number of rows; of `command`: the first word of the statement.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outcome {
  readonly rows?: ReadonlyArray<object> | undefined
  readonly rowCount?: number | undefined
  readonly command?: string | undefined
}

/**
 * An answer: rows as the database names their columns, an {@link Outcome}, one of our errors, or an effect that gives any of
 * them, `Effect.never` for instance.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply = ReadonlyArray<object> | Outcome | Effect.Effect<ReadonlyArray<object> | Outcome, DsqlError>

/**
 * How often an answer is given, or how many are to fail, be delayed or dropped in a row. Default of answers: always; of the
 * others: once.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnswerOptions {
  readonly times?: number | undefined
}

export type { DropMoment, Step } from "../core/faults.js"

/**
 * A statement and its answer, for the layer that is to give it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly match: Match
  readonly reply: Reply | ((params: ReadonlyArray<unknown>, sql: string) => Reply)
  readonly times: number
}

/**
 * A statement that was run, with BEGIN, COMMIT and ROLLBACK among them. `sql` has its white space folded as in
 * {@link Match}, JSON among `params` is the text that would be sent, and transactions are numbered from 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recorded {
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
  /** `undefined` outside of any transaction. */
  readonly transaction: number | undefined
  readonly error: DsqlError | DsqlUnscriptedError | undefined
}

/**
 * A statement that no answer was scripted for; a test double that made up an empty result would hide mistakes. It comes as
 * the `cause` of the `SqlError`, and stays there under `DsqlErrors.refine`.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlUnscriptedError extends Data.TaggedError("DsqlUnscriptedError")<{
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
  /** What is scripted, in words. */
  readonly scripted: ReadonlyArray<string>
}> {
  override get message(): string {
    const parameters = this.params.length === 1 ? "1 parameter" : `${this.params.length} parameters`
    const scripted = this.scripted.length === 0 ? " nothing" : this.scripted.map((line) => `\n  ${line}`).join("")
    return withPageBelow(
      this._tag,
      `No answer is scripted for this statement with ${parameters}:\n  ${this.sql}\nScripted:${scripted}`
    )
  }
}

const spaceOrQuoted = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\s+/g

export const fold = (sql: string): string =>
  sql.replace(spaceOrQuoted, (found) => (/^['"]/.test(found) ? found : " ")).trim()

const matches = (match: Match, sql: string, params: ReadonlyArray<unknown>): boolean => {
  if (typeof match === "string") return fold(match) === sql
  // Unlike `test`, `search` leaves a global pattern as it is.
  return typeof match === "function" ? match(sql, params) : sql.search(match) >= 0
}

const describe = ({ match }: Answer, left: number): string => {
  const what = typeof match === "string" ? fold(match) : typeof match === "function" ? "(a function)" : String(match)
  return left === Infinity ? what : left === 0 ? `${what} (used up)` : `${what} (${left} times more)`
}

const perStep = <A>(): Record<Step, Array<A>> => ({ connect: [], BEGIN: [], statement: [], COMMIT: [], ROLLBACK: [] })

interface Entry {
  readonly answer: Answer
  left: number
}

/** Answers that are given a number of times come first, in their order; then the last of those that are always given. */
export class ScriptState {
  private readonly limited: Array<Entry> = []
  private readonly unlimited: Array<Entry> = []
  private readonly failures = perStep<DsqlError>()
  private readonly delays = perStep<Duration.DurationInput>()
  private readonly drops: Array<DropMoment> = []
  private readonly records: Array<{ -readonly [K in keyof Recorded]: Recorded[K] }> = []
  private transactions = 0

  constructor(answers: ReadonlyArray<Answer>) {
    for (const answer of answers) this.add(answer)
  }

  add(answer: Answer): void {
    const entry = { answer, left: answer.times }
    if (answer.times === Infinity) this.unlimited.unshift(entry)
    else this.limited.push(entry)
  }

  addFailures(step: Step, error: DsqlError, times: number): void {
    this.failures[step].push(...Array<DsqlError>(times).fill(error))
  }

  addDelays(step: Step, duration: Duration.DurationInput, times: number): void {
    this.delays[step].push(...Array<Duration.DurationInput>(times).fill(duration))
  }

  addDrops(moment: DropMoment, times: number): void {
    this.drops.push(...Array<DropMoment>(times).fill(moment))
  }

  nextTransaction(): number {
    return ++this.transactions
  }

  takeFailure(step: Step): DsqlError | undefined {
    return this.failures[step].shift()
  }

  takeDelay(step: Step): Duration.DurationInput | undefined {
    return this.delays[step].shift()
  }

  /** Whether the next one is due; those that were asked for first come first. */
  takeDrop(moment: DropMoment): boolean {
    return this.drops[0] === moment && this.drops.shift() !== undefined
  }

  takeAnswer(sql: string, params: ReadonlyArray<unknown>): Answer | DsqlUnscriptedError {
    const entries = [...this.limited, ...this.unlimited]
    const found = entries.find(({ answer, left }) => left > 0 && matches(answer.match, sql, params))
    if (found === undefined) {
      const scripted = entries.map(({ answer, left }) => describe(answer, left))
      return new DsqlUnscriptedError({ sql, params, scripted })
    }
    found.left--
    return found.answer
  }

  /** Gives a function that notes how it failed. */
  record(
    sql: string,
    params: ReadonlyArray<unknown>,
    transaction: number | undefined
  ): (error: Recorded["error"]) => void {
    const record = { sql, params, transaction, error: undefined as Recorded["error"] }
    this.records.push(record)
    return (error) => {
      record.error = error
    }
  }

  recorded(): ReadonlyArray<Recorded> {
    return this.records.map((record) => ({ ...record }))
  }
}
