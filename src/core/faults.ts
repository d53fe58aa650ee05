/** What can be made to go wrong on demand, in the local cluster and in the scripted client alike. */

/**
 * What can be made to fail or to take its time: coming to a connection, a statement of the program, and what begins and
 * ends its transactions.
 *
 * @since 0.1.0
 * @category models
 */
export type Step = "connect" | "BEGIN" | "statement" | "COMMIT" | "ROLLBACK"

/**
 * When the connection breaks at a COMMIT: before it has done anything; while it is under way; or when it has taken effect and
 * only its answer is lost.
 *
 * @since 0.1.0
 * @category models
 */
export type DropMoment = "before" | "during" | "after"

/**
 * The service's own words for what comes and goes. Published, but for the SQLSTATE of the last: AWS gives the text without
 * one, and the code is inferred.
 */
export const serverWords = {
  OC000: { sqlState: "40001", message: "change conflicts with another transaction (OC000)" },
  OC001: { sqlState: "40001", message: "schema has been updated by another transaction (OC001)" },
  XX000: { sqlState: "XX000", message: "server unavailable" },
  TooManyConnections: { sqlState: "53300", message: "Unable to accept connection, too many open connections." },
  RateExceeded: { sqlState: "53400", message: "Unable to accept connection, rate exceeded." },
  ClusterWaking: { sqlState: "XX000", message: "unable to accept connection, waking up cluster, please retry later" }
} as const

/** The service's limit for the age of a transaction, in seconds. Message and detail: recorded. */
export const ageLimitWords = (limit: number, age: number) => ({
  sqlState: "54000",
  message: `transaction age limit of ${limit}s exceeded`,
  detail: `Current transaction age ${age}s exceeds ${limit}s`
})
