/** The settings that a session may start with, and how they travel in the start-up packet. */
import { didYouMean } from "./nearest.js"

/**
 * What the service lets a client set (Aurora DSQL User Guide, "Accessing Aurora DSQL", connection string options), without
 * those that {@link refusals} tells of. It refuses a login that names any other.
 */
export const settable: ReadonlySet<string> = new Set([
  "datestyle",
  "extra_float_digits",
  "intervalstyle",
  "timezone",
  "search_path",
  "enable_bitmapscan",
  "enable_hashjoin",
  "enable_indexonlyscan",
  "enable_indexscan",
  "enable_material",
  "enable_mergejoin",
  "enable_nestloop",
  "dsql.enable_batched_nestloop",
  "enable_seqscan",
  "disable_sync_create_index"
])

/** Why no timeout of PostgreSQL's can be set: the service manages them all (same page). */
export const timeoutRefusal = "the service manages its timeouts itself; bound the effect instead, with Effect.timeout"

const refusals: ReadonlyMap<string, string> = new Map([
  ["application_name", "has an option of its own, applicationName"],
  ["client_encoding", "is always UTF8, which the driver needs; leave it out"],
  ["role", "can only be set with SET LOCAL inside a transaction; to work as another role, log in with it (user)"],
  [
    "amzn_cluster_id",
    "belongs to a way of connecting in which no certificate can be verified; give the endpoint <cluster id>.dsql-<suffix>.<region>.on.aws as host and the vpce- name as hostaddr"
  ],
  ...[
    "statement_timeout",
    "lock_timeout",
    "transaction_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout"
  ].map((name) => [name, `cannot be set: ${timeoutRefusal}`] as const)
])

/** Why a session cannot start with a setting; `undefined` where it can. The name is in lower case. */
export const settingProblem = (name: string, value: unknown): string | undefined => {
  const refusal = refusals.get(name)
  if (refusal !== undefined) return refusal
  if (!settable.has(name)) {
    return `is no setting that the service lets a session set.${didYouMean(name, settable)}`
  }
  if (typeof value !== "string" || value.includes("\0")) return "must be text without NUL"
  if (name === "datestyle" && !/^\s*iso\s*(?:,|$)/i.test(value)) {
    return "must begin with ISO: the driver would misread dates of any other style"
  }
  if (name === "intervalstyle" && value.trim().toLowerCase() !== "postgres") {
    return "must be postgres: the driver would misread intervals of any other style"
  }
  return undefined
}

/** The `options` of the start-up packet, which the server splits at white space that no backslash stands before. */
export const startupOptions = (session: Readonly<Record<string, string>>): string | undefined => {
  const options = Object.entries(session).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(/[\\ \t\n\v\f\r]/g, "\\$&")}`
  )
  return options.length === 0 ? undefined : options.join(" ")
}

/** What stands in such `options`, or why it cannot be read. */
export type StartupOptions =
  | { readonly kind: "settings"; readonly settings: ReadonlyMap<string, string> }
  | { readonly kind: "invalid"; readonly why: string }

const unreadable = (why: string): StartupOptions => ({ kind: "invalid", why })

const words = (text: string): ReadonlyArray<string> =>
  (text.match(/(?:\\[^]|[^\\ \t\n\v\f\r])+/g) ?? []).map((word) => word.replaceAll(/\\([^])/g, "$1"))

/** Reads `-c name=value`, `-cname=value` and `--name=value`, as the server does; a name is told once. */
export const parseStartupOptions = (text: string): StartupOptions => {
  const settings = new Map<string, string>()
  const rest = [...words(text)]
  while (rest.length > 0) {
    const word = rest.shift()!
    const setting = word === "-c" ? rest.shift() : /^(?:-c|--)([^]+)$/.exec(word)?.[1]
    const [, written, value] = /^([^=]+)=([^]*)$/.exec(setting ?? "") ?? []
    if (written === undefined || value === undefined) {
      return unreadable("must be settings, each as -c name=value or --name=value, with a backslash before white space")
    }
    const name = written.replaceAll("-", "_").toLowerCase()
    if (settings.has(name)) return unreadable(`sets ${name} twice`)
    settings.set(name, value)
  }
  return { kind: "settings", settings }
}
