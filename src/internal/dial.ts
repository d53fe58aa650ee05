/** One connection: dialled, TLS negotiated, logged in; what it has been through, and how it ends. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Socket } from "node:net"
import type { SecureContext } from "node:tls"
import type * as Pg from "pg"
// @ts-expect-error not from `pg` itself, which has another client in its place where NODE_PG_FORCE_NATIVE is set
import PgClient from "pg/lib/client.js"
import type { Resolved } from "../Config.js"
import { startupOptions } from "../core/settings.js"
import type { DsqlStatementError } from "../Errors.js"
import { dialError, lostError, networkError, statementError } from "./driverError.js"
import { PreparedStatements } from "./preparedStatements.js"
import type { Protocol } from "./request.js"
import { SessionChanges } from "./sessionChanges.js"
import type { Setup } from "./setup.js"

/** The part of a `pg.Client` that its types leave out. */
interface Internals {
  password: unknown
  readonly connection: Protocol
  readonly connectionParameters: { password: unknown; query_timeout: unknown }
  readonly readyForQuery: boolean
  getStartupConf: () => Readonly<Record<string, string>>
  readonly getTransactionStatus: () => "I" | "T" | "E" | null
}

/** An open, logged-in connection. */
export interface Connection {
  /** The driver's client; it no longer holds the token. */
  readonly client: Pg.Client
  readonly statements: PreparedStatements
  readonly isOpen: () => boolean
  /** The server or the network has ended it. */
  readonly isLost: () => boolean
  /** Inside of a transaction block, be it an aborted one. */
  readonly inTransaction: () => boolean
  /** Open, idle, outside of any transaction block, and with nothing that cannot be undone: fit for somebody else. */
  readonly isUsable: () => boolean
  /** What statements have changed about the session. */
  readonly changes: SessionChanges
  /** Undoes the {@link changes} and sets up anew; `undefined` where there is nothing to undo. */
  readonly reset: () => Effect.Effect<void, DsqlStatementError> | undefined
  /** Calls back when the server has ended its answer, so that the next statement finds it waiting. */
  readonly whenReady: (callback: () => void) => void
  /** Closes the socket at once, whatever is going on. */
  readonly destroy: () => void
  /** Says goodbye to the server, then closes. */
  readonly end: Effect.Effect<void>
  /** What an error of the driver means. */
  readonly toError: (cause: unknown) => DsqlStatementError
}

/** How long a goodbye may take. */
const endTimeout = "1 second"

/** How long undoing a session's settings, and the user's setup after it, may take; one round trip without the latter. */
const resetTimeout = "5 seconds"

/**
 * Bounds what may run where nothing can be interrupted, such as in a finalizer: when the time is over the connection is
 * destroyed, and with it ends whatever waits for its answer.
 */
export const orDestroy =
  (connection: Pick<Connection, "destroy">, duration: Duration.DurationInput) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.acquireUseRelease(
      Effect.forkDaemon(Effect.interruptible(Effect.zipRight(Effect.sleep(duration), Effect.sync(connection.destroy)))),
      () => effect,
      (watchdog) => Effect.sync(() => watchdog.unsafeInterruptAsFork(watchdog.id()))
    )

/** `pg` takes the host for SNI and for the check of the certificate; only the TCP connection goes to the address. */
const socketTo = (address: string): Socket => {
  const socket = new Socket()
  const connect = socket.connect.bind(socket)
  return Object.assign(socket, { connect: (port: number) => connect(port, address) })
}

const makeClient = (config: Resolved, secureContext: SecureContext, token: Redacted.Redacted, socket: Socket) => {
  const client: Pg.Client = new PgClient({
    host: config.host,
    port: config.port,
    user: config.user,
    database: config.database,
    password: Redacted.value(token),
    ssl: { secureContext, rejectUnauthorized: true },
    sslnegotiation: config.tls.negotiation,
    keepAlive: true,
    keepAliveInitialDelayMillis: Duration.toMillis(config.keepAlive),
    stream: () => socket,
    types: config.types
  } as Pg.ClientConfig)
  const internals = client as unknown as Internals
  // Where an option is missing, `pg` reads PGOPTIONS, PGAPPNAME and the like, or its global defaults: the start-up packet
  // holds this and no more, and no timer of the driver's runs.
  const options = startupOptions(config.session)
  internals.getStartupConf = () => ({
    user: config.user,
    database: config.database,
    application_name: config.applicationName,
    ...(options === undefined ? {} : { options })
  })
  internals.connectionParameters.query_timeout = 0
  return { client, internals }
}

const makeConnection = (
  config: Resolved,
  client: Pg.Client,
  internals: Internals,
  socket: Socket,
  setup: Setup | undefined
) => {
  let state: "opening" | "open" | "gone" = "opening"
  let lost = false
  const changes = new SessionChanges(internals.connection)
  const destroy = () => {
    state = state === "opening" ? state : "gone"
    socket.destroy()
  }
  const lose = () => {
    lost ||= state === "open"
    destroy()
  }
  // What an open connection reports is about the statement; whatever is about the connection has closed it first.
  const toErrors = { opening: dialError, open: statementError, gone: lostError }
  const toError = (cause: unknown) => toErrors[state](config, cause)
  const whenReady = (callback: () => void) => {
    if (state !== "open" || internals.readyForQuery) {
      return callback()
    }
    const done = () => {
      internals.connection.off("readyForQuery", done).off("end", done)
      callback()
    }
    internals.connection.on("readyForQuery", done).on("end", done)
  }
  // `RESET ALL` goes back to what came with the start-up packet.
  const resetAll = Effect.async<void, DsqlStatementError>((resume) => {
    client.query("RESET ALL", (error: Error | null) => resume(error ? Effect.fail(toError(error)) : Effect.void))
  })
  // What it changes belongs to the connection from now on and is nothing to undo. Whatever comes behind a BEGIN of it would
  // never be committed.
  const prepare =
    setup === undefined
      ? Effect.void
      : Effect.suspend(() => setup(connection)).pipe(
          Effect.andThen(() => changes.forget()),
          Effect.filterOrFail(
            () => connection.isUsable(),
            () =>
              connection.isOpen()
                ? networkError(config, "Other", new Error("setup has left a transaction open"))
                : networkError(config, "Closed")
          )
        )
  const reset = resetAll.pipe(
    Effect.andThen(() => changes.forget()),
    Effect.zipRight(prepare),
    Effect.timeoutFail({ duration: resetTimeout, onTimeout: () => networkError(config, "Closed") }),
    Effect.interruptible
  )
  const goodbye = Effect.async<void>((resume) => client.end(() => resume(Effect.void)))
  const connection: Connection = {
    client,
    statements: new PreparedStatements(internals.connection),
    isOpen: () => state === "open",
    isLost: () => lost,
    inTransaction: () => internals.getTransactionStatus() !== "I",
    isUsable: () =>
      state === "open" && internals.readyForQuery && !changes.lasting && internals.getTransactionStatus() === "I",
    changes,
    reset: () => (changes.any ? reset : undefined),
    whenReady,
    destroy,
    end: Effect.suspend(() => {
      if (state !== "open") return Effect.sync(destroy)
      // Whatever still waits for an answer learns at once that none will come.
      state = "gone"
      return Effect.ensuring(orDestroy(connection, endTimeout)(goodbye), Effect.sync(destroy))
    }),
    toError
  }
  const opened = () => {
    state = "open"
    internals.password = internals.connectionParameters.password = null
  }
  // A connection that breaks while it lies idle is found out at the next checkout.
  client.on("error", lose)
  client.on("end", lose)
  // The server says no more after that, and whether its closing arrives is not for sure.
  internals.connection.on("errorMessage", ({ severity }: Pg.DatabaseError) => {
    if (severity === "FATAL" || severity === "PANIC") lose()
  })
  return { connection, opened, prepare }
}

/**
 * Dials, negotiates TLS, logs in and sets up. Runs uninterruptibly but for its wait, so that whatever way it ends, either the
 * caller has the connection or its socket is destroyed.
 */
export const dial = (
  config: Resolved,
  secureContext: SecureContext,
  token: Redacted.Redacted,
  setup: Setup | undefined
): Effect.Effect<Connection, DsqlStatementError> =>
  Effect.suspend(() => {
    const socket = socketTo(config.address)
    const { client, internals } = makeClient(config, secureContext, token, socket)
    const { connection, opened, prepare } = makeConnection(config, client, internals, socket, setup)
    return Effect.async<Connection, DsqlStatementError>((resume) => {
      client.connect((error: Error | null | undefined) => {
        if (error) {
          return resume(Effect.fail(connection.toError(error)))
        }
        opened()
        resume(Effect.succeed(connection))
      })
    }).pipe(
      Effect.zipLeft(prepare),
      Effect.timeoutFail({
        duration: config.pool.connectTimeout,
        onTimeout: () => networkError(config, "ConnectTimeout")
      }),
      Effect.interruptible,
      Effect.onError(() => Effect.sync(connection.destroy))
    )
  })
