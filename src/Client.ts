/**
 * The `SqlClient` and `PgClient` of `@effect/sql`, over our connections. Interrupting a statement destroys its connection;
 * nothing is cancelled through another one, since DSQL offers no cancel.
 *
 * A session that was changed, by `SET` or `set_config` in whatever statement, is reset before it is lent anew, which costs
 * one round trip (and the `setup`); what ends with its transaction, `SET LOCAL`, costs none. Only a change that a function
 * of your own makes cannot be seen from here: let it be `SET LOCAL`, or `set_config(…, true)`.
 *
 * @since 0.1.0
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Statement from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { DsqlConfig, type Resolved } from "./Config.js"
import { DsqlConnection } from "./Connection.js"
import { type DsqlStatementError, DsqlTransactionError, DsqlUnsupportedError } from "./Errors.js"
import { channelOf, type Channels } from "./internal/channel.js"
import { json } from "./internal/compiler.js"
import { type Derive, deriveKey } from "./internal/derived.js"
import * as Deadlines from "./internal/deadlines.js"
import { pgTag, pgTypeId } from "./internal/pgTag.js"
import type { Result } from "./internal/request.js"
import * as Retry from "./internal/retry.js"
import { Session } from "./internal/session.js"
import { type FailWithSqlError, makeFailWithSqlError } from "./internal/sqlError.js"
import { startStatement } from "./internal/statement.js"
import { statementSettings } from "./internal/statementSettings.js"
import * as Transaction from "./internal/transaction.js"
import { oneByOne } from "./internal/turns.js"

/** The form that `@effect/sql-pg` publishes of its settings; there is no password to show. */
const pgConfigOf = (config: Resolved): PgClient.PgClientConfig => ({
  host: config.host,
  port: config.port,
  database: config.database,
  username: config.user,
  ssl: true,
  maxConnections: config.pool.max,
  idleTimeout: config.pool.idleTimeout,
  connectTimeout: config.pool.connectTimeout,
  connectionTTL: config.pool.maxLifetime,
  applicationName: config.applicationName,
  spanAttributes: config.spanAttributes,
  transformQueryNames: config.transformQueryNames,
  transformResultNames: config.transformResultNames,
  transformJson: config.transformJson,
  types: config.types
})

/** @internal */
export const makeOver = (
  connections: Channels,
  failWithSqlError: FailWithSqlError = makeFailWithSqlError()
): Effect.Effect<PgClient.PgClient, never, DsqlConfig | Reactivity.Reactivity | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* DsqlConfig
    const reactivity = yield* Reactivity.Reactivity

    const { compiler, spanAttributes, transformRows } = statementSettings(config)

    const pooled = new Session(
      { use: (f) => connections.use(f), run: connections.run, streams: connections.reserve, autocommit: true },
      failWithSqlError
    )
    const transactions = Transaction.make(
      connections.use,
      spanAttributes,
      config,
      yield* Deadlines.make,
      failWithSqlError
    )
    const acquirer: SqlConnection.Connection.Acquirer = Effect.contextWith(
      (context: Context.Context<never>) => transactions.currentIn(context) ?? pooled
    )
    // Whoever keeps the connection longer than its scope must not work on what others have by then.
    const reserve: SqlConnection.Connection.Acquirer = Effect.gen(function* () {
      let released = false
      const channel = yield* Effect.catchAll(connections.reserve, failWithSqlError)
      yield* Effect.addFinalizer(() => Effect.sync(() => (released = true)))
      return new Session(
        oneByOne(channel, true, {
          refusal: () => (released ? new DsqlTransactionError({ reason: "Finished" }) : undefined)
        }),
        failWithSqlError
      )
    })

    const unsupported = (feature: string) => failWithSqlError(new DsqlUnsupportedError({ feature }))
    const members = {
      [SqlClient.TypeId]: SqlClient.TypeId as SqlClient.TypeId,
      [pgTypeId]: pgTypeId,
      config: pgConfigOf(config),
      reserve,
      withTransaction: config.unsafeRetryTransactions
        ? Retry.withTransaction(transactions)
        : transactions.withTransaction,
      [Transaction.transactionsKey]: transactions,
      reactive: reactivity.stream,
      reactiveMailbox: reactivity.query,
      json: (value: unknown) => json(value),
      listen: () => Stream.fromEffect(unsupported("LISTEN")),
      notify: () => unsupported("NOTIFY")
    }
    const assemble = (acquirer: SqlConnection.Connection.Acquirer, own: Partial<typeof members>): PgClient.PgClient => {
      const over = (
        constructor: Statement.Constructor,
        withoutTransforms: () => PgClient.PgClient
      ): PgClient.PgClient =>
        Object.assign(constructor, members, own, {
          [deriveKey]: derive,
          withoutTransforms,
          safe: constructor as PgClient.PgClient
        })
      const plain =
        transformRows === undefined
          ? undefined
          : over(
              Statement.make(acquirer, compiler.withoutTransform, spanAttributes, undefined),
              (): PgClient.PgClient => plain!
            )
      const client: PgClient.PgClient = over(
        Statement.make(acquirer, compiler, spanAttributes, transformRows),
        () => plain ?? client
      )
      return client
    }
    const derive: Derive = (difference) => {
      const { connection, reserve, transactions, withTransaction } = difference(acquirer)
      return assemble(Effect.succeed(connection), {
        [Transaction.transactionsKey]: transactions,
        reserve,
        withTransaction
      })
    }
    return assemble(acquirer, {})
  })

/**
 * A client on the {@link DsqlConnection} of the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  PgClient.PgClient,
  never,
  DsqlConfig | DsqlConnection | Reactivity.Reactivity | Scope.Scope
> = Effect.flatMap(DsqlConnection, ({ request, reserve, use }) =>
  makeOver({
    use: (f, by) => use((connection) => f(channelOf(connection)), by),
    reserve: Effect.map(reserve, channelOf),
    run: (statement) =>
      request<ReadonlyArray<Result>, DsqlStatementError>({
        start: (connection, end) => startStatement(connection, statement, end),
        stop: (connection) => connection.destroy()
      })
  })
)

/**
 * The client under both tags.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<SqlClient.SqlClient | PgClient.PgClient, never, DsqlConfig | DsqlConnection> =
  Layer.scopedContext(
    Effect.map(make, (client) => Context.make(pgTag, client).pipe(Context.add(SqlClient.SqlClient, client)))
  ).pipe(Layer.provide(Reactivity.layer))
