/** Medians and ratios of what was measured, as a table and as a plot. */
import { ours } from "./contenders/all.js"
import type { Series } from "./rounds.js"
import { inWords, type Machine } from "./support/machine.js"
import { median, table } from "./support/statistics.js"
import type { Circumstances, Metric, Workload } from "./workload.js"

export interface Measurement {
  readonly machine: Machine
  readonly rounds: number
  readonly series: ReadonlyArray<Series>
}

const circumstancesInWords = ({ credentials, network }: Circumstances): string =>
  [
    network === undefined ? [] : [`network ${network} ms each way`],
    credentials === undefined ? [] : [`credentials ${credentials} ms`]
  ]
    .flat()
    .map((words) => `, ${words}`)
    .join("")

export const titleOf = ({ title }: Workload, circumstances: Circumstances): string =>
  title + circumstancesInWords(circumstances)

const round = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

/** The median of the ratios of single rounds: what disturbed a round has disturbed both sides of it. */
export const ratioOf = ({ results }: Series, contender: number, base: number, metric: Metric): number =>
  median(
    results[contender]!.rounds.map(
      (metrics, round) => metrics[metric.name]! / results[base]!.rounds[round]![metric.name]!
    )
  )

const section = (series: Series, workload: Workload): string => {
  const { circumstances, results } = series
  const [first] = workload.metrics
  const [base] = results
  const header = ["Client", ...workload.metrics.map(({ unit }) => unit), `to ${base!.contender}`]
  const lines = results.map(({ contender, rounds }, place) => [
    contender,
    ...workload.metrics.map(({ name }) => round(median(rounds.map((metrics) => metrics[name]!)))),
    `${ratioOf(series, place, 0, first).toFixed(2)} ×`
  ])
  return `## ${titleOf(workload, circumstances)}\n\n${table(header, lines)}`
}

/** Ours to each of the others, by what a workload is about and by CPU. */
const comparison = (all: ReadonlyArray<Series>, workloads: ReadonlyArray<Workload>): string => {
  const series = all.filter(({ results }) => results.length > 1)
  const others = [...new Set(series.flatMap(({ results }) => results.map(({ contender }) => contender)))].filter(
    (name) => name !== ours.name
  )
  const lines = series.flatMap((one) => {
    const workload = workloads.find(({ name }) => name === one.workload)!
    const place = (name: string): number => one.results.findIndex(({ contender }) => contender === name)
    return workload.metrics
      .filter(({ name }, index) => index === 0 || name === "cpu")
      .map((metric) => [
        titleOf(workload, one.circumstances),
        metric.unit,
        ...others.map((name) =>
          place(name) === -1 ? "" : `${ratioOf(one, place(ours.name), place(name), metric).toFixed(2)} ×`
        )
      ])
  })
  return `## ${ours.name} to each of the others\n\n${table(["", "", ...others], lines)}`
}

export const report = (
  { machine, rounds, series }: Measurement,
  workloads: ReadonlyArray<Workload>
): string => `# Performance, in tables

<!-- Written by "npm run bench -- --docs". -->

Each client in a process of its own, one after the other, ${rounds} rounds in an order that turns round; 32 callers on 10 connections
where nothing else is said, fibers of one runtime for clients of Effect and async functions for the others. Medians of all
rounds; a ratio is the median of those of single rounds, of the first column. A local cluster over TLS on the same machine:
${inWords(machine)}. They show the proportions, not the truth of your machine.

${comparison(series, workloads)}

${series
  .map((one) =>
    section(
      one,
      workloads.find(({ name }) => name === one.workload)!
    )
  )
  .join("\n\n")}
`
