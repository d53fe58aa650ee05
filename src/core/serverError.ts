/** What an error of the server means to a client: SQLSTATE and message in, verdict out. The table is data. */

/** The fields of an ErrorResponse that the server sent; `sqlState` and `message` are always there. */
export interface ServerError {
  readonly severity?: string | undefined
  readonly sqlState: string
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  readonly position?: string | undefined
  readonly where?: string | undefined
  readonly schema?: string | undefined
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly dataType?: string | undefined
  readonly constraint?: string | undefined
  readonly routine?: string | undefined
}

export type AuthenticationReason = "AccessDenied" | "SignatureExpired" | "WrongUserForAction" | "UnknownRole" | "Other"
export type ServerConnectionReason =
  "Tls" | "TooManyConnections" | "RateExceeded" | "ClusterWaking" | "Closed" | "Other"
export type ConflictReason = "Data" | "Schema" | "Unknown"
export type ConstraintReason = "Unique" | "ForeignKey" | "Check" | "NotNull"
export type LimitReason =
  | "Rows"
  | "Size"
  | "Age"
  | "RowSize"
  | "ValueSize"
  | "KeySize"
  | "Objects"
  | "Memory"
  | "Depth"
  | "Storage"
  | "Parameters"
  | "Other"

export type Verdict =
  | { readonly kind: "Authentication"; readonly reason: AuthenticationReason }
  | { readonly kind: "Connection"; readonly reason: ServerConnectionReason }
  | { readonly kind: "Conflict"; readonly reason: ConflictReason }
  | { readonly kind: "Limit"; readonly reason: LimitReason }
  | { readonly kind: "Constraint"; readonly reason: ConstraintReason }
  | { readonly kind: "Unsupported"; readonly feature: string }
  | { readonly kind: "Unavailable" }
  | { readonly kind: "Query" }

interface Row<A> {
  readonly matches: RegExp
  readonly gives: A
}

const first = <A>(rows: ReadonlyArray<Row<A>>, text: string, otherwise: A): A =>
  rows.find((row) => row.matches.test(text))?.gives ?? otherwise

/** A refused login says its reason only in the HINT. Texts: Aurora DSQL user guide, "Troubleshooting". */
const authenticationHints: ReadonlyArray<Row<AuthenticationReason>> = [
  { matches: /signature expired/i, gives: "SignatureExpired" },
  { matches: /wrong user to action mapping/i, gives: "WrongUserForAction" },
  { matches: /\brole\b.*(?:does not exist|must have the LOGIN attribute)/i, gives: "UnknownRole" },
  { matches: /access denied|not authorized/i, gives: "AccessDenied" }
]

/** Messages of "Quotas and limits" in the user guide, and those seen on clusters. */
const limitMessages: ReadonlyArray<Row<LimitReason>> = [
  { matches: /transaction row limit/i, gives: "Rows" },
  { matches: /transaction size limit/i, gives: "Size" },
  { matches: /transaction age limit/i, gives: "Age" },
  { matches: /maximum row size/i, gives: "RowSize" },
  { matches: /maximum column size|datatype limit/i, gives: "ValueSize" },
  { matches: /key size/i, gives: "KeySize" },
  { matches: /temp space|out of memory/i, gives: "Memory" },
  { matches: /stack depth/i, gives: "Depth" },
  { matches: /cluster size/i, gives: "Storage" },
  { matches: /more than \d+|at most \d+|view definition too large/i, gives: "Objects" }
]

const constraints: Readonly<Record<string, ConstraintReason>> = {
  "23001": "ForeignKey",
  "23502": "NotNull",
  "23503": "ForeignKey",
  "23505": "Unique",
  "23514": "Check"
}

const connection = (reason: ServerConnectionReason): Verdict => ({ kind: "Connection", reason })

const conflictReason = (error: ServerError): ConflictReason => {
  const text = `${error.sqlState} ${error.message}`
  return text.includes("OC000") ? "Data" : text.includes("OC001") ? "Schema" : "Unknown"
}

/** "unsupported statement: Listen" names the feature behind the colon; other messages are the best name there is. */
const featureOf = (message: string): string => /^unsupported [a-z ]+: (.+)$/i.exec(message)?.[1] ?? message

/** Texts decide before codes where AWS publishes a text without its SQLSTATE. */
export const judge = (error: ServerError): Verdict => {
  if (/waking up cluster/i.test(error.message)) return connection("ClusterWaking")
  if (/cached plan must not change result type/i.test(error.message)) return { kind: "Conflict", reason: "Schema" }
  if (/sni was not received/i.test(error.message)) return connection("Tls")
  switch (error.sqlState) {
    case "08006":
      return {
        kind: "Authentication",
        reason: first(authenticationHints, `${error.hint ?? ""} ${error.message}`, "Other")
      }
    case "53300":
      return connection("TooManyConnections")
    case "53400":
      return connection("RateExceeded")
    case "40001":
    case "OC000":
    case "OC001":
      return { kind: "Conflict", reason: conflictReason(error) }
    case "53100":
      return { kind: "Limit", reason: "Storage" }
    case "53200":
      return { kind: "Limit", reason: "Memory" }
    case "0A000":
      return { kind: "Unsupported", feature: featureOf(error.message) }
    case "XX000":
      return { kind: "Unavailable" }
  }
  const constraint = constraints[error.sqlState]
  if (constraint !== undefined) return { kind: "Constraint", reason: constraint }
  switch (error.sqlState.slice(0, 2)) {
    case "08":
      return connection(/\b(?:TLS|SSL)\b/.test(error.message) ? "Tls" : "Other")
    case "28":
      return {
        kind: "Authentication",
        reason: first(authenticationHints, `${error.hint ?? ""} ${error.message}`, "Other")
      }
    case "54":
      return { kind: "Limit", reason: first(limitMessages, error.message, "Other") }
    case "57":
      // 57014 is a cancelled statement, the others of the class are a server that goes away.
      return error.sqlState === "57014" ? { kind: "Query" } : connection("Closed")
  }
  return { kind: "Query" }
}
