import { type Measurement, ratioOf, titleOf } from "./report.js"
import type { Workload } from "./workload.js"

const colours = ["#9a9a9a", "#5a5a5a", "#3a5ba0", "#e07a1f", "#c1121f", "#0b6e4f"]
const left = 360
const width = 900
const bar = 12

/** Bars for the first metric of each workload, relative to the first client, which is the line at 1. */
export const plot = ({ series }: Measurement, workloads: ReadonlyArray<Workload>): string => {
  const names = [...new Set(series.flatMap(({ results }) => results.map(({ contender }) => contender)))]
  const drawn: Array<string> = []
  const xOf = (ratio: number): number => left + (Math.min(ratio, 4) / 4) * (width - left - 60)
  let y = 50
  for (const one of series.filter(({ results }) => results.length > 1)) {
    const workload = workloads.find(({ name }) => name === one.workload)!
    const [metric] = workload.metrics
    const middle = y + (one.results.length * bar) / 2
    drawn.push(
      `<text x="${left - 8}" y="${middle}" text-anchor="end">${titleOf(workload, one.circumstances)}</text>`,
      `<text x="${left - 8}" y="${middle + 13}" text-anchor="end" fill="#777">${metric.unit}; ${metric.better} is better</text>`
    )
    for (const [place, { contender }] of one.results.entries()) {
      const ratio = ratioOf(one, place, 0, metric)
      drawn.push(
        `<rect x="${left}" y="${y}" width="${(xOf(ratio) - left).toFixed(1)}" height="${bar - 2}" fill="${colours[names.indexOf(contender) % colours.length]}"/>`,
        `<text x="${(xOf(ratio) + 4).toFixed(1)}" y="${y + bar - 3}">${ratio.toFixed(2)} ×</text>`
      )
      y += bar
    }
    y += 2 * bar
  }
  const keys = names.map(
    (name, place) =>
      `<g transform="translate(${20 + place * 145} 20)"><rect width="12" height="12" fill="${colours[place % colours.length]}"/><text x="18" y="10">${name}</text></g>`
  )
  const line = `<line x1="${xOf(1)}" x2="${xOf(1)}" y1="44" y2="${y}" stroke="#bbb"/>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n${[line, ...keys, ...drawn].join("\n")}\n</svg>\n`
}
