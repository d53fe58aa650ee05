/**
 * Runs every probe and prints how many agree with what was recorded, by group, and in what the others differ. Against the
 * local cluster, or the real one that DSQL_LIVE_HOST names. `npm run conformance -- words` runs those with one of the words
 * in their id.
 */
import { differences } from "./differences.js"
import { type Probe, probes } from "./probes.js"
import { protocolsOf, Runner } from "./run.js"
import { liveTarget, localTarget } from "./targets.js"

const words = process.argv.slice(2)
const chosen = probes.filter(({ id }) => words.length === 0 || words.some((word) => id.includes(word)))

const host = process.env["DSQL_LIVE_HOST"]
const target = await (host === undefined ? localTarget() : liveTarget(host))

interface Outcome {
  readonly probe: Probe
  readonly differs: ReadonlyArray<string>
}

const runner = new Runner(target)
const outcomes: Array<Outcome> = []
try {
  for (const probe of chosen) {
    const differs: Array<string> = []
    for (const protocol of protocolsOf(probe)) {
      const difference = await runner.run(probe, protocol)
      if (difference !== undefined) differs.push(`${protocol}: ${difference}`)
    }
    outcomes.push({ probe, differs })
  }
} finally {
  await target.close()
}

console.log(`${chosen.length} probes on ${target.name}\n`)
console.log("group".padEnd(18) + ["agree", "differ", "not enforced"].map((title) => title.padStart(14)).join(""))
const groups = [...new Set(chosen.map(({ group }) => group))]
for (const group of [...groups, undefined]) {
  const ofGroup = outcomes.filter(({ probe }) => group === undefined || probe.group === group)
  const agree = ofGroup.filter(({ differs }) => differs.length === 0).length
  const notEnforced = ofGroup.filter(({ probe, differs }) => probe.recordOnly === true && differs.length > 0).length
  const counts = [agree, ofGroup.length - agree - notEnforced, notEnforced]
  console.log((group ?? "all").padEnd(18) + counts.map((count) => String(count).padStart(14)).join(""))
}
for (const { differs, probe } of outcomes) {
  const reason = differences[probe.id]
  if (differs.length === 0 && (reason === undefined || host !== undefined)) continue
  console.log(`\n${probe.id}${reason === undefined ? "" : ` (listed: ${reason})`}`)
  for (const line of differs) console.log(`  ${line}`)
  if (differs.length === 0) console.log("  agrees although it is listed")
}
const unexpected = outcomes.filter(({ differs, probe }) => differs.length > 0 !== (differences[probe.id] !== undefined))
if (unexpected.length > 0) process.exitCode = 1
