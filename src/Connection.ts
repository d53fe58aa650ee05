/**
 * Connections to a cluster: verified TLS, the token as password, pooled, with lifetimes below the service's.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { DsqlToken } from "./Auth.js"
import { DsqlConfig, type Resolved } from "./Config.js"
import type { DsqlConfigError, DsqlConnectError } from "./Errors.js"
import { type Ending, forConnections, timed } from "./internal/clientMetrics.js"
import { dial, type Connection } from "./internal/dial.js"
import { networkError } from "./internal/driverError.js"
import { secureContextFor } from "./internal/secureContext.js"
import { pacedToken } from "./internal/pacedToken.js"
import { makeSetup } from "./internal/setup.js"
import { failedWith, spanAttributes } from "./internal/spans.js"
import { type Driver, Wire } from "./internal/wire.js"
import * as Pool from "./Pool.js"

export type { Connection } from "./internal/dial.js"

/**
 * What to do with a connection where no effect of its own is needed: `start` calls `end` back, once; `stop` is called where
 * that is interrupted, and must destroy the connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request<A, E> extends Pool.Request<Connection, A, E> {}

/**
 * Where connections come from. `use` lends one for the time of an effect, `reserve` until the scope closes. An idle one is
 * lent in one synchronous step; otherwise the caller waits, in order, for at most `pool.acquireTimeout`, and until `by`, in
 * milliseconds since the epoch, at the latest.
 *
 * @since 0.1.0
 * @category tags
 */
export class DsqlConnection extends Context.Tag("effect-dsql/DsqlConnection")<
  DsqlConnection,
  {
    readonly use: <A, E, R>(
      f: (connection: Connection) => Effect.Effect<A, E, R>,
      by?: number
    ) => Effect.Effect<A, E | DsqlConnectError, R>
    readonly reserve: Effect.Effect<Connection, DsqlConnectError, Scope.Scope>
    /** As `use`, for a request that calls back; what one statement outside of a transaction is. */
    readonly request: <A, E>(request: Request<A, E>) => Effect.Effect<A, E | DsqlConnectError>
  }
>() {}

/** @internal */
export const makePoolOf = (
  newDriver: (config: Resolved) => Driver
): Effect.Effect<
  Pool.Pool<Connection, DsqlConnectError>,
  DsqlConfigError | DsqlConnectError,
  DsqlConfig | DsqlToken | Scope.Scope
> =>
  Effect.gen(function* () {
    const config = yield* DsqlConfig
    const secureContext = yield* secureContextFor(config.tls)
    const token = yield* pacedToken
    const setup = makeSetup(config)
    const metrics = yield* forConnections(config)
    const log = (message: string) =>
      Effect.annotateLogs(Effect.logDebug(message), { package: "effect-dsql", module: "Connection" })

    const open = Effect.interruptible(token).pipe(
      Effect.flatMap((token) => timed(dial(config, secureContext, token, setup, newDriver(config)), metrics.connected)),
      Effect.tapError(failedWith),
      Effect.zipLeft(log("Connection opened")),
      Effect.withSpan("DsqlConnection.open", {
        // A connection is opened for all, not for the request that happens to need one first.
        root: true,
        kind: "client",
        captureStackTrace: false,
        attributes: Object.fromEntries(spanAttributes(config))
      })
    )

    const endingOf = (connection: Connection, reason: Ending): Ending =>
      reason !== "unfit" || connection.isOpen() ? reason : connection.isLost() ? "lost" : "destroyed"

    const ended = (reason: Ending) =>
      Effect.suspend(() => {
        metrics.closed(reason)
        return log(`Connection closed: ${reason}`)
      })

    const pool = yield* Pool.make<Connection, DsqlConnectError>({
      open,
      close: (connection, reason) =>
        Effect.suspend(() => Effect.zipRight(ended(endingOf(connection, reason)), connection.end)),
      destroy: (connection) => {
        metrics.closed("shutdown")
        connection.destroy()
      },
      isUsable: (connection) => connection.isUsable(),
      reset: (connection) => connection.reset(),
      max: config.pool.max,
      min: config.pool.min,
      idleTimeout: Duration.toMillis(config.pool.idleTimeout),
      maxLifetime: Duration.toMillis(config.pool.maxLifetime),
      lifetimeJitter: config.pool.lifetimeJitter,
      acquireTimeout: Duration.toMillis(config.pool.acquireTimeout),
      onAcquireTimeout: () => {
        metrics.timedOut()
        return networkError(config, "AcquireTimeout")
      },
      onClosed: () => networkError(config, "PoolClosed"),
      onChange: metrics.pool
    })

    if (!config.lazy) {
      yield* pool.fill
    }
    return pool
  })

/**
 * Opens connections as they are needed, at most `pool.max` at a time. Unless `lazy`, `pool.min` are opened at once and in
 * any case one, so that wrong settings fail here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  Context.Tag.Service<DsqlConnection>,
  DsqlConfigError | DsqlConnectError,
  DsqlConfig | DsqlToken | Scope.Scope
> = makePoolOf(() => new Wire())

/**
 * A pool of connections.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<DsqlConnection, DsqlConfigError | DsqlConnectError, DsqlConfig | DsqlToken> =
  Layer.scoped(DsqlConnection, make)
