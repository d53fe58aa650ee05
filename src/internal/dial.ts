/** One connection: dialled, TLS negotiated, logged in; what it has been through, and how it ends. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { SecureContext } from "node:tls"
// @ts-expect-error a part of `pg` that its types leave out
import TypeOverrides from "pg/lib/type-overrides.js"
import type { Resolved } from "../Config.js"
import { startupOptions } from "../core/settings.js"
import type { DsqlStatementError } from "../Errors.js"
import { dialError, lostError, networkError, statementError } from "./driverError.js"
import { PreparedStatements } from "./preparedStatements.js"
import type { TypeParsers } from "./rows.js"
import { SessionChanges } from "./sessionChanges.js"
import type { Setup } from "./setup.js"
import { run } from "./statement.js"
import type { Driver } from "./wire.js"

/** An open, logged-in connection. */
export interface Connection {
  readonly driver: Driver
  /** How values of the result are read: as `types` of the configuration says, or as `pg` does. */
  readonly types: TypeParsers
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

const makeConnection = (config: Resolved, driver: Driver, setup: Setup | undefined) => {
  let state: "opening" | "open" | "gone" = "opening"
  let lost = false
  const changes = new SessionChanges(driver)
  const destroy = () => {
    state = state === "opening" ? state : "gone"
    driver.destroy()
  }
  const lose = () => {
    lost ||= state === "open"
    destroy()
  }
  // What an open connection reports is about the statement; whatever is about the connection has closed it first.
  const toErrors = { opening: dialError, open: statementError, gone: lostError }
  const toError = (cause: unknown) => toErrors[state](config, cause)
  const whenReady = (callback: () => void) => {
    if (state !== "open" || driver.isReady) {
      return callback()
    }
    const done = () => {
      driver.off("readyForQuery", done).off("end", done)
      callback()
    }
    driver.on("readyForQuery", done).on("end", done)
  }
  // `RESET ALL` goes back to what came with the start-up packet.
  const resetAll = Effect.suspend(() => run(connection, { text: "RESET ALL" }))
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
  const goodbye = Effect.async<void>((resume) => driver.close(() => resume(Effect.void)))
  const connection: Connection = {
    driver,
    types: new TypeOverrides(config.types) as TypeParsers,
    statements: new PreparedStatements(driver),
    isOpen: () => state === "open",
    isLost: () => lost,
    inTransaction: () => driver.transactionStatus !== "I",
    isUsable: () => state === "open" && driver.isReady && !changes.lasting && driver.transactionStatus === "I",
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
  // A connection that breaks while it lies idle is found out at the next checkout.
  driver.on("end", lose)
  return { connection, opened: () => void (state = "open"), prepare }
}

/**
 * Dials, negotiates TLS, logs in and sets up. Runs uninterruptibly but for its wait, so that whatever way it ends, either the
 * caller has the connection or its socket is destroyed.
 */
export const dial = (
  config: Resolved,
  secureContext: SecureContext,
  token: Redacted.Redacted,
  setup: Setup | undefined,
  driver: Driver
): Effect.Effect<Connection, DsqlStatementError> =>
  Effect.suspend(() => {
    const { connection, opened, prepare } = makeConnection(config, driver, setup)
    const { address, applicationName, database, host, keepAlive, port, tls, user } = config
    const options = startupOptions(config.session)
    const parameters = {
      user,
      database,
      application_name: applicationName,
      ...(options === undefined ? {} : { options })
    }
    return Effect.async<Connection, DsqlStatementError>((resume) => {
      driver.open(
        { address, port, host, secureContext, negotiation: tls.negotiation, keepAlive: Duration.toMillis(keepAlive) },
        { parameters, token },
        (failure) => {
          if (failure !== undefined) return resume(Effect.fail(connection.toError(failure)))
          opened()
          resume(Effect.succeed(connection))
        }
      )
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
