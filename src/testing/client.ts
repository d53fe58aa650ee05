/**
 * The client over scripted connections. Statements and transactions mean what they mean in `Client.ts` and
 * `Transaction.ts`; a suite holds both clients to the same results.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Resolved } from "../Config.js"
import {
  DsqlCommitOutcomeUnknownError,
  DsqlConnectionError,
  DsqlTransactionError,
  DsqlUnavailableError,
  DsqlUnsupportedError
} from "../Errors.js"
import { json, makeCompiler } from "../internal/compiler.js"
import { type Result, ScriptedConnection, type ScriptedFailure } from "./connection.js"
import type { ScriptState } from "./script.js"

type TransformRows = (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

type Run = (text: string, values: ReadonlyArray<unknown>) => Effect.Effect<Result, ScriptedFailure>

/** As many rows as the client fetches at a time. */
const rowsPerFetch = 128

const toSqlError = (cause: ScriptedFailure): SqlError => new SqlError({ cause, message: cause.message })

class ScriptedSession implements SqlConnection.Connection {
  constructor(private readonly run: Run) {}

  execute(text: string, values: ReadonlyArray<unknown>, transformRows: TransformRows) {
    return Effect.map(this.executeRaw(text, values), ({ rows }) =>
      transformRows === undefined ? rows : transformRows(rows)
    )
  }

  executeRaw(text: string, values: ReadonlyArray<unknown>): Effect.Effect<Result, SqlError> {
    return Effect.mapError(this.run(text, values), toSqlError)
  }

  executeUnprepared(text: string, values: ReadonlyArray<unknown>, transformRows: TransformRows) {
    return this.execute(text, values, transformRows)
  }

  executeValues(text: string, values: ReadonlyArray<unknown>) {
    return Effect.map(this.executeRaw(text, values), ({ rows }) => rows.map((row) => Object.values(row)))
  }

  executeStream(text: string, values: ReadonlyArray<unknown>, transformRows: TransformRows) {
    return Stream.rechunk(Stream.fromIterableEffect(this.execute(text, values, transformRows)), rowsPerFetch)
  }
}

/** Outside of a transaction a statement commits by itself, so when its answer is lost, so is its outcome. */
const ofAutocommit = (error: ScriptedFailure): ScriptedFailure => {
  if (error._tag === "DsqlConnectionError" && error.reason === "Closed") {
    const { address, cause, host, reason, sqlState } = error
    return new DsqlConnectionError({ address, cause, host, reason, sqlState, outcomeUnknown: true })
  }
  return error._tag === "DsqlUnavailableError"
    ? new DsqlUnavailableError({ server: error.server, outcomeUnknown: true })
    : error
}

/** Statements on one connection take turns. */
const oneByOne = (run: Run, ended: () => boolean): Run => {
  const turn = Effect.unsafeMakeSemaphore(1)
  return (text, values) =>
    turn.withPermits(1)(
      Effect.suspend(() =>
        ended() ? Effect.fail(new DsqlTransactionError({ reason: "Finished" })) : run(text, values)
      )
    )
}

const commit = (connection: ScriptedConnection): Effect.Effect<void, ScriptedFailure> =>
  connection.run("COMMIT", []).pipe(
    Effect.mapError((error) =>
      error._tag === "DsqlConnectionError" || error._tag === "DsqlUnavailableError"
        ? new DsqlCommitOutcomeUnknownError({ cause: error })
        : error
    ),
    Effect.flatMap(({ command }) =>
      command === "ROLLBACK" ? Effect.fail(new DsqlTransactionError({ reason: "Aborted" })) : Effect.void
    )
  )

/** The error that led here stays the one reported. */
const rollback = (connection: ScriptedConnection): Effect.Effect<void> =>
  Effect.catchAll(Effect.asVoid(connection.run("ROLLBACK", [])), () => Effect.sync(connection.destroy))

interface Open {
  readonly session: ScriptedSession
  doomed: boolean
}

const makeTransactions = (
  connect: Effect.Effect<ScriptedConnection>,
  spanAttributes: ReadonlyArray<readonly [string, unknown]>
) => {
  const ours = new WeakMap<object, Open>()
  const open = Effect.map(Effect.serviceOption(SqlClient.TransactionConnection), (found) =>
    Option.isSome(found) ? ours.get(found.value[0]) : undefined
  )

  const outermost = <R, E, A>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const connection = yield* connect
        yield* Effect.mapError(restore(connection.run("BEGIN", [])), toSqlError)
        let ended = false
        const session = new ScriptedSession(
          oneByOne(
            (text, values) => connection.run(text, values),
            () => ended
          )
        )
        const transaction: Open = { session, doomed: false }
        ours.set(session, transaction)
        const exit = yield* Effect.exit(
          restore(Effect.provideService(effect, SqlClient.TransactionConnection, [session, 0]))
        )
        ended = true
        if (Exit.isSuccess(exit) && !transaction.doomed) {
          yield* Effect.mapError(commit(connection), toSqlError)
          return exit.value
        }
        yield* rollback(connection)
        return Exit.isFailure(exit)
          ? yield* exit
          : yield* toSqlError(new DsqlTransactionError({ reason: "NestedFailure" }))
      })
    ).pipe(
      Effect.withSpan("sql.transaction", {
        kind: "client",
        captureStackTrace: false,
        attributes: Object.fromEntries(spanAttributes)
      })
    )

  return {
    current: Effect.map(open, (transaction) => transaction?.session),
    withTransaction: <R, E, A>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
      Effect.flatMap(open, (transaction) =>
        transaction === undefined
          ? outermost(effect)
          : Effect.onError(effect, () => Effect.sync(() => (transaction.doomed = true)))
      )
  }
}

const unsupported = (feature: string) => toSqlError(new DsqlUnsupportedError({ feature }))

export const make = (
  script: ScriptState,
  config: Resolved
): Effect.Effect<PgClient.PgClient, never, Reactivity.Reactivity> =>
  Effect.map(Reactivity.Reactivity, (reactivity) => {
    const spanAttributes: ReadonlyArray<readonly [string, unknown]> = [
      ...Object.entries(config.spanAttributes ?? {}),
      ["db.system.name", "postgresql"],
      ["db.namespace", config.database],
      ["server.address", config.host],
      ["server.port", config.port]
    ]
    const compiler = makeCompiler(config)
    const transformRows =
      config.transformResultNames === undefined
        ? undefined
        : Statement.defaultTransforms(config.transformResultNames, config.transformJson).array

    const connect = Effect.sync(() => new ScriptedConnection(script, config))
    const pooled = new ScriptedSession((text, values) =>
      Effect.flatMap(connect, (connection) => Effect.mapError(connection.run(text, values), ofAutocommit))
    )
    const transactions = makeTransactions(connect, spanAttributes)
    const acquirer: SqlConnection.Connection.Acquirer = Effect.map(transactions.current, (session) => session ?? pooled)
    const reserve: SqlConnection.Connection.Acquirer = Effect.gen(function* () {
      const connection = yield* connect
      let released = false
      yield* Effect.addFinalizer(() => Effect.sync(() => (released = true)))
      return new ScriptedSession(
        oneByOne(
          (text, values) => Effect.mapError(connection.run(text, values), ofAutocommit),
          () => released
        )
      )
    })

    const members = {
      [SqlClient.TypeId]: SqlClient.TypeId as SqlClient.TypeId,
      [PgClient.TypeId]: PgClient.TypeId as PgClient.TypeId,
      config: {
        host: config.host,
        port: config.port,
        database: config.database,
        username: config.user,
        ssl: true,
        applicationName: config.applicationName
      },
      reserve,
      withTransaction: transactions.withTransaction,
      reactive: reactivity.stream,
      reactiveMailbox: reactivity.query,
      json: (value: unknown) => json(value),
      listen: () => Stream.fail(unsupported("LISTEN")),
      notify: () => Effect.fail(unsupported("NOTIFY"))
    }
    const assemble = (
      constructor: Statement.Constructor,
      withoutTransforms: () => PgClient.PgClient
    ): PgClient.PgClient =>
      Object.assign(constructor, members, { withoutTransforms, safe: constructor as PgClient.PgClient })
    const plain =
      transformRows === undefined
        ? undefined
        : assemble(
            Statement.make(acquirer, compiler.withoutTransform, spanAttributes, undefined),
            (): PgClient.PgClient => plain!
          )
    const client: PgClient.PgClient = assemble(
      Statement.make(acquirer, compiler, spanAttributes, transformRows),
      () => plain ?? client
    )
    return client
  })
