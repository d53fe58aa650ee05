/** Has all contenders do all work, in turn, round after round. */
import type { LocalAccess } from "effect-dsql/Local"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Contender } from "./contender.js"
import { withContainer, withLatency } from "./support/cluster.js"
import type { Circumstances, Metrics, Pace, Place, Workload } from "./workload.js"

/** A workload under certain circumstances, and what each contender came to in each round. */
export interface Series {
  readonly workload: string
  readonly circumstances: Circumstances
  readonly results: ReadonlyArray<{ readonly contender: string; readonly rounds: ReadonlyArray<Metrics> }>
}

const child = fileURLToPath(new URL("child.ts", import.meta.url))

const measureOne = async (
  workload: Workload,
  contender: Contender,
  access: LocalAccess,
  circumstances: Circumstances,
  pace: Pace
): Promise<Metrics> => {
  const { credentials, network = 0 } = circumstances
  return withLatency(access, network, (access) => {
    const measure = (container?: string) => measureAt(workload, contender, { access, circumstances, pace, container })
    return credentials === undefined ? measure() : withContainer(access, credentials, measure)
  })
}

const measureAt = async (workload: Workload, contender: Contender, place: Place): Promise<Metrics> => {
  if (workload.runsIn === "runner") return workload.measure(contender, place)
  const args = ["--expose-gc", "--import", "tsx", child, workload.name, contender.name, JSON.stringify(place)]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 120_000 })
  return JSON.parse(stdout) as Metrics
}

/**
 * The order of contenders is another in each round, so that nobody always comes after the same one. What a machine does beside
 * strikes all alike then.
 */
export const playRounds = async (
  access: LocalAccess,
  workloads: ReadonlyArray<Workload>,
  contenders: ReadonlyArray<Contender>,
  rounds: number,
  pace: Pace
): Promise<ReadonlyArray<Series>> => {
  const cases = workloads.flatMap((workload) =>
    workload.circumstances.map((circumstances) => ({
      workload,
      circumstances,
      results: contenders.filter(workload.takesPart).map((contender) => ({ contender, rounds: [] as Array<Metrics> }))
    }))
  )
  for (let round = 0; round < rounds; round++) {
    for (const { circumstances, results, workload } of cases) {
      for (let turn = 0; turn < results.length; turn++) {
        const { contender, rounds } = results[(turn + round) % results.length]!
        const metrics = await measureOne(workload, contender, access, circumstances, pace)
        rounds.push(metrics)
        const [first] = workload.metrics
        const place = JSON.stringify(circumstances)
        console.error(
          `round ${round + 1}, ${workload.name} ${place}, ${contender.name}: ${metrics[first.name]!.toFixed(1)} ${first.unit}`
        )
      }
    }
  }
  return cases.map(({ circumstances, results, workload }) => ({
    workload: workload.name,
    circumstances,
    results: results.map(({ contender, rounds }) => ({ contender: contender.name, rounds }))
  }))
}
