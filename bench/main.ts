/**
 * Measures ours beside what one would use instead, and writes tables, figures and a plot to bench/results. `--quick` ends
 * within two minutes, for who wants to see whether it runs; `--only name,name` takes some of the workloads; `--rounds n`;
 * `--docs` writes the tables and the plot of the documentation as well.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { format } from "prettier"
import { withClient } from "./contention/contenders.js"
import { contenders } from "./contenders/all.js"
import { plot } from "./plot.js"
import { report } from "./report.js"
import { playRounds } from "./rounds.js"
import { withCluster } from "./support/cluster.js"
import { describeMachine } from "./support/machine.js"
import { type Pace, rows } from "./workload.js"
import { workloads } from "./workloads/all.js"
import { buildColdStarts, coldStarts, removeColdStarts } from "./workloads/coldStart.js"

const { values } = parseArgs({
  options: {
    quick: { type: "boolean" },
    only: { type: "string" },
    rounds: { type: "string" },
    docs: { type: "boolean" }
  }
})
const quick = values.quick === true
const pace: Pace = quick
  ? { warmUp: 100, duration: 200, streamedRows: 20_000 }
  : { warmUp: 1_000, duration: 1_500, streamedRows: 100_000 }
const rounds = Number(values.rounds ?? (quick ? 1 : 9))

const wanted = values.only?.split(",") ?? workloads.map(({ name }) => name)
const unknown = wanted.filter((name) => !workloads.some((workload) => workload.name === name))
if (unknown.length > 0) throw new Error(`there is no workload ${unknown.join(", ")}`)
const chosen = workloads.filter(({ name }) => wanted.includes(name))

const machine = describeMachine()
if (chosen.some((workload) => coldStarts.includes(workload))) await buildColdStarts()
// What is measured is the clients: the server does as little beside as it can, and takes tables of any size.
const series = await withCluster({ conflicts: "postgres", rules: "off" }, async (access) => {
  await withClient(access, async (client) => {
    await client.query("CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, n int NOT NULL)")
    await client.query("INSERT INTO item SELECT i, 'item ' || i, 0 FROM generate_series(1, $1::int) AS i", [rows])
    await client.query("ANALYZE item")
  })
  return playRounds(access, chosen, contenders, rounds, pace)
}).finally(removeColdStarts)

const measurement = { machine, rounds, series }
const pathTo = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
mkdirSync(pathTo("results"), { recursive: true })
writeFileSync(pathTo("results/latest.json"), JSON.stringify(measurement, undefined, 2))
writeFileSync(pathTo("results/latest.svg"), plot(measurement, chosen))
writeFileSync(pathTo("results/latest.md"), report(measurement, chosen))
if (values.docs === true) {
  copyFileSync(pathTo("results/latest.svg"), pathTo("../docs/performance.svg"))
  const tables = await format(report(measurement, chosen), { parser: "markdown", proseWrap: "preserve" })
  writeFileSync(pathTo("../docs/performance-tables.md"), tables)
}
console.log(report(measurement, chosen))
