import { readFileSync, statSync } from "node:fs"
import { userInfo } from "node:os"
import { dirname } from "node:path"
import { LocalClusterError } from "./errors.js"

/** The account that PostgreSQL runs as. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** The accounts of a passwd file. Negative ids are how macOS writes those of `nobody`. */
export const parsePasswd = (text: string): Array<Account> =>
  text.split("\n").flatMap((line) => {
    const [name, , uid, gid] = line.split(":")
    return name !== undefined && /^-?\d+$/.test(uid ?? "") && /^-?\d+$/.test(gid ?? "")
      ? [{ name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }]
      : []
  })

/** `nobody` if there is one, else any account that is not root. */
export const chooseAccount = (accounts: ReadonlyArray<Account>): Account | undefined =>
  accounts.find((account) => account.name === "nobody" && account.uid !== 0) ??
  accounts.find((account) => account.uid !== 0 && account.gid !== 0)

/** Whether our uid is that of an account, wherever the system looks for them. */
const hasName = (): boolean => {
  try {
    userInfo()
    return true
  } catch {
    return false
  }
}

/** `undefined` means: as ourselves. PostgreSQL refuses to run as root, and fails for a uid without a passwd entry. */
export const findRunAs = (): Account | undefined => {
  const uid = process.getuid?.()
  if (uid !== 0) {
    if (!hasName()) {
      throw new LocalClusterError(
        "CannotRun",
        `PostgreSQL does not run as uid ${uid}, which has no name here. Add it to /etc/passwd, or take a uid that is there.`
      )
    }
    return undefined
  }
  const account = chooseAccount(parsePasswd(readFileSync("/etc/passwd", "utf8")))
  if (account === undefined) {
    throw new LocalClusterError(
      "CannotRun",
      "PostgreSQL does not run as root and /etc/passwd has no other account. Add one (useradd --system postgres) or start the local cluster as an ordinary user."
    )
  }
  return account
}

const othersTraverse = 0o001
const othersWrite = 0o002

const modeOf = (folder: string): number => statSync(folder, { throwIfNoEntry: false })?.mode ?? 0

/** Whether any account may pass through `folder` and everything above it. */
export const isTraversable = (folder: string): boolean =>
  (modeOf(folder) & othersTraverse) !== 0 && (dirname(folder) === folder || isTraversable(dirname(folder)))

/** Whether any account may make and remove its own entries in `folder`. */
export const isSharedFolder = (folder: string): boolean => isTraversable(folder) && (modeOf(folder) & othersWrite) !== 0
