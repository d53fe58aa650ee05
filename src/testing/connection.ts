/** A connection to nowhere: it knows where it is in a transaction as a server would, and answers from a script. */
import * as Effect from "effect/Effect"
import type { FieldDef } from "pg"
import type { Resolved } from "../Config.js"
import type { DsqlError, DsqlStatementError } from "../Errors.js"
import { DsqlQueryError } from "../Errors.js"
import type { Result } from "../internal/request.js"
import { networkError, statementError } from "../internal/driverError.js"
import type { Answer, ControlCommand, DsqlUnscriptedError, Outcome, Reply, ScriptState } from "./script.js"
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

const replyOf = ({ reply }: Answer, sql: string, params: ReadonlyArray<unknown>): Effect.Effect<Outcome, DsqlError> => {
  // Effects first, since some of them are functions as well.
  const given: Reply = Effect.isEffect(reply) || typeof reply !== "function" ? reply : reply(params, sql)
  return Effect.isEffect(given) ? Effect.map(given, outcomeOf) : Effect.succeed(outcomeOf(given))
}

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

  constructor(
    private readonly script: ScriptState,
    private readonly config: Resolved
  ) {}

  /** Closes it at once; the server rolls back what is open. */
  readonly destroy = (): void => {
    this.lost = true
  }

  run(text: string, values: ReadonlyArray<unknown>): Effect.Effect<Result, ScriptedFailure> {
    return Effect.suspend(() => {
      if (this.lost) return Effect.fail(networkError(this.config, "Closed"))
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

  private control(command: ControlCommand, sql: string): Effect.Effect<Result, ScriptedFailure> {
    return Effect.suspend(() => {
      const rolledBack = command === "COMMIT" && this.block?.aborted === true
      const transaction = command === "BEGIN" ? this.script.nextTransaction() : this.block?.transaction
      const noteError = this.script.record(sql, [], transaction)
      // However COMMIT and ROLLBACK end, the block is over.
      this.block = undefined
      const error = rolledBack ? undefined : this.script.takeFailure(command)
      if (error !== undefined) {
        noteError(error)
        this.lost ||= losesConnection(error)
        return Effect.fail(error)
      }
      if (command === "BEGIN") this.block = { transaction: transaction!, aborted: false }
      return Effect.succeed(resultOf(sql, { command: rolledBack ? "ROLLBACK" : command, rowCount: 0 }))
    })
  }

  private statement(sql: string, params: ReadonlyArray<unknown>): Effect.Effect<Result, ScriptedFailure> {
    return Effect.suspend((): Effect.Effect<Result, ScriptedFailure> => {
      const block = this.block
      const noteError = this.script.record(sql, params, block?.transaction)
      const answered = (): Effect.Effect<Result, ScriptedFailure> => {
        const answer = this.script.takeAnswer(sql, params)
        return "match" in answer
          ? Effect.map(replyOf(answer, sql, params), (outcome) => resultOf(sql, outcome))
          : Effect.fail(answer)
      }
      return (block?.aborted === true ? Effect.fail(abortedBlock()) : Effect.suspend(answered)).pipe(
        Effect.tapError((error) =>
          Effect.sync(() => {
            noteError(error)
            this.lost ||= losesConnection(error)
            if (block !== undefined) block.aborted = true
          })
        ),
        Effect.onInterrupt(() => Effect.sync(this.destroy))
      )
    })
  }
}
