/**
 * Chooses the defaults of `DsqlTransaction.withRetry`, and writes docs/contention.md and its plots. With `--local` it also
 * measures anew what is confirmed on the local cluster. With `--quick` it takes a fraction of the time and only prints.
 */
import * as Duration from "effect/Duration"
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { format } from "prettier"
import { defaults } from "../../src/internal/retryDefaults.js"
import { table } from "../support/statistics.js"
import { confirmation } from "./confirmation.js"
import { measure, type Measurement } from "./local.js"
import { plot, plotMeasured } from "./plot.js"
import { atOnce, candidates, connectorDefault, connectorMost, fullJitter } from "./policies.js"
import { latency } from "./simulation.js"
import { mostAttempts, rank, summarise } from "./summary.js"

const quick = process.argv.includes("--quick")
const measuring = process.argv.includes("--local")
const docs = fileURLToPath(new URL("../../docs", import.meta.url))
const file = fileURLToPath(new URL("measured.json", import.meta.url))
const seeds = quick ? [1] : [1, 2, 3]
const duration = quick ? 3_000 : 20_000
const workers = [1, 2, 4, 8, 16, 32, 64]
const rows = [1, 10, 1000]

const settings = workers.flatMap((count) => rows.map((hot) => ({ workers: count, rows: hot, duration })))
const ours = fullJitter(Duration.toMillis(defaults.base), Duration.toMillis(defaults.cap))
const others = [connectorDefault, connectorMost, atOnce]
const all = [...candidates, ...others].map((policy) => ({
  policy,
  summaries: settings.map((setting) => summarise(policy, setting, seeds))
}))
const ranking = rank(all.map((one) => one.summaries))
const shown = [ours, ...others].flatMap(({ name }) => all.find(({ policy }) => policy.name === name)?.summaries ?? [])

const measured: Measurement = measuring
  ? await (quick ? measure(1, 500) : measure(5, 3_000))
  : (JSON.parse(readFileSync(file, "utf8")) as Measurement)

const report = `# How the defaults of \`withRetry\` were chosen

<!-- Written by "npm run bench:contention". -->

Workers read a row and write it back, one transaction after the other, without a pause. A store decides as DSQL does: at
COMMIT, for the first to commit. The last chapter has the same for real. Here time is simulated and chance is seeded (${seeds.length} seeds, ${duration / 1000} simulated
seconds each), so the figures are the same on every machine. What they rest on is assumed, not measured on the service: a
round trip of ${latency.roundTrip} ms and a COMMIT of ${latency.commit} ms, each with an exponential tail of
${latency.roundTripTail} and ${latency.commitTail} ms. Real contention differs; the proportions are what this is for.

## The choice

Capped exponential backoff with full jitter, with each pair of base (1 to 50 ms) and cap (50 ms to 5 s). The cost of a policy
is attempts per commit (what is paid) times the 99th percentile of latency (what the unlucky wait). A policy is as good as
its worst setting, measured against the cheapest policy there. Policies that lose transactions do not take part, nor those
that run one more than ${mostAttempts} times on average.

${table(
  ["Policy", "Cost in its worst setting, relative to the cheapest there"],
  ranking
    .slice(0, 8)
    .map(({ policy, worst }) => [policy === ours.name ? `**${policy}** (default)` : policy, worst.toFixed(2)])
)}

## Side by side

![Attempts per commit, latency and losses on one hot row](contention.svg)

On one row (above) and in figures. \`lost\` is the part of transactions that was given up; latencies are those of committed
transactions only, which flatters who gives up early.

${table(
  ["Workers", "Rows", "Policy", "Commits/s", "Attempts per commit", "p50 ms", "p99 ms", "Lost"],
  settings
    .filter((setting) => [1, 4, 16, 64].includes(setting.workers))
    .flatMap((setting) => shown.filter((one) => one.workers === setting.workers && one.rows === setting.rows))
    .map((one) => [
      String(one.workers),
      String(one.rows),
      one.policy,
      one.commitsPerSecond.toFixed(0),
      one.attemptsPerCommit.toFixed(2),
      one.p50.toFixed(0),
      one.p99.toFixed(0),
      `${(100 * one.lost).toFixed(1)} %`
    ])
)}

${confirmation(measured, shown)}
`

console.log(report)
if (!quick) {
  if (measuring) writeFileSync(file, await format(JSON.stringify(measured), { parser: "json", printWidth: 120 }))
  writeFileSync(`${docs}/contention.md`, await format(report, { parser: "markdown", proseWrap: "preserve" }))
  writeFileSync(`${docs}/contention.svg`, plot(shown.filter((summary) => summary.rows === 1)))
  writeFileSync(`${docs}/contention-measured.svg`, plotMeasured(measured, shown))
}
if (ranking[0]?.policy !== ours.name) {
  console.error(`The best is ${ranking[0]?.policy}, the default is ${ours.name}.`)
  if (!quick) process.exitCode = 1
}
