/** What the service stops a client at. Times are by the session clock, in milliseconds. */
export interface Limits {
  /** How many connections may be open. Default 10,000. */
  readonly connections: number
  /** How many may be opened in a second, for ever. Default 100. */
  readonly connectRate: number
  /** How many may be opened at once after a time without any. Default 1,000. */
  readonly connectBurst: number
  /** How old a connection becomes before it is closed, whatever it is doing. Default 60 minutes. */
  readonly connectionLifetime: number
  /** How old a transaction may become. Default 300 seconds. */
  readonly transactionAge: number
  /** How long a message may be, in bytes. Default 10 MiB. */
  readonly messageSize: number
}

/**
 * What becomes of a message that is longer: `error` answers with FATAL 08P01, as documented; with `close`, as users have
 * seen, the connection just closes.
 */
export interface MessageLimit extends Pick<Limits, "messageSize"> {
  readonly oversizedMessage: "close" | "error"
}

/** Of the service's user guide, "Quotas and limits". */
const serviceLimits: Limits = {
  connections: 10_000,
  connectRate: 100,
  connectBurst: 1_000,
  connectionLifetime: 3_600_000,
  transactionAge: 300_000,
  messageSize: 10 * 1024 * 1024
}

export type LimitOptions = { readonly [Name in keyof Limits]?: number | undefined }

/** Those of the service where nothing else is said. */
export const limitsWith = (options: LimitOptions = {}): Limits => ({
  ...serviceLimits,
  ...Object.fromEntries(Object.entries(options).filter(([, limit]) => limit !== undefined))
})
