/** Programs of this checkout run as a person runs them, in a temporary folder of their own that must be empty after. */
import { spawn } from "node:child_process"
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { processesWith } from "./processes.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

export interface Program {
  /** Its temporary folder. */
  readonly folder: string
  /** What it has printed so far. */
  readonly output: () => string
  readonly errors: () => string
  /** Resolves when standard output matches; fails when the program ends first. */
  readonly printed: (pattern: RegExp) => Promise<RegExpExecArray>
  /** Writes a line to its standard input. */
  readonly tell: (line: string) => void
  readonly endInput: () => void
  readonly signal: (signal: NodeJS.Signals) => void
  /** To all of its process group, as a terminal does; only if it is detached. */
  readonly signalGroup: (signal: NodeJS.Signals) => void
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  /** What it left behind: files in its temporary folder and processes that mention it. */
  readonly leftovers: () => ReadonlyArray<string>
  readonly cleanUp: () => void
}

export const startProgram = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string | undefined>> = {},
  { detached = false }: { readonly detached?: boolean } = {}
): Program => {
  const folder = mkdtempSync(join(tmpdir(), "dsql-program-"))
  chmodSync(folder, 0o1777)
  const child = spawn(process.execPath, ["--import", "tsx", ...args], {
    cwd: root,
    detached,
    env: { ...process.env, TMPDIR: folder, ...environment },
    stdio: ["pipe", "pipe", "pipe"]
  })
  let output = ""
  let errors = ""
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const exited: Program["exited"] = new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => resolve({ code, signal }))
  })
  return {
    folder,
    output: () => output,
    errors: () => errors,
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(output)
          if (match === null) return
          child.stdout.off("data", look)
          resolve(match)
        }
        child.stdout.on("data", look)
        look()
        exited.then(() => reject(new Error(`ended before it printed ${pattern}: ${output}${errors}`)), reject)
      }),
    tell: (line) => child.stdin.write(`${line}\n`),
    endInput: () => child.stdin.end(),
    signal: (signal) => child.kill(signal),
    signalGroup: (signal) => child.pid !== undefined && process.kill(-child.pid, signal),
    exited,
    leftovers: () => [
      // tsx keeps its cache of compiled files where temporary files go.
      ...readdirSync(folder).filter((name) => !name.startsWith("tsx-")),
      ...processesWith(folder)
    ],
    cleanUp: () => {
      child.kill("SIGKILL")
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
