import type { LocalOptions } from "effect-dsql/Local"

/**
 * A local cluster that takes PostgreSQL's SQL, for tests of clients that need what the service has not: functions that raise
 * any error, locks that hold a statement up for as long as a test wants, and a look at what other sessions do.
 */
export const withInstruments = { rules: "off" } as const satisfies LocalOptions
