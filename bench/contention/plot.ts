import { lostOf, simulatedOf } from "./confirmation.js"
import { type Measurement, points } from "./local.js"
import type { Summary } from "./summary.js"

const colours = ["#0b6e4f", "#c1121f", "#e07a1f", "#5a5a5a", "#3a5ba0"]
const width = 300
const height = 220
const margin = { left: 56, top: 40, right: 16, bottom: 40 }

interface Panel {
  readonly title: string
  readonly value: (summary: Summary) => number
  readonly ticks: ReadonlyArray<number>
  readonly label: (tick: number) => string
  readonly scale: (value: number) => number
}

const panels: ReadonlyArray<Panel> = [
  {
    title: "attempts per commit",
    value: (summary) => summary.attemptsPerCommit,
    ticks: [1, 2, 5, 10, 20, 50],
    label: String,
    scale: Math.log
  },
  {
    title: "p99 latency of commits, ms",
    value: (summary) => summary.p99,
    ticks: [20, 50, 100, 500, 1000, 5000],
    label: String,
    scale: Math.log
  },
  {
    title: "transactions lost",
    value: (summary) => summary.lost,
    ticks: [0, 0.25, 0.5, 0.75, 1],
    label: (tick) => `${tick * 100} %`,
    scale: (value) => value
  }
]

/** Lines over the number of workers, one per policy, a panel for each measure. */
export const plot = (summaries: ReadonlyArray<Summary>): string => {
  const policies = [...new Set(summaries.map(({ policy }) => policy))]
  const workers = [...new Set(summaries.map((summary) => summary.workers))].sort((a, b) => a - b)
  const colourOf = (policy: string): string => colours[policies.indexOf(policy) % colours.length]!
  const xOf = (count: number): number =>
    margin.left + (Math.log2(count) / Math.log2(workers[workers.length - 1]!)) * (width - margin.left - margin.right)

  const drawn = panels.map((panel, index) => {
    const low = panel.scale(panel.ticks[0]!)
    const high = panel.scale(panel.ticks[panel.ticks.length - 1]!)
    const yOf = (value: number): number =>
      height - margin.bottom - ((panel.scale(value) - low) / (high - low)) * (height - margin.top - margin.bottom)
    const grid = panel.ticks.map((tick) => {
      const y = yOf(tick).toFixed(1)
      return `<line x1="${margin.left}" x2="${width - margin.right}" y1="${y}" y2="${y}" stroke="#ddd"/><text x="${margin.left - 6}" y="${y}" dy="4" text-anchor="end">${panel.label(tick)}</text>`
    })
    const axis = workers.map(
      (count) =>
        `<text x="${xOf(count).toFixed(1)}" y="${height - margin.bottom + 16}" text-anchor="middle">${count}</text>`
    )
    const lines = policies.map((policy) => {
      const points = workers.flatMap((count) => {
        const summary = summaries.find((one) => one.policy === policy && one.workers === count)
        return summary === undefined ? [] : [`${xOf(count).toFixed(1)},${yOf(panel.value(summary)).toFixed(1)}`]
      })
      return `<polyline fill="none" stroke-width="2" stroke="${colourOf(policy)}" points="${points.join(" ")}"/>`
    })
    const title = `<text x="${margin.left}" y="${margin.top - 16}" font-weight="bold">${panel.title}</text>`
    const under = `<text x="${(margin.left + width - margin.right) / 2}" y="${height - 6}" text-anchor="middle">workers</text>`
    return `<g transform="translate(${index * width} 0)">${[title, ...grid, ...axis, under, ...lines].join("\n")}</g>`
  })
  const legend = policies.map(
    (policy, index) =>
      `<g transform="translate(${margin.left + (index % 3) * width} ${height + 14 + Math.floor(index / 3) * 20})"><line x2="20" stroke-width="3" stroke="${colourOf(policy)}"/><text x="26" dy="4">${policy}</text></g>`
  )
  const size = `${panels.length * width} ${height + 50}`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n${[...drawn, ...legend].join("\n")}\n</svg>\n`
}

/** Bars for what was measured, one per client at each point, and a line where the simulation has it. */
export const plotMeasured = ({ results }: Measurement, shown: ReadonlyArray<Summary>): string => {
  const wide = 450
  const contenders = [...new Set(results.map(({ contender }) => contender))]
  const plotWidth = wide - margin.left - margin.right
  const measures = [
    { panel: panels[0]!, of: (one: (typeof results)[number]) => one.attemptsPerCommit },
    { panel: panels[2]!, of: lostOf }
  ]
  const drawn = measures.map(({ of, panel }, index) => {
    const low = panel.scale(panel.ticks[0]!)
    const high = panel.scale(panel.ticks[panel.ticks.length - 1]!)
    const bottom = height - margin.bottom
    const yOf = (value: number): number =>
      bottom - ((panel.scale(value) - low) / (high - low)) * (height - margin.top - margin.bottom)
    const grid = panel.ticks.map((tick) => {
      const y = yOf(tick).toFixed(1)
      return `<line x1="${margin.left}" x2="${wide - margin.right}" y1="${y}" y2="${y}" stroke="#ddd"/><text x="${margin.left - 6}" y="${y}" dy="4" text-anchor="end">${panel.label(tick)}</text>`
    })
    const groups = points.map((point, place) => {
      const left = margin.left + (place / points.length) * plotWidth
      const bar = plotWidth / points.length / 3
      const bars = contenders.map((contender, client) => {
        const one = results.find(
          ({ contender: name, rows, workers }) => name === contender && rows === point.rows && workers === point.workers
        )!
        const x = left + bar * (client + 0.5)
        const [y, simulated] = [yOf(of(one)), yOf(panel.value(simulatedOf(one, shown)))]
        return `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${bar.toFixed(1)}" height="${(bottom - y).toFixed(1)}" fill="${colours[client]!}" fill-opacity="0.8"/><line x1="${x.toFixed(1)}" x2="${(x + bar).toFixed(1)}" y1="${simulated.toFixed(1)}" y2="${simulated.toFixed(1)}" stroke="black" stroke-width="2"/>`
      })
      const label = `<text x="${(left + bar * 1.5).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${point.workers} / ${point.rows}</text>`
      return [...bars, label].join("\n")
    })
    const title = `<text x="${margin.left}" y="${margin.top - 16}" font-weight="bold">${panel.title}</text>`
    const under = `<text x="${margin.left + plotWidth / 2}" y="${height - 6}" text-anchor="middle">workers / rows</text>`
    return `<g transform="translate(${index * wide} 0)">${[title, ...grid, under, ...groups].join("\n")}</g>`
  })
  const keys = [...contenders, "simulated"].map((name, client) => {
    const colour = name === "simulated" ? "black" : colours[client]!
    return `<g transform="translate(${margin.left + client * 150} ${height + 14})"><line x2="20" stroke-width="${name === "simulated" ? 2 : 8}" stroke="${colour}"/><text x="26" dy="4">${name}</text></g>`
  })
  const size = `${measures.length * wide} ${height + 30}`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n${[...drawn, ...keys].join("\n")}\n</svg>\n`
}
