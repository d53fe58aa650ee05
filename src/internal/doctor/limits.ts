/** The options of the pool against the limits of the service (AWS quotas page) and against each other. */
import * as Duration from "effect/Duration"
import type { Resolved } from "../../Config.js"
import type { Cure } from "../../Doctor.js"
import { variableOf } from "../environment.js"
import { command } from "./cures.js"
import type { Done } from "./model.js"

interface Concern {
  readonly option: string
  readonly better: string
  readonly why: string
}

/** Of the whole cluster: how many connections it lets be opened per second, and at once after a time of rest. */
const refill = 100
const burst = 1000

/** When the service cuts a connection, and how long a transaction may take until then. */
const longestLife = Duration.toMillis("60 minutes")
const longestTransaction = Duration.toMillis("300 seconds")

const concernsOf = ({ pool, tokenDuration }: Resolved): ReadonlyArray<Concern> => {
  const [lifetime, acquire, connect, token] = [
    pool.maxLifetime,
    pool.acquireTimeout,
    pool.connectTimeout,
    tokenDuration
  ].map((duration) => Duration.toMillis(duration)) as [number, number, number, number]
  const concerns: ReadonlyArray<Concern | false> = [
    pool.max > burst && {
      option: "pool.max",
      better: String(burst),
      why: `${pool.max} connections are more than the ${burst} that a cluster lets be opened at once`
    },
    pool.connectRate > refill && {
      option: "pool.connectRate",
      better: String(refill),
      why: `${pool.connectRate} new connections a second are more than the ${refill} that a cluster allows for all its clients`
    },
    lifetime + longestTransaction > longestLife && {
      option: "pool.maxLifetime",
      better: "'55 minutes'",
      why: `a transaction begun late in a life of ${Duration.format(pool.maxLifetime)} is cut at 60 minutes`
    },
    acquire < connect && {
      option: "pool.acquireTimeout",
      better: "'30 seconds'",
      why: `whoever waits for a connection gives up after ${Duration.format(pool.acquireTimeout)}, before one can be opened (${Duration.format(pool.connectTimeout)})`
    },
    token < connect && {
      option: "tokenDuration",
      better: "'15 minutes'",
      why: `a token of ${Duration.format(tokenDuration)} can expire while a login takes its time (${Duration.format(pool.connectTimeout)})`
    }
  ]
  return concerns.filter((concern) => concern !== false)
}

export const limits = (config: Resolved): Done<void> => {
  const { pool } = config
  const concerns = concernsOf(config)
  const cures: ReadonlyArray<Cure> = concerns.map(({ better, option }) =>
    command(`export ${variableOf(option)}=${better}`)
  )
  return {
    value: undefined,
    summary: `at most ${pool.max} connections, ${pool.connectRate} new a second, of ${Duration.format(pool.maxLifetime)} each`,
    facts: {
      max: pool.max,
      min: pool.min,
      connectRate: pool.connectRate,
      maxLifetimeSeconds: Duration.toSeconds(pool.maxLifetime),
      idleTimeoutSeconds: Duration.toSeconds(pool.idleTimeout),
      acquireTimeoutSeconds: Duration.toSeconds(pool.acquireTimeout),
      connectTimeoutSeconds: Duration.toSeconds(pool.connectTimeout)
    },
    warning: concerns.length === 0 ? undefined : { cause: concerns.map(({ why }) => why).join("; "), cures }
  }
}
