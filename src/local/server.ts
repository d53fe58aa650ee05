import type { Gate } from "./gate.js"
import type { Gateway } from "./gateway.js"
import type { PostgresServer } from "./postgres.js"
import { resetDatabase } from "./reset.js"
import { internalUser } from "./template.js"

/** PostgreSQL with the gateway in front of it, which come and go together. */
export interface Server {
  readonly port: number
  readonly connectionCount: () => number
  readonly dropConnections: () => void
  /** Makes the database anew. */
  readonly reset: () => Promise<void>
  /** Ends both as a crash would. */
  readonly stop: () => Promise<void>
  /** Brings back what does not run. */
  readonly start: () => Promise<void>
  /** Ends both for good. */
  readonly close: () => Promise<void>
}

export interface ServerParts {
  readonly postgres: PostgresServer
  readonly gateway: Gateway
  readonly openGateway: (port: number) => Promise<Gateway>
  /** Closed while there is no database to log in to. */
  readonly database: Gate
}

/** From parts that run. */
export const makeServer = ({ database, gateway: first, openGateway, postgres }: ServerParts): Server => {
  let gateway: Gateway | undefined = first

  const closeGateway = async (): Promise<void> => {
    const closing = gateway
    gateway = undefined
    await closing?.close()
  }
  const stop = async (): Promise<void> => {
    // Sockets are destroyed at once, before PostgreSQL could take leave of its clients.
    await Promise.all([closeGateway(), postgres.stop()])
  }
  const start = async (): Promise<void> => {
    await postgres.start()
    gateway ??= await openGateway(first.port)
  }
  const reset = async (): Promise<void> => {
    database.close()
    gateway?.dropConnections()
    await resetDatabase(postgres.socketPath, internalUser).finally(() => database.open())
  }

  let lastTurn: Promise<void> = Promise.resolve()
  /** One at a time, also after one that failed. */
  const inTurn = (task: () => Promise<void>) => (): Promise<void> => (lastTurn = lastTurn.then(task, task))
  return {
    port: first.port,
    connectionCount: () => gateway?.connectionCount() ?? 0,
    dropConnections: () => gateway?.dropConnections(),
    reset: inTurn(reset),
    stop: inTurn(stop),
    start: inTurn(start),
    close: async () => {
      await closeGateway()
      await postgres.close()
      // What is under way soon fails without PostgreSQL, but may have opened the gateway before.
      await lastTurn.catch(() => {})
      await closeGateway()
    }
  }
}
