/**
 * Every option of AWS's connector for postgres.js (`@aws/aurora-dsql-postgresjs-connector` 0.2.x). Those of postgres.js come from
 * its types: one that is missing here does not compile. The connector's own come from its source (`AuroraDSQLConfig` and
 * `AuroraDSQLWsConfig` in `node/postgres-js/src/client.ts` of awslabs/aurora-dsql-connectors, 2026-08), as it is not installed.
 */
import type { Options as PostgresOptions } from "postgres"
import { better, none, ours, type Row, type Rows, same } from "./row.js"

export const own = {
  region: better("`region`, `DSQL_REGION`; one that contradicts the host is refused before anything is dialled"),
  profile: same("`profile`, `DSQL_PROFILE`, or `DsqlAuth.layerProfile(name)`"),
  tokenDurationSecs: better("`tokenDuration`; 15 minutes instead of 30 seconds, one token for all connections"),
  customCredentialsProvider: better(
    "`DsqlAuth.layerProvider(provider)`, `DsqlAuth.layerStatic(keys)`; asked once until they expire"
  ),
  retry: better(
    "`retry` of the layer, and options of `DsqlTransaction.withRetry`; `true` for all of `sql.begin` is `unsafeRetryTransactions`"
  ),
  logger: ours("Effect's `Logger`; attempts are spans and counters as well")
} satisfies Record<string, Row>

/** Of the connection over WebSocket, `auroraDSQLWsPostgres`. */
export const webSocket = {
  connectionCheck: none("none needed: a connection that was closed is seen at checkout without a round trip"),
  connectionId: none("none: there is no WebSocket transport here, for browsers take AWS's connector"),
  onReservedConnectionClose: none("the statement under way fails with `DsqlConnectionError` (`Closed`)")
} satisfies Record<string, Row>

/** Of `sql.begin` and of the module. */
export const calls = {
  auroraDSQLPostgres: same("`DsqlLayer.layer(options)` or `DsqlLayer.layer(url)`"),
  auroraDSQLWsPostgres: none("none: Node reaches port 5432; a WebSocket is for browsers"),
  "sql.begin": better('`DsqlTransaction.withRetry(effect)`; `readOnly: true` for `sql.begin("read only", …)`'),
  isOCCError: same("`DsqlErrors.isConflict`; also inside of a `SqlError`")
} satisfies Record<string, Row>

type Driver = PostgresOptions<Record<string, never>>

export const driver: Rows<Driver> = {
  host: same("`host`: an endpoint or an id, one and not several"),
  port: same("`port`"),
  path: none("none: a cluster has no Unix socket"),
  database: same("`database`; `postgres` if not given"),
  user: same("`user`; `admin` if not given"),
  ssl: better("always on, always verified; `tls.ca` or `tls.caFile` for an authority of your own"),
  max: same("`pool.max`"),
  idle_timeout: same("`pool.idleTimeout`; 10 minutes"),
  connect_timeout: same("`pool.connectTimeout`; TCP, TLS and login together"),
  types: same("`types`, as node-postgres takes them"),
  prepare: ours(
    "statements with parameters are prepared, the 100 latest of a connection are kept; `.unprepared` for one"
  ),
  onnotice: none("none: notices of the server are passed over"),
  onparameter: none("none: nothing in a session of the service changes by itself"),
  debug: better("a span for each statement, with its text and without its parameters"),
  transform: same(
    "`transformQueryNames`, `transformResultNames`, `transformJson`; values go by `types` or `SqlSchema`"
  ),
  connection: same("`session` for settings, `applicationName`"),
  target_session_attrs: none("refused: a cluster is one endpoint, always writable"),
  fetch_types: none("none: no types are fetched, which costs a query per connection"),
  publications: none("none: DSQL has no logical replication"),
  onclose: none("none: a connection that closes is replaced; a statement on it fails typed"),
  backoff: ours("`pool.connectRate` and the retry of transactions; there is no loop that reconnects"),
  max_lifetime: better("`pool.maxLifetime`; 55 minutes, each shortened by up to a tenth"),
  keep_alive: same("`keepAlive`; 30 seconds"),
  hostname: same("`host`"),
  db: same("`database`"),
  username: same("`user`"),
  pass: none("refused: a login carries a token and nothing else"),
  password: none("refused, likewise"),
  no_prepare: ours("`prepare` has the same, above"),
  timeout: same("`pool.idleTimeout`, of which it is the old name")
}
