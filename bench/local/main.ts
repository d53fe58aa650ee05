/**
 * Measures what a local cluster costs a test: the first query with an empty cache and with a full one, and a reset. Fails
 * when a median is longer than this project promises. Each start is a process of its own.
 */
import { execFile } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { promisify } from "node:util"
import { startCluster } from "../../src/local/cluster.js"
import { withClient } from "../../test/local/support.js"

const runs = 11

/** The most a median may be, in milliseconds, on a machine with two cores. */
const promised = { cold: 8_000, warm: 1_500, reset: 500 }

interface Start {
  readonly start: number
  readonly process: number
}

const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
const program = fileURLToPath(new URL("start.ts", import.meta.url))

/** Root's cache is the system's, so root measures as `nobody`, who has one of its own. */
const ids = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

const start = async (folder: string): Promise<Start> => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", tsx, program], {
    env: { ...process.env, XDG_CACHE_HOME: folder, TMPDIR: folder },
    ...ids
  })
  return JSON.parse(stdout) as Start
}

/** Gives `use` an empty folder that is gone afterwards. */
const withFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "dsql-bench-"))
  chmodSync(folder, 0o1777)
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const times = async <A>(run: () => Promise<A>): Promise<ReadonlyArray<A>> => {
  const results: Array<A> = []
  for (let n = 0; n < runs; n++) results.push(await run())
  return results
}

const resets = async (): Promise<ReadonlyArray<number>> => {
  const cluster = await startCluster()
  const results = await times(async () => {
    await withClient(cluster, (client) =>
      client.query(
        "CREATE ROLE r; COMMIT; CREATE TABLE t (n int, x text); COMMIT; INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 1000) AS n"
      )
    )
    const began = performance.now()
    await cluster.reset()
    return performance.now() - began
  })
  await cluster.stop()
  return results
}

const cold = await times(() => withFolder(start))
const warm = await withFolder(async (folder) => {
  await start(folder)
  return times(() => start(folder))
})

const row = (name: string, milliseconds: ReadonlyArray<number>, most?: number) => {
  const sorted = milliseconds.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)]!
  if (most !== undefined && median > most) process.exitCode = 1
  return [name, median, sorted[0]!, sorted.at(-1)!, most].map((cell) =>
    typeof cell === "number" ? `${Math.round(cell)} ms` : (cell ?? "")
  )
}

const rows = [
  ["", "median", "least", "most", "promised"],
  row(
    "cold start to first query",
    cold.map(({ start }) => start),
    promised.cold
  ),
  row(
    "  with the process",
    cold.map(({ process }) => process)
  ),
  row(
    "warm start to first query",
    warm.map(({ start }) => start),
    promised.warm
  ),
  row(
    "  with the process",
    warm.map(({ process }) => process)
  ),
  row("reset", await resets(), promised.reset)
]
console.log(`${runs} runs each, Node ${process.version}, ${availableParallelism()} cores`)
for (const [name, ...cells] of rows) console.log(name!.padEnd(28) + cells.map((cell) => cell.padStart(10)).join(""))
