/** Programs with a local cluster that die in every way, and what they leave behind. */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { startCluster } from "../../src/local/cluster.js"
import { eventually, withClient } from "../local/support.js"
import { startVitest } from "./nestedVitest.js"
import { type Program, startProgram } from "./program.js"
import { seeded } from "./random.js"

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** How a program dies. Ctrl-C is SIGINT for all processes of its group, as from a terminal. */
const ways = ["SIGKILL", "SIGTERM", "Ctrl-C", "throw", "exit", "stop"] as const
type Way = (typeof ways)[number]

/** When: while PostgreSQL starts, as soon as the cluster is there, or with clients at work. */
const moments = ["starting", "ready", "working"] as const

export interface Death {
  readonly way: Way | "crash in a test" | "Ctrl-C in a test" | "Ctrl-C in the command"
  readonly moment: (typeof moments)[number]
  /** Milliseconds after the moment. */
  readonly after: number
  readonly keepsData: boolean
}

/** As many deaths as wanted, of all kinds in turn, at moments that the seed decides. */
export const deathsFrom = (seed: number, count: number): ReadonlyArray<Death> => {
  const random = seeded(seed)
  const all = [...ways, "crash in a test", "Ctrl-C in a test", "Ctrl-C in the command"] as const
  return Array.from({ length: count }, (_, n) => {
    const way = all[n % all.length]!
    const ofProgram = ways.some((known) => known === way)
    // What is told by standard input, or happens in a test, comes when the cluster is there.
    const earliest = ofProgram && !["throw", "exit", "stop"].includes(way) ? 0 : 1
    const moment = moments[earliest + Math.floor(random() * (moments.length - earliest))]!
    return {
      way,
      moment: ofProgram ? moment : "working",
      after: Math.floor(random() * 300),
      keepsData: ofProgram && random() < 0.3
    }
  })
}

const start = ({ way }: Death, environment: Readonly<Record<string, string | undefined>>): Program => {
  const inGroup = { detached: true }
  switch (way) {
    case "crash in a test":
    case "Ctrl-C in a test":
      return startVitest(
        path("../local/kills/vitest.config.ts"),
        { DEATH: way === "Ctrl-C in a test" ? "wait" : "kill" },
        inGroup
      )
    case "Ctrl-C in the command":
      return startProgram([path("../../src/cli/main.ts"), "local"], environment, inGroup)
    default:
      return startProgram([path("../local/kills/victim.ts")], environment, inGroup)
  }
}

const kill = (program: Program, way: Death["way"]): void => {
  switch (way) {
    case "SIGKILL":
    case "SIGTERM":
      return program.signal(way)
    case "throw":
    case "exit":
    case "stop":
      return program.tell(way)
    case "crash in a test":
      return
    default:
      return program.signalGroup("SIGINT")
  }
}

/** The process id of the PostgreSQL that a program has started, if it has come so far. */
const postmasterOf = (program: Program, data: string | undefined): string | undefined => {
  const run = readdirSync(program.folder).find((name) => name.startsWith("effect-dsql-"))
  const home = data === undefined ? join(program.folder, run ?? "") : join(data, "postgres")
  const file = join(home, "data/postmaster.pid")
  return existsSync(file) ? readFileSync(file, "utf8").split("\n")[0] : undefined
}

/** The segments of shared memory that a process has made, where the system tells. */
const segmentsOf = (pid: string): number => {
  const list = "/proc/sysvipc/shm"
  if (!existsSync(list)) return 0
  return readFileSync(list, "utf8")
    .split("\n")
    .filter((line) => line.trim().split(/\s+/)[4] === pid).length
}

/** Has a program die, and resolves when nothing of it is left, within ten seconds. Gives how many milliseconds that took. */
export const die = async (death: Death): Promise<number> => {
  const { after, keepsData, moment, way } = death
  const data = keepsData ? mkdtempSync(join(tmpdir(), "dsql kept ")) : undefined
  if (data !== undefined) chmodSync(data, 0o755)
  const program = start(death, { DATA: data })
  try {
    await program.printed(way === "Ctrl-C in the command" ? /PGPASSWORD/ : new RegExp(`^${moment}$`, "m"))
    await delay(after)
    const postmaster = postmasterOf(program, data)
    kill(program, way)
    await program.exited
    const died = performance.now()
    // Vitest itself leaves a folder when it is interrupted.
    const ours = () => program.leftovers().filter((name) => !/^[\w-]{21}$/.test(name))
    const left = () => [...ours(), ...(postmaster === undefined ? [] : Array(segmentsOf(postmaster)))]
    await eventually(() => left().length === 0).catch(() => {
      throw new Error(`${JSON.stringify(death)} left ${left().join("\n")}\n${program.errors()}`)
    })
    const millis = performance.now() - died
    if (data !== undefined) {
      const cluster = await startCluster({ data })
      await withClient(cluster, (client) => client.query("SELECT 1"))
      await cluster.stop()
    }
    return millis
  } finally {
    program.cleanUp()
    if (data !== undefined) rmSync(data, { recursive: true, force: true })
  }
}
