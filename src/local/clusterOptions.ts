import type { SchemaConflicts } from "./conflicts/standing.js"
import { LocalClusterError } from "./errors.js"
import type { BuildingUniqueIndexes } from "./jobs/statements.js"
import type { LimitOptions } from "./limits.js"

/** Milliseconds since the epoch. */
export interface Clock {
  readonly now: () => number
}

export interface ClusterOptions {
  /** On 127.0.0.1; by default any free one. */
  readonly port?: number | undefined
  /** Default: `us-east-1`. */
  readonly region?: string | undefined
  /** 26 characters of a-z and 0-9; by default a random one. */
  readonly clusterId?: string | undefined
  /**
   * A folder that keeps the cluster with its data for further runs: then its id, region, port, certificates and credentials
   * are those of the first, and options that contradict them are refused. Made if it is not there. By default nothing is kept.
   */
  readonly data?: string | undefined
  /**
   * What a CancelRequest does. `ignored`, the default: nothing, as on the service as far as is known; it is not
   * documented there, and users report that it has no effect. `postgres`: it ends the statement with 57014. Either way
   * the connection closes without an answer, and sessions get PostgreSQL's own BackendKeyData (what the service sends is
   * not known).
   */
  readonly cancel?: "ignored" | "postgres" | undefined
  /**
   * Who loses when two transactions change the same rows, and when it learns of it. `service`, the default: whoever commits
   * second, at its COMMIT, and nobody waits. `postgres`: as PostgreSQL does it, by waiting and at the statement; for what tests
   * the waiting itself, or wants PostgreSQL's answers to the byte. See `docs/local-cluster-conflicts.md`.
   */
  readonly conflicts?: "service" | "postgres" | undefined
  /**
   * With `conflicts: "service"`: who is told, once, that another session has changed the schema: 40001 with (OC001).
   * `transactions`, the default: those that are open when that commits. `sessions`: every session, at its next statement or
   * COMMIT. The service does something between, as its sessions learn of it sooner or later, so `sessions` is for a program that
   * is to bear the worst. `off`: only those whose transaction cannot go on, since it uses what has changed.
   */
  readonly schemaConflicts?: SchemaConflicts | undefined
  /**
   * With `conflicts: "service"`: how long a statement waits for a lock before those who hold it are made to give way, in
   * milliseconds. Default 8; more on a machine so slow that statements conflict without a rival.
   */
  readonly lockProbe?: number | undefined
  /**
   * Which SQL is taken. `service`, the default: what Aurora DSQL takes, everything else is refused in its words. `off`: what
   * PostgreSQL takes, for looking into the cluster with means that the service does not have.
   */
  readonly rules?: "service" | "off" | undefined
  /** Where a client is stopped; what is not given is as on the service. */
  readonly limits?: LimitOptions | undefined
  /**
   * What becomes of a connection that sends a longer message. `close`, the default: it closes without a word, as users of
   * the service report. `error`: FATAL 08P01 comes before that, as its guide says.
   */
  readonly oversizedMessage?: "close" | "error" | undefined
  /**
   * After how much time of the session clock without connections it is inactive, and must be woken up, in milliseconds. By
   * default never; the service's times are not published.
   */
  readonly idleTime?: number | undefined
  /** How long that takes. Default 5 seconds; on the service it depends on the size of the cluster. */
  readonly wakeTime?: number | undefined
  /**
   * How long a job takes by the session clock, in milliseconds: one half it is `submitted`, the other `processing`. Default
   * 200. On the service, 5 to 60 seconds were seen with small tables.
   */
  readonly jobDuration?: number | undefined
  /**
   * Whether a unique index stands against duplicates before its job is done. `ignored`, the default: it does not, and the job
   * fails, which users of the service report. `enforced`: they fail with 23505, which a guide of AWS's says.
   */
  readonly buildingUniqueIndexes?: BuildingUniqueIndexes | undefined
  /** The time that tokens are judged by; by default the real one. */
  readonly clock?: Clock | undefined
}

const defaults = {
  region: "us-east-1",
  cancel: "ignored",
  conflicts: "service",
  schemaConflicts: "transactions",
  lockProbe: 8,
  rules: "service",
  oversizedMessage: "close",
  wakeTime: 5_000,
  jobDuration: 200,
  buildingUniqueIndexes: "ignored",
  clock: { now: Date.now }
} as const satisfies ClusterOptions

type Settings = ClusterOptions & { readonly [Name in keyof typeof defaults]: NonNullable<ClusterOptions[Name]> }

/** Throws `LocalClusterError` for what would make no endpoint. */
export const withDefaults = (options: ClusterOptions): Settings => {
  check("region", options.region, /^[a-z0-9-]{1,32}$/)
  check("clusterId", options.clusterId, /^[a-z0-9]{26}$/)
  return { ...defaults, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) }
}

const check = (name: string, value: string | undefined, pattern: RegExp): void => {
  if (value === undefined || pattern.test(value)) return
  throw new LocalClusterError("StartFailed", `${name} must match ${pattern.source}, but is ${JSON.stringify(value)}.`)
}
