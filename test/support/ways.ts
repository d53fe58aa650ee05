/** All ways into a transaction, and how it ends in each. */
import type { SqlClient } from "@effect/sql"
import type { Effect } from "effect"
import { type DsqlConfig, DsqlTransaction } from "effect-dsql"
import { quick } from "./transactions.js"

export type Work = Effect.Effect<unknown, unknown>

export interface Ending {
  /** How `sql.withTransaction` ends. */
  readonly ends: string
  /** Whether another attempt is made of it, which then succeeds. */
  readonly retried?: true
}

/** withRetry raises our errors themselves. */
const bare = (end: string): string => end.replace(/SqlError\((.*)\)$/, "$1")

export interface Way {
  readonly options?: Partial<DsqlConfig.Options>
  readonly run: (sql: SqlClient.SqlClient, body: Work) => Effect.Effect<unknown, unknown, SqlClient.SqlClient>
  readonly ends: (ending: Ending) => string
  readonly attempts: (ending: Ending) => number
}

export const ways: Readonly<Record<string, Way>> = {
  "sql.withTransaction": {
    run: (sql, body) => sql.withTransaction(body),
    ends: ({ ends }) => ends,
    attempts: () => 1
  },
  "withRetry without retries": {
    run: (_, body) => DsqlTransaction.withRetry(body, { times: 0 }),
    ends: ({ ends }) => bare(ends),
    attempts: () => 1
  },
  withRetry: {
    run: (_, body) => DsqlTransaction.withRetry(body, { ...quick, times: 2 }),
    ends: ({ ends, retried }) => (retried === true ? "gives done" : bare(ends)),
    attempts: ({ retried }) => (retried === true ? 2 : 1)
  },
  "sql.withTransaction and unsafeRetryTransactions": {
    options: { unsafeRetryTransactions: true, retry: quick },
    run: (sql, body) => sql.withTransaction(body),
    ends: ({ ends, retried }) => (retried === true ? "gives done" : ends),
    attempts: ({ retried }) => (retried === true ? 2 : 1)
  }
}

/** What is told in the end of something that goes on failing; the third attempt is the last. */
export const persistent: Readonly<Record<string, readonly [way: Way, wrap: (end: string) => string]>> = {
  withRetry: [ways["withRetry"]!, (end) => `fails with ${end}`],
  unsafeRetryTransactions: [
    {
      ...ways["sql.withTransaction and unsafeRetryTransactions"]!,
      options: { unsafeRetryTransactions: true, retry: { ...quick, times: 2 } }
    },
    (end) => `fails with SqlError(${end})`
  ]
}
