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

/** What the database itself stops a client at, with `rules: "service"`. */
export interface DatabaseLimits {
  /** How many rows a transaction may insert, update and delete. Default 3,000. */
  readonly rows: number
  /** How many bytes they may have, in whole MiB. Default 10 MiB. */
  readonly transactionBytes: number
  /** How long a row may be. Default 2 MiB. */
  readonly rowBytes: number
  /** How long a value may be. Default 1 MiB. */
  readonly columnBytes: number
  /** How long the columns of a key may be together. Default 1,981, as measured; the guide says 1 KiB. */
  readonly keyBytes: number
  /** How long the definition of a view may be. Default 2 MiB. */
  readonly viewBytes: number
  /** Default 255; a measurement says 256. */
  readonly columnsPerTable: number
  /** How many columns a key may have. Default 8. */
  readonly keyColumns: number
  /** With that of the primary key, those of constraints and those that are being built. Default 24. */
  readonly indexesPerTable: number
  /** Default 5. */
  readonly statisticsPerTable: number
  /** Beside `public` and `sys`. Default 10. */
  readonly schemas: number
  /** Default 1,000. */
  readonly tables: number
  /** Default 5,000. */
  readonly views: number
  /** Default 5,000. */
  readonly sequences: number
}

/** Where sessions are told of them. */
export const limitsSetting = "_dsql.limits"

/** Of the service's user guide, "Quotas and limits", but for `keyBytes`. */
const serviceLimits: Limits & DatabaseLimits = {
  connections: 10_000,
  connectRate: 100,
  connectBurst: 1_000,
  connectionLifetime: 3_600_000,
  transactionAge: 300_000,
  messageSize: 10 * 1024 * 1024,
  rows: 3_000,
  transactionBytes: 10 * 1024 * 1024,
  rowBytes: 2 * 1024 * 1024,
  columnBytes: 1024 * 1024,
  keyBytes: 1_981,
  viewBytes: 2 * 1024 * 1024,
  columnsPerTable: 255,
  keyColumns: 8,
  indexesPerTable: 24,
  statisticsPerTable: 5,
  schemas: 10,
  tables: 1_000,
  views: 5_000,
  sequences: 5_000
}

type Options<A> = { readonly [Name in keyof A]?: number | undefined }

export interface DatabaseLimitOptions extends Options<DatabaseLimits> {}

export interface LimitOptions extends Options<Limits>, DatabaseLimitOptions {}

/** Those of the service where nothing else is said. */
export const limitsWith = (options: LimitOptions = {}): Limits & DatabaseLimits => ({
  ...serviceLimits,
  ...Object.fromEntries(Object.entries(options).filter(([, limit]) => limit !== undefined))
})
