/** Every option of AWS's connector for node-postgres, taken from its types: one that is missing here does not compile. */
import type {
  AuroraDSQLClient,
  AuroraDSQLConfig,
  AuroraDSQLPoolConfig,
  Logger,
  OCCRetryConfig
} from "@aws/aurora-dsql-node-postgres-connector"
import type { ClientConfig, PoolConfig } from "pg"
import { better, none, ours, type Rows, same } from "./row.js"

/** What it adds to node-postgres. */
export const own: Rows<Omit<AuroraDSQLConfig, keyof ClientConfig>> = {
  profile: same(
    "`profile`, `DSQL_PROFILE`, or `DsqlAuth.layerProfile(name)`; without one the whole chain of the AWS SDK is asked, not the profile `default`"
  ),
  region: better("`region`, `DSQL_REGION`; one that contradicts the host is refused before anything is dialled"),
  tokenDurationSecs: better(
    "`tokenDuration`, `DSQL_TOKEN_DURATION`; one token serves all connections, instead of one signed for each"
  ),
  customCredentialsProvider: better(
    "`DsqlAuth.layerProvider(provider)`, `DsqlAuth.layerStatic(keys)`; asked once until they expire, not for every connection"
  ),
  retry: better("`retry` of the layer, and options of `DsqlTransaction.withRetry`; below, field by field"),
  logger: ours("Effect's `Logger`; attempts are spans and counters as well")
}

export const retry: Rows<OCCRetryConfig> = {
  maxRetries: better(
    "`retry.times`; without it the `deadline` (60 seconds) bounds all attempts, since a number gives up on the unlucky of many ([measured](contention.md))"
  ),
  baseDelayMs: same("`retry.base`"),
  maxDelayMs: same("`retry.cap`"),
  jitterFactor: ours("full jitter: each wait is drawn evenly below its bound")
}

export const logger: Rows<Logger> = {
  debug: ours("a retry is logged at level Debug"),
  warn: ours("what heals by itself (a renewal that failed, a ROLLBACK that failed) is logged at level Warning"),
  error: ours("nothing is logged and thrown: an error is in the typed channel")
}

/** What it takes from node-postgres for one connection. */
export const client: Rows<ClientConfig> = {
  user: same("`user`; `admin` if not given"),
  database: same("`database`; `postgres` if not given"),
  password: none("refused: a login carries a token and nothing else"),
  port: same("`port`"),
  host: same("`host`: an endpoint or an id. To dial elsewhere, `hostaddr`"),
  connectionString: same("`DsqlLayer.layer(text)`, `DSQL_URL`"),
  keepAlive: ours("always on"),
  stream: none("none: `hostaddr` and `port` say where to dial"),
  statement_timeout: none(
    "refused: the service does not let it be set. `Effect.timeout` around a statement ends it and its connection"
  ),
  ssl: better("always on, always verified; `tls.ca` or `tls.caFile` for an authority of your own"),
  enableChannelBinding: none("none: a token is no SCRAM login"),
  sslnegotiation: better("`tls.negotiation`; `direct` if not given, which saves a round trip"),
  query_timeout: better(
    "`Effect.timeout`: ends the wait and closes the connection, whose place in the pool is free at once"
  ),
  lock_timeout: none("refused: DSQL has no locks to wait for"),
  keepAliveInitialDelayMillis: same("`keepAlive`"),
  idle_in_transaction_session_timeout: ours("`retry.maxAge`: a transaction older than 290 seconds is rolled back"),
  application_name: same("`applicationName`; this package's name is put behind it"),
  fallback_application_name: none("refused: `applicationName` is there"),
  connectionTimeoutMillis: better(
    "two options: `pool.acquireTimeout` for the wait, `pool.connectTimeout` for TCP, TLS and login"
  ),
  types: same("`types`"),
  options: same(
    '`session`: `{ search_path: "orders" }`; settings that the service refuses are refused with the reason'
  ),
  client_encoding: none("refused: always UTF8"),
  pipeline: none(
    "none: statements of one transaction are sent one after the other; different ones run at the same time"
  )
}

/** What it takes from pg-pool. */
export const pool: Rows<Omit<PoolConfig, keyof ClientConfig>> = {
  max: same("`pool.max`"),
  min: better("`pool.min`: opened when the layer is built, and kept open"),
  idleTimeoutMillis: same("`pool.idleTimeout`; 10 minutes"),
  log: ours("Effect's `Logger`"),
  Promise: none("none: effects take the place of promises"),
  allowExitOnIdle: ours("connections end with the scope of the layer, and nothing is left that keeps the process"),
  maxUses: none("none: `pool.maxLifetime` is what the service asks for"),
  maxLifetimeSeconds: better(
    "`pool.maxLifetime`; 55 minutes, each shortened by up to a tenth, so that not all end at once"
  ),
  Client: none("none: a connection is `DsqlConnection`, a service that can be swapped"),
  onConnect: better(
    "`setup`: runs on each new connection and again after its session was reset; what fails in it closes the connection"
  ),
  verify: none("none needed: a connection that was closed is seen at checkout without a round trip")
}

type Call = Pick<AuroraDSQLClient, "transaction" | "connect">

/** What its classes and functions are here. `AuroraDSQLPoolConfig` is the two tables above, which this line checks. */
export const calls: Rows<Call & { readonly isOCCError: 1; readonly AuroraDSQLClient: 1; readonly AuroraDSQLPool: 1 }> =
  {
    AuroraDSQLClient: same(
      "`DsqlLayer.layer({ host, pool: { max: 1 } })`, or `sql.reserve` for one connection of a pool"
    ),
    AuroraDSQLPool: same("`DsqlLayer.layer(options)`"),
    connect: ours("a statement takes its connection by itself; `sql.reserve` gives one for several"),
    transaction: better(
      "`DsqlTransaction.withRetry(effect)`: gives the connection back between attempts, is bounded by a deadline, and knows COMMITs whose answer was lost"
    ),
    isOCCError: same("`DsqlErrors.isConflict`; also inside of a `SqlError`")
  }

/** Fails to compile when the connector gets an option that is in none of the tables. */
export type Unknown = Exclude<keyof AuroraDSQLPoolConfig, keyof typeof own | keyof typeof client | keyof typeof pool>
export const complete: [Unknown] extends [never] ? true : never = true
