/** Every metric of this package as data: `docs/observability.md` is made from it, and the numbers are counted on it. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import type * as MetricKeyType from "effect/MetricKeyType"

export interface Definition<
  Type extends MetricKeyType.MetricKeyType.Untyped = MetricKeyType.MetricKeyType.Untyped,
  Label extends string = string
> {
  readonly kind: "counter" | "gauge" | "histogram"
  readonly name: string
  readonly unit: string
  readonly labels: ReadonlyArray<Label>
  readonly meaning: string
  readonly key: MetricKey.MetricKey<Type>
}

const counter = <const Label extends string>(
  name: string,
  unit: string,
  labels: ReadonlyArray<Label>,
  meaning: string
): Definition<MetricKeyType.MetricKeyType.Counter<number>, Label> => ({
  kind: "counter",
  name,
  unit,
  labels,
  meaning,
  key: MetricKey.counter(name, { description: meaning, incremental: true })
})

const gauge = <const Label extends string>(
  name: string,
  unit: string,
  labels: ReadonlyArray<Label>,
  meaning: string
): Definition<MetricKeyType.MetricKeyType.Gauge<number>, Label> => ({
  kind: "gauge",
  name,
  unit,
  labels,
  meaning,
  key: MetricKey.gauge(name, { description: meaning })
})

const histogram = <const Label extends string>(
  name: string,
  unit: string,
  labels: ReadonlyArray<Label>,
  meaning: string,
  boundaries: ReadonlyArray<number>
): Definition<MetricKeyType.MetricKeyType.Histogram, Label> => ({
  kind: "histogram",
  name,
  unit,
  labels,
  meaning,
  key: MetricKey.histogram(name, MetricBoundaries.fromIterable(boundaries), meaning)
})

/** From the 5 ms of a warm connection in the same zone to the 20 s after which a provider has failed. */
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20]

/** Which cluster, and as which role. */
const client = ["host", "user"] as const

export const tokenAge = gauge(
  "dsql_token_age_seconds",
  "seconds",
  client,
  "Since when the token that new connections log in with is signed; brought up to date every 10 seconds"
)

export const tokenRemaining = gauge(
  "dsql_token_remaining_seconds",
  "seconds",
  client,
  "For how long that token can still be used; 0 when it no longer can, brought up to date every 10 seconds"
)

export const tokenSignings = counter("dsql_token_signings_total", "tokens", client, "Tokens that were signed")

export const tokenFailures = counter(
  "dsql_token_failures_total",
  "attempts",
  [...client, "error", "reason"],
  "Attempts to get a new token that failed, by the error's tag and reason; the old token may still serve"
)

export const providerCalls = histogram(
  "dsql_provider_call_seconds",
  "seconds",
  ["error", "reason"],
  "How long the AWS credential provider took for each call; its count is the number of calls",
  seconds
)

export const connectionsOpened = counter(
  "dsql_connections_opened_total",
  "connections",
  client,
  "Connections that were opened and logged in"
)

export const connectionsClosed = counter(
  "dsql_connections_closed_total",
  "connections",
  [...client, "reason"],
  "Connections that have ended, by why: `idle`, `lifetime`, `lost` (by the server or the network), `destroyed` (a statement was interrupted or overdue), `unfit` (its session could not be brought back to what it was), `shutdown`"
)

export const connectDuration = histogram(
  "dsql_connect_seconds",
  "seconds",
  [...client, "error", "reason"],
  "How long it took to dial, negotiate TLS, log in and set up, without the wait for a token; with an error's tag and reason when it failed",
  seconds
)

export const poolConnections = gauge(
  "dsql_pool_connections",
  "connections",
  [...client, "state"],
  "Open connections: `in_use` (lent, or being reset) and `idle`"
)

export const poolWaiting = gauge("dsql_pool_waiting", "callers", client, "Who waits for a connection")

export const poolTimeouts = counter(
  "dsql_pool_timeouts_total",
  "callers",
  client,
  "Who has waited in vain: longer than `pool.acquireTimeout`, or than the deadline of a transaction"
)

export const attempts = counter(
  "dsql_attempts_total",
  "attempts",
  ["name"],
  "Transactions and retried statements that were run, by name; each run again counts anew"
)

export const retries = counter(
  "dsql_retries_total",
  "attempts",
  ["name", "error"],
  "Those of them that failed and were run again, by the error's tag"
)

export const conflicts = counter(
  "dsql_conflicts_total",
  "attempts",
  ["name", "reason"],
  "Those of them that lost a conflict: `Data`, `Schema` or `Unknown`"
)

export const unknownOutcomes = counter(
  "dsql_unknown_outcomes_total",
  "attempts",
  ["name"],
  "Those of them whose answer was lost, so that nobody knows whether they took effect"
)

export const attemptsPerCommit = histogram(
  "dsql_attempts_per_commit",
  "attempts",
  ["name"],
  "How many attempts a retried transaction or statement took, for each that succeeded",
  [1, 2, 3, 4, 5, 8, 13, 21, 34]
)

export const retryTime = counter(
  "dsql_retry_seconds_total",
  "seconds",
  ["name"],
  "Time lost to retries: attempts that were run again, and the waits behind them"
)

/** In the order in which the documentation tells of them. */
export const all: ReadonlyArray<Definition> = [
  tokenAge,
  tokenRemaining,
  tokenSignings,
  tokenFailures,
  providerCalls,
  connectionsOpened,
  connectionsClosed,
  connectDuration,
  poolConnections,
  poolWaiting,
  poolTimeouts,
  attempts,
  retries,
  conflicts,
  unknownOutcomes,
  attemptsPerCommit,
  retryTime
]

/**
 * A metric under its labels. Making one costs more than counting on it, so those of a hot path are kept; this way, not with
 * `Metric.tagged`, each finds its place in the registry once and not at every count.
 */
export const labelled = <Type extends MetricKeyType.MetricKeyType.Untyped, Label extends string>(
  { key }: Definition<Type, Label>,
  labels: Readonly<Partial<Record<Label, string | undefined>>>
) =>
  Metric.fromMetricKey(
    Object.entries<string | undefined>(labels).reduce(
      (key, [label, value]) => (value === undefined ? key : MetricKey.tagged(key, label, value)),
      key
    )
  )
