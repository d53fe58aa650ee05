/** What is measured of each contender. */
import type { LocalAccess } from "effect-dsql/Local"
import type { Client, Contender, Job } from "./contender.js"
import { quantile } from "./support/statistics.js"

/** How long it takes: the whole, or a part that shows whether everything works. */
export interface Pace {
  /** Milliseconds. */
  readonly warmUp: number
  readonly duration: number
  readonly streamedRows: number
}

export interface Metric {
  readonly name: string
  readonly unit: string
  readonly better: "more" | "less"
}

export type Metrics = Readonly<Record<string, number>>

/** Where the network and the credentials take their time, in milliseconds one way and in all. */
export interface Circumstances {
  readonly network?: number
  readonly credentials?: number
}

export interface Place {
  /** Where credentials come from if they take their time. */
  readonly container?: string | undefined
  readonly access: LocalAccess
  readonly circumstances: Circumstances
  readonly pace: Pace
}

export interface Workload {
  readonly name: string
  readonly title: string
  /** The first is the one that ratios are of, in the plot too. */
  readonly metrics: readonly [Metric, ...Array<Metric>]
  readonly circumstances: ReadonlyArray<Circumstances>
  readonly takesPart: (contender: Contender) => boolean
  /** Where it runs: in a process of its own with the contender in it, or in the runner, which starts what it measures. */
  readonly runsIn: "process" | "runner"
  readonly measure: (contender: Contender, place: Place) => Promise<Metrics>
}

export const callers = 32
export const connections = 10
/** As many as there are in the table, less what a hundred from the last would lack. */
export const rows = 10_000

/** Runs a client, and ends it. */
export const using = async <A>(client: Promise<Client>, use: (client: Client) => Promise<A>): Promise<A> => {
  const open = await client
  try {
    return await use(open)
  } finally {
    await open.close()
  }
}

/** Callers have rows of their own, so that no transaction loses to another. */
const rowFor = (caller: number): number => {
  const share = Math.floor((rows - 200) / callers)
  return 1 + caller * share + Math.floor(Math.random() * (share - 1))
}

export const throughput: readonly [Metric, ...Array<Metric>] = [
  { name: "perSecond", unit: "per second", better: "more" },
  { name: "cpu", unit: "µs of CPU", better: "less" },
  { name: "p50", unit: "ms, p50", better: "less" },
  { name: "p99", unit: "ms, p99", better: "less" }
]

/** Repeats a job with all callers, after a warm-up. */
export const repeated = async (client: Client, job: Job, { duration, warmUp }: Pace): Promise<Metrics> => {
  await client.openAll()
  await client.repeat({ job, callers, milliseconds: warmUp, rowFor })
  const [cpu, began] = [process.cpuUsage(), performance.now()]
  const latencies = await client.repeat({ job, callers, milliseconds: duration, rowFor })
  const elapsed = performance.now() - began
  const { system, user } = process.cpuUsage(cpu)
  return {
    perSecond: (1000 * latencies.length) / elapsed,
    cpu: (user + system) / latencies.length,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99)
  }
}
