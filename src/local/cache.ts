import { chmodSync, lchownSync, lstatSync, mkdirSync, readdirSync, statSync } from "node:fs"
import { mkdtemp, readdir, rename, rm } from "node:fs/promises"
import { homedir, hostname, tmpdir } from "node:os"
import { dirname, isAbsolute, join } from "node:path"
import { LocalClusterError, systemErrorCode } from "./errors.js"
import { isTraversable } from "./runAs.js"

/** Who asks for the cache, and what decides where it lies. */
export interface CacheUser {
  readonly uid: number
  readonly platform: string
  readonly cacheHome: string | undefined
  readonly home: string
  readonly tmp: string
}

export const currentCacheUser = (): CacheUser => ({
  uid: process.getuid?.() ?? 0,
  platform: process.platform,
  cacheHome: process.env["XDG_CACHE_HOME"],
  home: homedir(),
  tmp: tmpdir()
})

/** Where the cache may lie, best first. The last resort says whose it is, because anybody can write next to it. */
export const cacheCandidates = (user: CacheUser): ReadonlyArray<string> => {
  const fallbacks = [...new Set([user.tmp, "/tmp"])].map((tmp) => join(tmp, `effect-dsql-${user.uid}`))
  // Root's own folders are closed to the account that PostgreSQL runs as.
  if (user.uid === 0) return ["/var/cache/effect-dsql", ...fallbacks]
  const xdg = user.cacheHome !== undefined && isAbsolute(user.cacheHome) ? user.cacheHome : undefined
  const base = xdg ?? join(user.home, user.platform === "darwin" ? "Library/Caches" : ".cache")
  return [join(base, "effect-dsql"), ...fallbacks]
}

/** Whether only we can have put things there. */
export const isTrusted = (folder: string, uid: number): boolean => {
  const status = lstatSync(folder, { throwIfNoEntry: false })
  return status !== undefined && status.isDirectory() && status.uid === uid && (status.mode & 0o022) === 0
}

/** The first candidate that can be made and trusted. */
export const openCache = (user: CacheUser, candidates = cacheCandidates(user)): string => {
  const found = candidates.find((folder) => {
    try {
      mkdirSync(dirname(folder), { recursive: true })
      makePrivateFolder(folder, user.uid)
    } catch {
      return false
    }
    return isTrusted(folder, user.uid) && (user.uid !== 0 || isTraversable(folder))
  })
  if (found === undefined) {
    throw new LocalClusterError(
      "CannotRun",
      `No folder for the PostgreSQL binaries: none of ${candidates.join(", ")} can be made, belongs to this user alone and is open to the account PostgreSQL runs as. Set XDG_CACHE_HOME to a folder of your own, or free one of these.`
    )
  }
  return found
}

/** Makes a folder for us, and in the case of root for the account that PostgreSQL runs as; one that is there stays as it is. */
export const makePrivateFolder = (folder: string, uid: number): void => {
  try {
    const mode = uid === 0 ? 0o755 : 0o700
    mkdirSync(folder, { mode })
    // The umask may have cut it.
    chmodSync(folder, mode)
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error
  }
}

/**
 * The folder `<cache>/<key>`, built by `build` unless it is there. It is built aside and renamed, so that it is either
 * whole or absent, and nobody waits for somebody who died: of several builders the first to finish wins, the others
 * discard their copy.
 */
export const cached = async (
  cache: string,
  key: string,
  uid: number,
  build: (folder: string) => Promise<void>
): Promise<string> => {
  const entry = join(cache, key)
  if (statSync(entry, { throwIfNoEntry: false }) === undefined) {
    await removeDeadBuilds(cache)
    const folder = await mkdtemp(join(cache, `${buildPrefix()}${process.pid}-`))
    try {
      chmodSync(folder, 0o755)
      await build(folder)
      seal(folder, uid)
      await rename(folder, entry).catch((error: unknown) => {
        if (!["EEXIST", "ENOTEMPTY"].includes(systemErrorCode(error) ?? "")) throw error
      })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  if (!isTrusted(entry, uid)) {
    throw new LocalClusterError("CannotRun", `${entry} belongs to somebody else or is writable by others. Remove it.`)
  }
  return entry
}

/** Gives a built tree to its owner, readable by all: the cache folder decides who gets that far. */
const seal = (path: string, uid: number): void => {
  const status = lstatSync(path)
  if (status.uid !== uid) lchownSync(path, uid, process.getgid?.() ?? 0)
  if (status.isSymbolicLink()) return
  chmodSync(path, status.isDirectory() || (status.mode & 0o100) !== 0 ? 0o755 : 0o644)
  if (status.isDirectory()) for (const name of readdirSync(path)) seal(join(path, name), uid)
}

/** Process ids mean something only on their own host, and a cache may be shared by containers. */
const buildPrefix = (): string => `build-${hostname()}-`

const removeDeadBuilds = async (cache: string): Promise<void> => {
  const prefix = buildPrefix()
  for (const name of await readdir(cache)) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN
    if (Number.isInteger(pid) && !isAlive(pid)) await rm(join(cache, name), { recursive: true, force: true })
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemErrorCode(error) !== "ESRCH"
  }
}
