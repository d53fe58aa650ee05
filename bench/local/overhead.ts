/**
 * Measures what the gateway costs, with all rules on: a point SELECT through it and the same straight over TLS to the same
 * PostgreSQL, and beside them the same through a relay of Node that only does TLS. Fails when the median through the gateway
 * is more than twice the other while all of it has one CPU. There it shows what is done; where processes sleep and wake on
 * CPUs of a virtual machine, it shows how long those take to wake as well, of which a program in between has twice as many.
 */
import { execFileSync } from "node:child_process"
import { createRequire } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"

/** How many times as long a statement may take. */
const promised = 2

interface Result {
  readonly name: string
  /** The 50th, 90th and 99th. */
  readonly percentiles: readonly [number, number, number]
}

const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
const program = fileURLToPath(new URL("overheadPairs.ts", import.meta.url))
const command = [process.execPath, "--import", tsx, program]

const run = ([file = "", ...args]: ReadonlyArray<string>): ReadonlyArray<Result> =>
  JSON.parse(
    execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
  ) as ReadonlyArray<Result>

/** The median of the gateway to that of the straight way. */
const print = (place: string, results: ReadonlyArray<Result>): number => {
  const straight = results.find(({ name }) => name === "straight over TLS")!.percentiles[0]
  console.log([place.padEnd(24), "p50", "p90", "p99", "ratio"].map((title) => title.padStart(10)).join(""))
  for (const { name, percentiles } of results) {
    const times = percentiles.map((time) => `${time} µs`.padStart(10)).join("")
    console.log(`${name.padEnd(24)}${times}${(percentiles[0] / straight).toFixed(2).padStart(10)}`)
  }
  return results.find(({ name }) => name === "through the gateway")!.percentiles[0] / straight
}

console.log(`Pairs of a point SELECT, a named statement, one caller, Node ${process.version}`)
print("on all CPUs", run(command))
const ratio = print("on one CPU", run(["taskset", "--cpu-list", "0", ...command]))
console.log(`on one CPU ${ratio.toFixed(2)} ×, promised: at most ${promised}`)
if (ratio > promised) process.exitCode = 1
