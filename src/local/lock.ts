import { spawn } from "node:child_process"
import { LocalClusterError } from "./errors.js"

/** How long to wait for a PostgreSQL whose cluster has just died. */
const patience = 3

/**
 * Node has no file locks, so a program that has them locks the open file that it inherits from us as descriptor 3. The lock
 * then belongs to us and to whom we hand the file on, and ends when the last of us has closed it or died.
 */
const script = `
if command -v flock >/dev/null; then exec flock -w ${patience} 3; fi
exec perl -e 'use Fcntl ":flock"; open F, ">&=3"; $SIG{ALRM} = sub { exit 1 }; alarm ${patience}; exit !flock F, LOCK_EX'
`

/** Locks an open file for as long as it is open anywhere. False if somebody else has locked it. */
export const lock = (file: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", script], { stdio: ["ignore", "ignore", "ignore", file] })
    const cannot = (cause?: unknown): void =>
      reject(
        new LocalClusterError(
          "CannotRun",
          "Keeping data needs one of the commands flock (of util-linux) and perl, to lock the folder. Install one.",
          cause
        )
      )
    child.once("error", cannot)
    child.once("exit", (code) => (code === 0 || code === 1 ? resolve(code === 0) : cannot()))
  })
