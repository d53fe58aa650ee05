/** What was measured on the local cluster, beside what was simulated. */
import { inWords } from "../support/machine.js"
import { table } from "../support/statistics.js"
import { connector, ours } from "./contenders.js"
import { type Measured, type Measurement, points } from "./local.js"
import { connectorDefault } from "./policies.js"
import type { Summary } from "./summary.js"

/** The part of the transactions that was given up. */
export const lostOf = ({ committed, givenUp }: Measured): number => givenUp / (committed + givenUp)

/** What the simulation says of the same point and policy; the first of those shown is ours. */
export const simulatedOf = ({ contender, rows, workers }: Measured, shown: ReadonlyArray<Summary>): Summary => {
  const policy = contender === connector.name ? connectorDefault.name : shown[0]!.policy
  return shown.find((one) => one.policy === policy && one.rows === rows && one.workers === workers)!
}

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`

const ratios = (results: ReadonlyArray<Measured>): ReadonlyArray<ReadonlyArray<string>> =>
  points.map((point) => {
    const of = (name: string) =>
      results.find((one) => one.contender === name && one.rows === point.rows && one.workers === point.workers)!
    const [own, theirs] = [of(ours.name), of(connector.name)]
    const ratio = (value: (measured: Measured) => number) => (value(own) / value(theirs)).toFixed(2)
    return [
      String(point.workers),
      String(point.rows),
      ratio((one) => one.attemptsPerCommit),
      ratio((one) => one.millisPerCommit),
      ratio((one) => one.p50),
      ratio((one) => one.p99)
    ]
  })

export const confirmation = ({ duration, machine, results, rounds }: Measurement, shown: ReadonlyArray<Summary>) =>
  `## Confirmed on the local cluster

The same work in real time, with real clients: \`DsqlTransaction.withRetry()\` with its defaults, and \`pool.transaction()\` of
\`@aws/aurora-dsql-node-postgres-connector\` 0.1.9 with its own. Both have a connection for each worker, and meet the same rows.
Workers begin transactions for ${duration / 1000} seconds, ${rounds} rounds each, the two in turn; counts are sums, the rest medians.
After each run the rows must have counted exactly what was committed, or it fails.

![Attempts per commit and losses, measured and simulated](contention-measured.svg)

${table(
  ["Workers", "Rows", "Client", "Committed", "Given up", "Lost", "Lost, simulated", "Attempts per commit", "Simulated"],
  results.map((one) => {
    const simulated = simulatedOf(one, shown)
    return [
      String(one.workers),
      String(one.rows),
      one.contender,
      String(one.committed),
      String(one.givenUp),
      percent(lostOf(one)),
      percent(simulated.lost),
      one.attemptsPerCommit.toFixed(2),
      simulated.attemptsPerCommit.toFixed(2)
    ]
  })
)}

Ours relative to AWS's connector. Time for a commit is that of all workers together. Who gives up has short latencies: only
those of committed transactions count, and those that would have taken long are not among them.

${table(["Workers", "Rows", "Attempts per commit", "Time for a commit", "p50", "p99"], ratios(results))}

Ours gives up nothing, and pays for it in waiting: at one row a transaction that has lost several times waits up to 100 ms, while
theirs has given up by then. Where nobody conflicts, the difference is what the clients themselves cost on a machine whose
cores have no time to spare.

Client, gateway and PostgreSQL share one machine here, so that a round trip takes longer the more workers there are, and a
COMMIT takes hardly longer than another statement. Absolute times say nothing about the service and are left out. Measured with
\`npm run bench:contention -- --local\` on ${inWords(machine)}.`
