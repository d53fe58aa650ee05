/** A connection to nowhere: it knows where it is in a transaction as a server would, and answers from a script. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { FieldDef } from "pg"
import type { Resolved } from "../Config.js"
import type { DsqlError, DsqlStatementError } from "../Errors.js"
import { DsqlQueryError } from "../Errors.js"
import type { Result } from "../internal/request.js"
import { networkError, statementError } from "../internal/driverError.js"
import type { Answer, DsqlUnscriptedError, Outcome, Reply, ScriptState, Step } from "./script.js"
import { fold } from "./script.js"

export type ScriptedFailure = DsqlError | DsqlUnscriptedError

const abortedBlock = () =>
  new DsqlQueryError({
    sqlState: "25P02",
    server: {
      severity: "ERROR",
      sqlState: "25P02",
      message: "current transaction is aborted, commands ignored until end of transaction block"
    }
  })

const firstWord = (sql: string): string => /^\w+/.exec(sql)?.[0].toUpperCase() ?? ""

type ControlCommand = Extract<Step, "BEGIN" | "COMMIT" | "ROLLBACK">

const isControl = (word: string): word is ControlCommand => word === "BEGIN" || word === "COMMIT" || word === "ROLLBACK"

/** Of the fields only the names are known. Rows are copied, since a program may change what it got. */
const resultOf = (sql: string, { command, rowCount, rows = [] }: Outcome): Result => ({
  command: command ?? firstWord(sql),
  rowCount: rowCount ?? rows.length,
  oid: null,
  fields: Object.keys(rows[0] ?? {}).map((name) => ({ name }) as FieldDef),
  rows: rows.map((row) => ({ ...row }))
})

const outcomeOf = (given: ReadonlyArray<object> | Outcome): Outcome =>
  Array.isArray(given) ? { rows: given } : (given as Outcome)

const replyOf = ({ reply }: Answer, sql: string, params: ReadonlyArray<unknown>): Reply =>
  // Effects first, since some of them are functions as well.
  Effect.isEffect(reply) || typeof reply !== "function" ? reply : reply(params, sql)

/** A value in the form in which the driver would send it, as far as the value itself says so: JSON does. */
const encode = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "toPostgres" in value && typeof value.toPostgres === "function"
    ? value.toPostgres()
    : (value ?? null)

const losesConnection = (error: ScriptedFailure): boolean =>
  error._tag === "DsqlConnectionError" || error._tag === "DsqlCommitOutcomeUnknownError"

export class ScriptedConnection {
  private block: { readonly transaction: number; aborted: boolean } | undefined
  private lost = false
  private onClose = (): void => {}

  constructor(
    private readonly script: ScriptState,
    private readonly config: Resolved
  ) {}

  /** Asked before COMMIT and at no other time: here a test may have it broken. */
  readonly isOpen = (): boolean => {
    if (this.block?.aborted === false && this.script.takeDrop("before")) this.destroy()
    return !this.lost
  }

  /** Closes it at once; the server rolls back what is open, and what waits for an answer fails. */
  readonly destroy = (): void => {
    this.lost = true
    this.onClose()
  }

  private readonly closedError = () => networkError(this.config, "Closed")

  run(text: string, values: ReadonlyArray<unknown>): Effect.Effect<Result, ScriptedFailure> {
    return Effect.suspend(() => {
      if (this.lost) return Effect.fail(this.closedError())
      return Effect.flatMap(this.encode(values), (params) => {
        const sql = fold(text)
        const word = firstWord(sql)
        return isControl(word) ? this.control(word, sql) : this.statement(sql, params)
      })
    })
  }

  private encode(values: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<unknown>, DsqlStatementError> {
    return Effect.try({ try: () => values.map(encode), catch: (cause) => statementError(this.config, cause) })
  }

  /** What takes its time ends with the connection, also where it cannot be interrupted. */
  private whileOpen<A>(answer: Effect.Effect<A, DsqlError>): Effect.Effect<A, DsqlError> {
    return Effect.flatMap(Deferred.make<A, DsqlError>(), (answered) => {
      this.onClose = () => Deferred.unsafeDone(answered, Effect.fail(this.closedError()))
      return Effect.acquireUseRelease(
        Effect.forkDaemon(Effect.intoDeferred(Effect.interruptible(answer), answered)),
        () => Deferred.await(answered),
        Fiber.interruptFork
      )
    })
  }

  private wait(step: Step): Effect.Effect<void, DsqlError> {
    const delay = this.script.takeDelay(step)
    return delay === undefined ? Effect.void : this.whileOpen(Effect.sleep(delay))
  }

  private control(command: ControlCommand, sql: string): Effect.Effect<Result, ScriptedFailure> {
    return Effect.suspend(() => {
      const commits = command === "COMMIT" && this.block?.aborted !== true
      const transaction = command === "BEGIN" ? this.script.nextTransaction() : this.block?.transaction
      const noteError = this.script.record(sql, [], transaction)
      // However COMMIT and ROLLBACK end, the block is over.
      this.block = undefined
      const answer = Effect.suspend(() => {
        const rolledBack = command === "COMMIT" && !commits
        const error = rolledBack ? undefined : this.script.takeFailure(command)
        if (error !== undefined) return Effect.fail(error)
        if (commits && this.script.takeDrop("during")) return Effect.fail(this.closedError())
        if (command === "BEGIN") this.block = { transaction: transaction!, aborted: false }
        return Effect.succeed(resultOf(sql, { command: rolledBack ? "ROLLBACK" : command, rowCount: 0 }))
      })
      return Effect.zipRight(this.wait(command), answer).pipe(
        Effect.tapError((error) => Effect.sync(() => this.failed(error, noteError))),
        Effect.filterOrElse(
          () => !(commits && this.script.takeDrop("after")),
          () => {
            this.destroy()
            return Effect.fail(this.closedError())
          }
        ),
        Effect.onInterrupt(() => Effect.sync(this.destroy))
      )
    })
  }

  private failed(error: ScriptedFailure, note: (error: ScriptedFailure) => void): void {
    note(error)
    if (losesConnection(error)) this.destroy()
  }

  private statement(sql: string, params: ReadonlyArray<unknown>): Effect.Effect<Result, ScriptedFailure> {
    return Effect.suspend((): Effect.Effect<Result, ScriptedFailure> => {
      const block = this.block
      const noteError = this.script.record(sql, params, block?.transaction)
      const answered = (): Effect.Effect<Result, ScriptedFailure> => {
        const error = this.script.takeFailure("statement")
        if (error !== undefined) return Effect.fail(error)
        const answer = this.script.takeAnswer(sql, params)
        if (!("match" in answer)) return Effect.fail(answer)
        const reply = replyOf(answer, sql, params)
        const given = Effect.isEffect(reply) ? this.whileOpen(reply) : Effect.succeed(reply)
        return Effect.map(given, (outcome) => resultOf(sql, outcomeOf(outcome)))
      }
      const answer = Effect.suspend(() => Effect.zipRight(this.wait("statement"), Effect.suspend(answered)))
      return (block?.aborted === true ? Effect.fail(abortedBlock()) : answer).pipe(
        Effect.tapError((error) =>
          Effect.sync(() => {
            this.failed(error, noteError)
            if (block !== undefined) block.aborted = true
          })
        ),
        Effect.onInterrupt(() => Effect.sync(this.destroy))
      )
    })
  }
}
