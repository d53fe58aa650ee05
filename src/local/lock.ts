import { spawn } from "node:child_process"
import { LocalClusterError } from "./errors.js"

/**
 * Node has no file locks, so a program that has them locks the open file that it inherits from us as descriptor 3. The lock
 * then belongs to us and to whom we hand the file on, and ends when the last of us has closed it or died.
 */
const script = `
if command -v flock >/dev/null; then exec flock -w "$0" 3; fi
exec perl -e 'use Fcntl ":flock"; open F, ">&=3"; $SIG{ALRM} = sub { exit 1 }; alarm shift; exit !flock F, LOCK_EX' "$0"
`

/** Locks an open file for as long as it is open anywhere. False if somebody else has it for `patience` seconds more. */
export const lock = (file: number, patience: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", script, String(patience)], { stdio: ["ignore", "ignore", "ignore", file] })
    const cannot = (cause?: unknown): void =>
      reject(
        new LocalClusterError(
          "CannotRun",
          "No file can be locked without one of the commands flock (of util-linux) and perl. Install one.",
          cause
        )
      )
    child.once("error", cannot)
    child.once("exit", (code) => (code === 0 || code === 1 ? resolve(code === 0) : cannot()))
  })
