/** `pg.Pool` over our pool: the driver's own leaks sockets, dials for callers who have gone and lives on timers. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import pg from "pg"
import type { Resolved } from "../Config.js"
import { DsqlConfig } from "../Config.js"
import { type Connection, makePoolOf } from "../Connection.js"
import { type DsqlConnectError, type DsqlError, DsqlTransactionError, DsqlUnsupportedError } from "../Errors.js"
import { channelOf } from "../internal/channel.js"
import * as Deadlines from "../internal/deadlines.js"
import { networkError } from "../internal/driverError.js"
import { makeFailWithSqlError } from "../internal/sqlError.js"
import { statementSettings } from "../internal/statementSettings.js"
import * as Transaction from "../internal/transaction.js"
import type { Pool as Connections } from "../Pool.js"
import { clientOf, isSubmittable, pooledQuery, turnsUntil } from "./pgClient.js"
import { PgDriver, pgClientOf } from "./pgDriver.js"
import { configOf, type Opened, open, type Options, orCallBack, tokenOf } from "./runtime.js"
import { bodyOf, transact, type TransactionOptions } from "./transaction.js"

interface Parts {
  readonly config: Resolved
  readonly connections: Connections<Connection, DsqlConnectError>
  readonly deadlines: Deadlines.Deadlines
}

class PgParts extends Context.Tag("effect-dsql/adapters/PgParts")<PgParts, Parts>() {}

const layer = Layer.scoped(
  PgParts,
  Effect.all({
    config: DsqlConfig,
    connections: makePoolOf(({ types }) => new PgDriver(types)),
    deadlines: Deadlines.make
  })
)

export const openParts = (options: string | Options | undefined, config = configOf(options)): Promise<Opened<Parts>> =>
  open(PgParts, layer.pipe(Layer.provide(tokenOf(options)), Layer.provide(config)))

/** The same with one connection, whatever the options or the environment say of pools. */
export const openOne = (options: string | Options | undefined): Promise<Opened<Parts>> => {
  const only = (config: Resolved): Resolved => ({ ...config, pool: { ...config.pool, max: 1, min: 0 } })
  return openParts(options, Layer.project(configOf(options), DsqlConfig, DsqlConfig, only))
}

/** Under this key our pools run transactions. */
const transactionKey: unique symbol = Symbol.for("effect-dsql/pg/transaction")

type RunTransaction = <A, B>(
  fn: (client: pg.PoolClient) => Promise<A>,
  options: TransactionOptions<B>
) => Promise<A | B>

/**
 * A `pg.Pool`, which ends with a block that declares it by `await using`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pool extends pg.Pool, AsyncDisposable {}

interface OurPool extends Pool {
  readonly [transactionKey]?: RunTransaction
}

/** What `pg.Pool` says of itself; a password is not among it. */
const poolConfig = ({ database, host, pool, port, user }: Resolved): pg.PoolConfig => ({
  host,
  port,
  user,
  database,
  max: pool.max,
  min: pool.min,
  idleTimeoutMillis: Duration.toMillis(pool.idleTimeout),
  maxLifetimeSeconds: Duration.toSeconds(pool.maxLifetime),
  connectionTimeoutMillis: Duration.toMillis(pool.acquireTimeout)
})

type Done = (
  error: unknown,
  client: pg.PoolClient | undefined,
  release: ((error?: Error | boolean) => void) | undefined
) => void

export const poolOver = ({ close, run, service: { config, connections, deadlines } }: Opened<Parts>): Pool => {
  const pool = new pg.Pool(poolConfig(config))
  const { spanAttributes } = statementSettings(config)
  const known = new WeakSet<Connection>()
  let ended: Promise<void> | undefined
  let busy = 0
  let whenOver = () => {}
  const over = () => {
    if (--busy === 0) whenOver()
  }

  /** The pool ends when all that has begun is over, as the driver's. */
  const begin = async <A>(start: () => Promise<A>): Promise<A> => {
    if (ended !== undefined) throw networkError(config, "PoolClosed")
    busy++
    try {
      return await start()
    } finally {
      over()
    }
  }

  const lend = async (): Promise<pg.PoolClient> => {
    const scope = await run(Scope.make())
    const connection = await run(Scope.extend(connections.reserve, scope))
    let released = false
    busy++
    const giveBack = () => run(Scope.close(scope, Exit.void)).finally(over)
    const release = (error?: Error | boolean) => {
      if (released) throw new Error("Release called on client which has already been released to the pool.")
      released = true
      if (error !== undefined && error !== false) connection.destroy()
      try {
        pool.emit("release", error, client)
      } finally {
        connection.whenReady(() => void giveBack())
      }
    }
    const client = clientOf<pg.PoolClient>(
      connection,
      run,
      turnsUntil(connection, () => released),
      { release }
    )
    try {
      if (!known.has(connection)) {
        known.add(connection)
        pgClientOf(connection).once("end", () => pool.emit("remove", client))
        pool.emit("connect", client)
      }
      pool.emit("acquire", client)
      return client
    } catch (error) {
      // Nobody gets a session that a listener has prepared by half.
      connection.destroy()
      await giveBack()
      throw error
    }
  }

  const connect = (callback?: Done): Promise<pg.PoolClient> | undefined =>
    orCallBack(begin(lend), callback && ((error, client) => callback(error, client, client?.release)))

  const own = pooledQuery(
    (effect) => begin(() => run(effect)),
    (statement) => connections.use(statement)
  )
  const theirs = pool.query as (...args: ReadonlyArray<unknown>) => unknown
  // What sends by itself is given a client of its own by the driver.
  const query = (...args: ReadonlyArray<unknown>): unknown =>
    isSubmittable(args[0]) ? theirs.call(pool, ...args) : own(...args)

  const drain = async () => {
    if (busy > 0) await new Promise<void>((resolve) => (whenOver = resolve))
    await close()
    Object.assign(pool, { ended: true })
  }
  const end = (callback?: () => void): Promise<void> | undefined => {
    Object.assign(pool, { ending: true })
    ended ??= drain()
    return orCallBack(ended, callback)
  }

  const transaction: RunTransaction = (fn, { signal, ...options }) => {
    const body = bodyOf(fn)
    let connection: Connection
    const transactions = Transaction.make(
      (f, by) =>
        connections.use((lent) => {
          connection = lent
          return f(channelOf(lent))
        }, by),
      spanAttributes,
      config,
      deadlines,
      makeFailWithSqlError()
    )
    const effect = transact(
      transactions,
      (session) => {
        // The session refuses statements by itself, but never sees what speaks with the driver.
        let refused: DsqlError | undefined
        const turns = { inTurn: session.inTurn.bind(session), refusal: () => refused }
        return body(clientOf<pg.PoolClient>(connection, run, turns, { release: () => {} })).pipe(
          Effect.ensuring(Effect.sync(() => (refused = new DsqlTransactionError({ reason: "Finished" }))))
        )
      },
      options
    )
    return begin(() => run(effect, signal))
  }

  Object.defineProperties(pool, {
    totalCount: { get: () => connections.counts().total },
    idleCount: { get: () => connections.counts().idle },
    waitingCount: { get: () => connections.counts().waiting },
    expiredCount: { value: 0 }
  })
  return Object.assign(pool, {
    connect,
    query,
    end,
    [Symbol.asyncDispose]: end,
    [transactionKey]: transaction
  } as unknown as Pick<Pool, "connect" | "query" | "end"> & AsyncDisposable)
}

export const transactionOf = (pool: Pool): RunTransaction =>
  (pool as OurPool)[transactionKey] ??
  (() => Promise.reject(new DsqlUnsupportedError({ feature: "transaction with a pool of another package" })))
