/** Options for `postgres()`: its sockets, its password and its limits by our configuration. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import { Socket } from "node:net"
import type { SecureContext } from "node:tls"
import { DsqlConfig, type Resolved } from "../Config.js"
import { connectionLifetime } from "../core/connectionLifetime.js"
import { startupOptions } from "../core/settings.js"
import { pacedToken } from "../internal/pacedToken.js"
import { secureContextFor } from "../internal/secureContext.js"
import { configOf, type Opened, open, type Options, promised, tokenOf } from "./runtime.js"

type PacedToken = Effect.Effect.Success<typeof pacedToken>

class LoginToken extends Context.Tag("effect-dsql/adapters/LoginToken")<LoginToken, PacedToken>() {}

/** What is known about the options of a `sql`. */
export interface Origin {
  readonly config: Resolved
  /** Resolves when no socket of theirs is open. */
  readonly quiet: () => Promise<void>
}

/** Under this key the password function of our options carries it. */
const originKey: unique symbol = Symbol.for("effect-dsql/postgres/origin")

/**
 * Options for `postgres()`, to be passed as they are or with others of your own beside them. There is no secret in them: the
 * password is a function.
 *
 * @since 0.1.0
 * @category models
 */
export interface PostgresOptions {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly password: () => Promise<string>
  readonly ssl: {
    readonly servername: string
    readonly secureContext: SecureContext
    readonly rejectUnauthorized: true
  }
  readonly sslnegotiation: "direct" | "postgres"
  readonly max: number
  /** Seconds. */
  readonly max_lifetime: number
  /** Seconds. */
  readonly idle_timeout: number
  /** Seconds. */
  readonly connect_timeout: number
  /** Seconds. */
  readonly keep_alive: number
  readonly prepare: true
  readonly fetch_types: false
  readonly connection: { readonly application_name: string } & Readonly<Record<string, string>>
  readonly socket: () => Promise<Socket>
}

/** What all users share from the first to the last. */
const shared = <S>(start: () => Promise<Opened<S>>) => {
  let current: Promise<Opened<S>> | undefined
  let users = 0
  const waiting: Array<() => void> = []
  return {
    quiet: (): Promise<void> => (users === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    acquire: (): Promise<Opened<S>> => {
      users++
      return (current ??= start())
    },
    release: (): void => {
      if (--users > 0) return
      const ending = current
      current = undefined
      for (const resolve of waiting.splice(0)) resolve()
      void ending?.then(({ close }) => close())
    }
  }
}

/** The driver takes all listeners off its sockets. */
class CountedSocket extends Socket {
  constructor(private readonly whenGone: () => void) {
    super()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    super._destroy(error, callback)
    this.whenGone()
  }
}

export const postgresOptions = async (options: string | Options | undefined): Promise<PostgresOptions> => {
  const [config, secureContext] = await promised(
    Effect.runPromiseExit(
      DsqlConfig.pipe(
        Effect.flatMap((config) => Effect.all([Effect.succeed(config), secureContextFor(config.tls)])),
        Effect.provide(configOf(options))
      )
    )
  )
  // Nothing runs, and no token is renewed, while no socket is open: so nothing needs to be ended but the sockets.
  const layer = Layer.scoped(LoginToken, pacedToken).pipe(
    Layer.provide(tokenOf(options)),
    Layer.provide(Layer.succeed(DsqlConfig, config))
  )
  const tokens = shared(() => open(LoginToken, layer))
  let latest: Redacted.Redacted | undefined

  const socket = async (): Promise<Socket> => {
    const opened = await tokens.acquire()
    const socket = new CountedSocket(tokens.release)
    try {
      latest = await opened.run(opened.service)
      socket.connect(config.port, config.address)
    } catch (error) {
      // A factory that rejects costs the driver the place of a connection for ever.
      socket.destroy(error as Error)
    }
    return socket
  }

  const { pool } = config
  const lifetime = () =>
    connectionLifetime(Duration.toSeconds(pool.maxLifetime), pool.lifetimeJitter, Effect.runSync(Random.next))
  const settings = startupOptions(config.session)
  const origin: Origin = { config, quiet: tokens.quiet }
  return {
    host: config.host,
    port: config.port,
    user: config.user,
    database: config.database,
    // Asked once the socket above is open. The driver would not survive a rejection.
    password: Object.assign(async () => (latest === undefined ? "" : Redacted.value(latest)), { [originKey]: origin }),
    ssl: { servername: config.host, secureContext, rejectUnauthorized: true },
    sslnegotiation: config.tls.negotiation,
    max: pool.max,
    // The driver takes a function as well, and asks it for each connection.
    max_lifetime: lifetime as unknown as number,
    idle_timeout: Duration.toSeconds(pool.idleTimeout),
    connect_timeout: Duration.toSeconds(pool.connectTimeout),
    keep_alive: Duration.toSeconds(config.keepAlive),
    prepare: true,
    // Asks for the types of arrays, which DSQL has no columns of, at each connection; a program would not survive its failure.
    fetch_types: false,
    connection: {
      application_name: config.applicationName,
      ...(settings === undefined ? {} : { options: settings })
    },
    socket
  }
}

/** That of the options that a `sql` was made with, if they are ours. */
export const originOf = (sql: object): Origin | undefined =>
  (sql as { readonly options?: { readonly pass?: { readonly [originKey]?: Origin } } }).options?.pass?.[originKey]
