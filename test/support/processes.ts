import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"

const fromProc = (): ReadonlyArray<string> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
      } catch {
        return ""
      }
    })

/** The command lines of running processes that contain a text; small Linux images have no `ps`, macOS has no /proc. */
export const processesWith = (text: string): ReadonlyArray<string> =>
  (existsSync("/proc/self/cmdline")
    ? fromProc()
    : spawnSync("ps", ["-Awwo", "args"], { encoding: "utf8" }).stdout.split("\n")
  ).filter((command) => command.includes(text))
