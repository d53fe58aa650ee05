import { chmodSync, lchownSync, lstatSync, mkdirSync, readdirSync, statSync } from "node:fs"
import { mkdtemp, open, readdir, rename, rm, utimes } from "node:fs/promises"
import { homedir, hostname, tmpdir } from "node:os"
import { dirname, isAbsolute, join } from "node:path"
import { LocalClusterError, systemErrorCode } from "./errors.js"
import { lock } from "./lock.js"
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
 * whole or absent. One builds at a time, and the others wait for it; where nothing can be locked, or the one takes too
 * long, several build and the first to finish wins. Nobody waits for somebody who died.
 */
export const cached = async (
  cache: string,
  key: string,
  uid: number,
  build: (folder: string) => Promise<void>
): Promise<string> => {
  const entry = join(cache, key)
  if (!isThere(entry)) {
    await withLock(cache, async () => {
      if (isThere(entry)) return
      await removeUnused(cache)
      await buildAside(cache, entry, uid, build)
    })
  }
  if (!isTrusted(entry, uid)) {
    throw new LocalClusterError("CannotRun", `${entry} belongs to somebody else or is writable by others. Remove it.`)
  }
  // For `removeUnused`. A cache that is prepared and read-only stays as it is.
  const now = new Date()
  await utimes(entry, now, now).catch(() => {})
  return entry
}

const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

const lockName = "lock"

/** How many seconds others may take to build. */
const patience = 60

const withLock = async <A>(cache: string, use: () => Promise<A>): Promise<A> => {
  const file = await open(join(cache, lockName), "a", 0o600)
  try {
    await lock(file.fd, patience).catch(() => false)
    return await use()
  } finally {
    await file.close()
  }
}

const buildAside = async (
  cache: string,
  entry: string,
  uid: number,
  build: (folder: string) => Promise<void>
): Promise<void> => {
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

/** What other versions have left: each is some 80 MB. */
const unusedAfter = 30 * 24 * 60 * 60 * 1000

/** Removes what builders have left that died, and what nobody has used for a month. */
const removeUnused = async (cache: string): Promise<void> => {
  const prefix = buildPrefix()
  for (const name of await readdir(cache)) {
    const path = join(cache, name)
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN
    const isDead = Number.isInteger(pid) && !isAlive(pid)
    const lastUsed = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
    const isOld = name !== lockName && lastUsed < Date.now() - unusedAfter
    // A process that the dead one has left may still write there; the next build tries again.
    if (isDead || isOld) await rm(path, { recursive: true, force: true }).catch(() => {})
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
