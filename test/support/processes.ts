import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"

/** Command line and working folder: PostgreSQL's backends overwrite the one, and have their data as the other. */
const describe = (pid: string): string => {
  try {
    return `${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}in ${readlinkSync(`/proc/${pid}/cwd`)}`
  } catch {
    return ""
  }
}

const fromProc = (): ReadonlyArray<string> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(describe)

/** The running processes whose command line mentions a text; small Linux images have no `ps`, macOS has no /proc. */
export const processesWith = (text: string): ReadonlyArray<string> =>
  (existsSync("/proc/self/cmdline")
    ? fromProc()
    : spawnSync("ps", ["-Awwo", "args"], { encoding: "utf8" }).stdout.split("\n")
  ).filter((command) => command.includes(text))
