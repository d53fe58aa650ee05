/** The client that a migration written as an Effect gets: it numbers its statements and journals them like those of a file. */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Stream from "effect/Stream"
import { isSignificant, isWord, tokenize } from "../../core/lexer.js"
import { type Problem, readScript } from "../../core/script.js"
import { calledNames, kindOf } from "../../core/statementKind.js"
import { DsqlUnsupportedError, unwrap } from "../../Errors.js"
import type { Derive } from "../derived.js"
import { currentRepeatable } from "../repeatable.js"
import { newCourse, type Transactions } from "../transaction.js"
import { DsqlMigrationError } from "./error.js"
import { checksumOf } from "./load.js"
import type { Step } from "./model.js"
import { type Outcome, runStep, type StepContext } from "./steps.js"

type Operation = (connection: SqlConnection.Connection) => Effect.Effect<unknown, SqlError>

/** What a statement gives that is not run because it has been. */
type Nothing = () => unknown

const rowsOf = (value: unknown): ReadonlyArray<unknown> => {
  if (Array.isArray(value)) return value
  return typeof value === "object" && value !== null && "rows" in value ? (value.rows as ReadonlyArray<unknown>) : []
}

/** Parameters as text. What JSON cannot hold is told apart as well as it can be. */
const parametersText = (parameters: ReadonlyArray<unknown>): string =>
  JSON.stringify(parameters, (_, value: unknown) => {
    if (typeof value === "bigint") return `${value}n`
    const writer = typeof value === "object" && value !== null && "toPostgres" in value ? value.toPostgres : undefined
    return typeof writer === "function" ? (writer.call(value) as unknown) : value
  }) ?? ""

/** What only looks needs no entry. */
const needsEntry = (text: string): boolean => {
  const tokens = tokenize(text).filter(isSignificant)
  switch (kindOf(tokens)) {
    case "empty":
      return false
    case "read":
    case "lock": {
      const called = calledNames(tokens)
      return called.has("nextval") || called.has("setval")
    }
    case "session":
      return !isWord(tokens[0], "show")
    default:
      return true
  }
}

export interface Migrating {
  readonly sql: SqlClient.SqlClient
  /** The first error of the journal, whatever the migration has made of it. */
  readonly failure: () => DsqlMigrationError | undefined
  /** The statement whose error this is, if it is one's. */
  readonly failed: (error: unknown) => DsqlMigrationError | undefined
}

export const migratingClient = (
  derive: Derive,
  transactions: Transactions,
  context: StepContext,
  onStep: (step: Step, done: boolean) => Effect.Effect<void>
): Migrating => {
  const { failWithSqlError } = transactions
  let position = 0
  let failure: DsqlMigrationError | undefined
  const turn = Effect.unsafeMakeSemaphore(1)
  const refuse = (error: DsqlMigrationError): Effect.Effect<never, SqlError> => {
    failure ??= error
    return failWithSqlError(error)
  }

  const stepOf = (text: string, parameters: ReadonlyArray<unknown>): Step | Problem => {
    const { problems, units } = readScript(text)
    const [problem] = problems
    if (problem !== undefined) return problem
    if (units.length !== 1) {
      return { line: 1, text, detail: "it is several statements; run them one by one, so that each can be journaled" }
    }
    const tokens = units[0]!.statements.map((statement) => statement.tokens)
    const checksum = checksumOf(tokens, parametersText(parameters))
    return { kind: units[0]!.kind, position: ++position, line: undefined, text, checksum }
  }

  /** One that the journal knows of already: it must be the same, and no one may need what it gave. */
  const skip = (step: Step, nothing: Nothing): Effect.Effect<unknown, SqlError> => {
    const entry = context.entries.get(step.position)!
    if (entry.checksum !== step.checksum) {
      return refuse(
        context.failWith(
          step,
          "Edited",
          `in the run before, another statement came here: ${entry.statement}. A migration that goes on where it stopped must issue the same statements in the same order with the same parameters; bring that about, or finish it by hand`
        )
      )
    }
    return entry.returned
      ? refuse(
          context.failWith(
            step,
            "Uncertain",
            "it ran before and gave rows that are gone now, so that the rest of the migration cannot be run with them; finish the migration by hand, or write it without RETURNING"
          )
        )
      : Effect.as(onStep(step, true), nothing())
  }

  const inTransaction = (step: Step, session: SqlConnection.Connection, operation: Operation) =>
    step.kind === "write"
      ? context.lease.held.pipe(
          Effect.catchTag("DsqlMigrationError", refuse),
          Effect.zipRight(operation(session)),
          Effect.tap((value) => context.journal.writeDone(step, rowsOf(value).length > 0))
        )
      : refuse(
          context.failWith(
            step,
            "Script",
            "DSQL runs DDL in a transaction of its own; take it out of `withTransaction`"
          )
        )

  const journaled = (
    acquirer: SqlConnection.Connection.Acquirer,
    text: string,
    parameters: ReadonlyArray<unknown>,
    operation: Operation,
    nothing: Nothing
  ): Effect.Effect<unknown, SqlError> =>
    Effect.gen(function* () {
      if (failure !== undefined) return yield* failWithSqlError(failure)
      const step = stepOf(text, parameters)
      if ("detail" in step) {
        return yield* refuse(
          context.failWith({ kind: "alone", position: position + 1, checksum: "", ...step }, "Script", step.detail)
        )
      }
      if (context.entries.get(step.position)?.state === "done") return yield* skip(step, nothing)
      const session = yield* transactions.current
      yield* onStep(step, false)
      if (session !== undefined) return yield* inTransaction(step, session, operation)
      const execute = Effect.map(Effect.scoped(Effect.flatMap(acquirer, operation)), (value): Outcome => ({
        value,
        rows: rowsOf(value)
      }))
      const result = yield* runStep(context, step, execute).pipe(
        Effect.provideService(SqlClient.SqlClient, context.sql),
        Effect.catchAll((error) => (error instanceof DsqlMigrationError ? told(error) : failWithSqlError(error)))
      )
      yield* onStep(step, true)
      return result ?? nothing()
    })

  /** An attempt at a transaction that failed has left no entries: the next one begins where it began. */
  const outermost: Transactions["outermost"] = (effect, toError, course, options) =>
    Effect.suspend(() => {
      const start = position
      return Effect.onError(transactions.outermost(effect, toError, course, options), () =>
        Effect.sync(() => (position = start))
      )
    })
  const counted: Transactions = {
    ...transactions,
    outermost,
    withTransaction: (effect) =>
      Effect.flatMap(transactions.current, (session) =>
        session === undefined ? outermost(effect, failWithSqlError, newCourse()) : transactions.nested(effect)
      )
  }

  let lastFailed: DsqlMigrationError | undefined
  /** A failed statement is told as the error of the server, so that a migration can make something of it. */
  const told = (error: DsqlMigrationError): Effect.Effect<never, SqlError> => {
    if (error.cause instanceof Error && (error.reason === "Statement" || error.reason === "Refused")) {
      lastFailed = error
      return failWithSqlError(error.cause)
    }
    return refuse(error)
  }

  return {
    sql: derive((acquirer) => {
      const run = (text: string, parameters: ReadonlyArray<unknown>, operation: Operation, nothing: Nothing) =>
        Effect.flatMap(FiberRef.get(currentRepeatable), (repeatable) =>
          repeatable || !needsEntry(text)
            ? Effect.scoped(Effect.flatMap(acquirer, operation))
            : turn.withPermits(1)(journaled(acquirer, text, parameters, operation, nothing))
        )
      const empty = () => []
      const connection: SqlConnection.Connection = {
        execute: (text, parameters, transform) =>
          run(text, parameters, (one) => one.execute(text, parameters, transform), empty) as never,
        executeRaw: (text, parameters) =>
          run(
            text,
            parameters,
            (one) => one.executeRaw(text, parameters),
            () => ({
              command: "",
              rowCount: 0,
              oid: null,
              fields: [],
              rows: []
            })
          ),
        executeValues: (text, parameters) =>
          run(text, parameters, (one) => one.executeValues(text, parameters), empty) as never,
        executeUnprepared: (text, parameters, transform) =>
          run(text, parameters, (one) => one.executeUnprepared(text, parameters, transform), empty) as never,
        executeStream: (text, parameters, transform) =>
          needsEntry(text)
            ? Stream.fromEffect(
                failWithSqlError(new DsqlUnsupportedError({ feature: "a stream that writes, in a migration" }))
              )
            : Stream.unwrapScoped(Effect.map(acquirer, (one) => one.executeStream(text, parameters, transform)))
      }
      return {
        connection,
        transactions: counted,
        withTransaction: counted.withTransaction,
        reserve: failWithSqlError(new DsqlUnsupportedError({ feature: "sql.reserve in a migration" }))
      }
    }),
    failure: () => failure,
    failed: (error) => (lastFailed !== undefined && unwrap(error) === lastFailed.cause ? lastFailed : undefined)
  }
}
