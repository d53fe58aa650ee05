import { type Policy, type Setting, simulate } from "./simulation.js"

/** What a policy came to in one setting. */
export interface Summary {
  readonly policy: string
  readonly workers: number
  readonly rows: number
  readonly commitsPerSecond: number
  readonly attemptsPerCommit: number
  /** Milliseconds, of the transactions that were committed. */
  readonly p50: number
  readonly p99: number
  /** The part of the transactions that was given up. */
  readonly lost: number
}

const quantile = (sorted: ReadonlyArray<number>, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN

export const summarise = (policy: Policy, setting: Omit<Setting, "seed">, seeds: ReadonlyArray<number>): Summary => {
  const runs = seeds.map((seed) => simulate(policy, { ...setting, seed }))
  const sum = (of: (run: (typeof runs)[number]) => number): number => runs.reduce((total, run) => total + of(run), 0)
  const committed = sum((run) => run.committed)
  const latencies = runs.flatMap((run) => run.latencies).sort((a, b) => a - b)
  return {
    policy: policy.name,
    workers: setting.workers,
    rows: setting.rows,
    commitsPerSecond: (1000 * committed) / sum((run) => run.elapsed),
    attemptsPerCommit: sum((run) => run.attempts) / committed,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    lost: sum((run) => run.givenUp) / (committed + sum((run) => run.givenUp))
  }
}

/** What is paid for a commit, times what the unlucky wait for it. */
const cost = ({ attemptsPerCommit, p99 }: Summary): number => attemptsPerCommit * p99

/** How many attempts a commit may take at the most contended point. */
export const mostAttempts = 10

/**
 * Ranks policies by how far they are from the best where they are worst: by the largest cost in any setting, relative to
 * the cheapest policy there. Those that lose transactions, or run one more than {@link mostAttempts} times on average, do
 * not take part.
 */
export const rank = (
  policies: ReadonlyArray<ReadonlyArray<Summary>>
): ReadonlyArray<{ readonly policy: string; readonly worst: number }> => {
  const eligible = policies.filter((own) =>
    own.every(({ attemptsPerCommit, lost }) => lost === 0 && attemptsPerCommit <= mostAttempts)
  )
  const cheapest = (setting: number): number => Math.min(...eligible.map((own) => cost(own[setting]!)))
  return eligible
    .map((own) => ({
      policy: own[0]!.policy,
      worst: Math.max(...own.map((summary, setting) => cost(summary) / cheapest(setting)))
    }))
    .sort((a, b) => a.worst - b.worst)
}
