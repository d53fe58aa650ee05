/** Clients of node-postgres on our connections: what they are asked runs in turn, and fails with our errors. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pg from "pg"
import type { Connection } from "../Connection.js"
import { isSignificant, tokenize } from "../core/lexer.js"
import { kindOf } from "../core/statementKind.js"
import { type DsqlError, DsqlTransactionError } from "../Errors.js"
import { type Channel, channelOf } from "../internal/channel.js"
import { ofCommit } from "../internal/session.js"
import { ofSentCommit } from "../internal/transactionCommands.js"
import { oneByOne } from "../internal/turns.js"
import { pgClientOf } from "./pgDriver.js"
import { orCallBack, type Run } from "./runtime.js"

type Callback = (error: unknown, result: unknown) => void

/** What `query` was called with. */
interface Request {
  readonly text: string
  readonly values: ReadonlyArray<unknown>
  readonly callback: Callback | undefined
}

/** An object that sends and reads by itself, such as a cursor. */
interface Submittable {
  readonly submit: unknown
  readonly text?: unknown
  readonly cursor?: { readonly text?: unknown }
  readonly handleError: (error: unknown, protocol: unknown) => void
}

export const isSubmittable = (u: unknown): u is Submittable =>
  typeof u === "object" && u !== null && "submit" in u && typeof u.submit === "function"

interface Config {
  readonly text?: unknown
  readonly values?: ReadonlyArray<unknown>
  readonly callback?: Callback
}

/** As the driver reads them: a text or an object, values, a callback at the end or in the object. */
const requestOf = (args: ReadonlyArray<unknown>): Request => {
  const first = args[0]
  const config: Config = typeof first === "object" && first !== null ? first : { text: first }
  const values = args.find((argument, index) => index > 0 && Array.isArray(argument)) ?? config.values ?? []
  const callback = args.find((argument, index) => index > 0 && typeof argument === "function") ?? config.callback
  return {
    text: String(config.text),
    values: values as ReadonlyArray<unknown>,
    callback: callback as Callback | undefined
  }
}

const isCommit = (text: string): boolean => kindOf(tokenize(text).filter(isSignificant)) === "commit"

const submit = (
  connection: Connection,
  { text, values }: Request,
  args: ReadonlyArray<unknown>
): Effect.Effect<Pg.QueryResult, DsqlError> =>
  Effect.async((resume) => {
    connection.changes.sending(text, values)
    let failure: DsqlError | undefined
    const done = (error: unknown, result: Pg.QueryResult) => {
      // The driver reports an error before it is ready for the next statement, and may tell of a result after it.
      if (failure !== undefined) return
      if (!error) return resume(Effect.succeed(result))
      const failed = (failure = connection.toError(error))
      queueMicrotask(() => connection.whenReady(() => resume(Effect.fail(failed))))
    }
    const [config, ...rest] = args.filter((argument) => typeof argument !== "function")
    // The driver writes into what it is given, which may be used again.
    const own: unknown = typeof config === "object" && config !== null ? Object.create(config) : config
    const client = pgClientOf(connection)
    const query = client.query as (...args: ReadonlyArray<unknown>) => void
    query.call(client, own, rest[0], done)
    return Effect.sync(connection.destroy)
  })

/** Runs a statement as the driver does, and says what its failure means where the statement stood. */
const send = (
  connection: Connection,
  request: Request,
  args: ReadonlyArray<unknown>
): Effect.Effect<Pg.QueryResult, DsqlError> =>
  Effect.suspend(() => {
    // On a connection that is known to be gone nothing is sent, and nothing unknown.
    if (!connection.isOpen()) return Effect.fail(connection.toError(undefined))
    const autocommit = !connection.inTransaction()
    return submit(connection, request, args).pipe(
      Effect.mapError((error) => {
        if (autocommit) return ofCommit(error)
        return isCommit(request.text) ? ofSentCommit(error) : error
      }),
      Effect.filterOrFail(
        ({ command }) => command !== "ROLLBACK" || !isCommit(request.text),
        () => new DsqlTransactionError({ reason: "Aborted" })
      )
    )
  })

/** `query` as the driver has it, given how a statement is run. */
const queryOver =
  (
    run: Run,
    inTurn: (
      statement: (connection: Connection) => Effect.Effect<Pg.QueryResult, DsqlError>
    ) => Effect.Effect<Pg.QueryResult, unknown>
  ) =>
  (...args: ReadonlyArray<unknown>): unknown => {
    const request = requestOf(args)
    const result = run(inTurn((connection) => send(connection, request, args)))
    return orCallBack(result, request.callback)
  }

/** `query` of a pool: every statement on a connection of its own. */
export const pooledQuery = (
  run: Run,
  use: (
    f: (connection: Connection) => Effect.Effect<Pg.QueryResult, DsqlError>
  ) => Effect.Effect<Pg.QueryResult, unknown>
) => queryOver(run, use)

/** How statements take their turn on a connection, and why one may not be sent any more. */
export interface Turns {
  readonly inTurn: (
    statement: (channel: Channel) => Effect.Effect<Pg.QueryResult, DsqlError>
  ) => Effect.Effect<Pg.QueryResult, DsqlError>
  readonly refusal: () => DsqlError | undefined
}

/** Turns on a connection that is lent until `released`. */
export const turnsUntil = (connection: Connection, released: () => boolean): Turns => {
  // Whoever rolls back after a lost COMMIT must not be told about the ROLLBACK instead.
  let inDoubt: DsqlError | undefined
  const refusal = () => (released() ? new DsqlTransactionError({ reason: "Finished" }) : inDoubt)
  const { use } = oneByOne(channelOf(connection), true, {
    refusal,
    ended: (exit) =>
      Exit.mapError(exit, (error) => {
        if (error._tag === "DsqlCommitOutcomeUnknownError") inDoubt = error
        return error
      })
  })
  return { inTurn: use, refusal }
}

/**
 * The driver's client of a connection, but for `query` and the members given. Cursors and other objects that send by
 * themselves go straight to the driver.
 */
export const clientOf = <C extends Pg.ClientBase>(
  connection: Connection,
  run: Run,
  { inTurn, refusal }: Turns,
  members: Readonly<Record<PropertyKey, unknown>>
): C => {
  const theirs = pgClientOf(connection)
  const ask = queryOver(run, (statement) => inTurn(() => statement(connection)))
  const query = (...args: ReadonlyArray<unknown>): unknown => {
    const [submittable] = args
    if (!isSubmittable(submittable)) return ask(...args)
    const refused = refusal()
    if (refused !== undefined) {
      queueMicrotask(() => submittable.handleError(refused, undefined))
      return submittable
    }
    connection.changes.sending(String(submittable.text ?? submittable.cursor?.text))
    return (theirs.query as (...args: ReadonlyArray<unknown>) => unknown).call(theirs, ...args)
  }
  const own: Readonly<Record<PropertyKey, unknown>> = { query, ...members }
  const client: C = new Proxy(theirs as unknown as C, {
    has: (target, name) => Object.hasOwn(own, name) || Reflect.has(target, name),
    get: (target, name) => {
      if (Object.hasOwn(own, name)) return own[name]
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== "function" || name === "constructor") return value
      return (...args: ReadonlyArray<unknown>): unknown => {
        const result: unknown = Reflect.apply(value, target, args)
        return result === target ? client : result
      }
    }
  })
  return client
}
