/**
 * The lease: of all that want to migrate at once, one does. It holds as long as its holder says so in time, by the clock of
 * the server, and every entry of the journal is written under it: who lost it can write nothing more.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { RetryPolicy } from "../../Config.js"
import type { DsqlError } from "../../Errors.js"
import { withRetry } from "../../Transaction.js"
import { ask, ours } from "../alone.js"
import { DsqlMigrationError } from "./error.js"
import type { Tables } from "./tables.js"

const name = "migrations"

export interface Lease {
  /** In a transaction: lets it commit only while the lease is held. */
  readonly held: Effect.Effect<void, SqlError | DsqlMigrationError>
  /**
   * Runs a body in a transaction that only commits while the lease is held. `verify` decides a COMMIT that was not answered;
   * without it the body is run again, and must be so that this does no harm.
   */
  readonly fenced: <A, E>(
    body: Effect.Effect<A, E | SqlError, SqlClient.SqlClient>,
    verify?: Effect.Effect<Option.Option<A>, DsqlError, SqlClient.SqlClient>
  ) => Effect.Effect<A, Exclude<E, SqlError> | DsqlMigrationError | DsqlError, SqlClient.SqlClient>
}

export interface LeaseOptions {
  readonly holder: string
  /** How long it holds without a sign of life. */
  readonly duration: Duration.Duration
  readonly retry: RetryPolicy | undefined
}

/** Random.next has 32 bits at the least; four of them are as good as a UUID. */
const newToken = Effect.map(Effect.replicateEffect(Random.next, 4), (parts) =>
  parts
    .map((part) =>
      Math.floor(part * 2 ** 32)
        .toString(16)
        .padStart(8, "0")
    )
    .join("")
)

const lost = (cause?: unknown) =>
  new DsqlMigrationError({
    reason: "LeaseLost",
    detail:
      "this deployer gave no sign of life for so long that its lease ran out or was taken over by another one, which goes on from here and was waited for in vain; look at `status`, or run again",
    cause
  })

/** Who holds it now, if anybody does. */
export const holderOf = (
  sql: SqlClient.SqlClient,
  { lease }: Tables
): Effect.Effect<string | undefined, DsqlError, SqlClient.SqlClient> =>
  Effect.map(
    ask(
      sql<{ holder: string }>`
        SELECT owner.holder FROM ${sql(lease)} AS heartbeat JOIN ${sql(lease)} AS owner ON owner.name = 'owner'
        WHERE heartbeat.name = 'heartbeat' AND heartbeat.expires_at > now()`.withoutTransform,
      { name }
    ),
    ([row]) => row?.holder
  )

/** Takes the lease if nobody has it. */
const tryAcquire = (sql: SqlClient.SqlClient, { lease }: Tables, { duration, holder, retry }: LeaseOptions) =>
  Effect.gen(function* () {
    const token = yield* newToken
    const acquired = yield* Effect.gen(function* () {
      const taken = yield* sql`
        UPDATE ${sql(lease)} SET token = ${token}, expires_at = now() + ${Duration.toMillis(duration)}::int * interval '1 millisecond'
        WHERE name = 'heartbeat' AND (expires_at <= now() OR token = ${token}) RETURNING 1`
      if (taken.length === 0) return false
      yield* sql`UPDATE ${sql(lease)} SET token = ${token}, holder = ${holder} WHERE name = 'owner'`
      return true
    }).pipe((body) => ours(withRetry(body, { ...retry, name, verify: Effect.succeedNone })))
    return acquired ? token : undefined
  })

const renew = (sql: SqlClient.SqlClient, { lease }: Tables, token: string, { duration, retry }: LeaseOptions) =>
  ours(
    withRetry(
      sql`UPDATE ${sql(lease)} SET expires_at = now() + ${Duration.toMillis(duration)}::int * interval '1 millisecond'
        WHERE name = 'heartbeat' AND token = ${token} RETURNING 1`,
      { ...retry, deadline: Duration.times(duration, 0.5), name, verify: Effect.succeedNone }
    )
  ).pipe(
    Effect.timeoutFail({ duration: Duration.times(duration, 0.6), onTimeout: () => lost() }),
    Effect.mapError((cause) => (cause instanceof DsqlMigrationError ? cause : lost(cause))),
    Effect.filterOrFail(
      (rows) => rows.length > 0,
      () => lost()
    )
  )

/** Lets others have it at once. If that fails, it runs out. */
const release = (sql: SqlClient.SqlClient, { lease }: Tables, token: string) =>
  withRetry(sql`UPDATE ${sql(lease)} SET expires_at = now() WHERE name = 'heartbeat' AND token = ${token}`, {
    deadline: "5 seconds",
    name
  }).pipe(
    Effect.timeout("10 seconds"),
    Effect.tapError((error) => Effect.logDebug("The lease on migrations could not be given back", error)),
    Effect.ignore
  )

/**
 * Runs `use` under the lease, which is renewed all the while; `use` is interrupted when that fails. Gives `undefined` if
 * somebody else has it.
 */
export const withLease = <A, E>(
  sql: SqlClient.SqlClient,
  tables: Tables,
  options: LeaseOptions,
  use: (lease: Lease) => Effect.Effect<A, E, SqlClient.SqlClient>
): Effect.Effect<{ readonly result: A } | undefined, E | DsqlMigrationError | DsqlError, SqlClient.SqlClient> => {
  const heldBy = (token: string): Lease => {
    // FOR UPDATE, so that who takes over meanwhile and this transaction cannot both commit.
    const owner = sql`SELECT 1 FROM ${sql(tables.lease)} WHERE name = 'owner' AND token = ${token} FOR UPDATE`
    const held = Effect.flatMap(owner, (rows) => (rows.length === 0 ? Effect.fail(lost()) : Effect.void))
    return {
      held,
      fenced: (body, verify) =>
        ours(withRetry(Effect.zipRight(held, body), { ...options.retry, name, verify: verify ?? Effect.succeedNone }))
    }
  }
  const underLease = (token: string) => {
    const beat = Effect.zipRight(
      Effect.sleep(Duration.times(options.duration, 0.25)),
      renew(sql, tables, token, options)
    )
    const heartbeat = Effect.forever(beat)
    return Effect.map(Effect.raceFirst(use(heldBy(token)), heartbeat), (result) => ({ result }))
  }
  return Effect.acquireUseRelease(
    tryAcquire(sql, tables, options),
    (token) => (token === undefined ? Effect.succeed(undefined) : underLease(token)),
    (token) => (token === undefined ? Effect.void : release(sql, tables, token))
  )
}
