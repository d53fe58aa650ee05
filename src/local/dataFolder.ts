import { chownSync, existsSync, lstatSync } from "node:fs"
import { type FileHandle, mkdir, open, readdir, readFile, realpath, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import type { Certificates } from "./certificates.js"
import { isTrusted, makePrivateFolder } from "./cache.js"
import { LocalClusterError, systemErrorCode } from "./errors.js"
import { lock } from "./lock.js"
import { ownRequire } from "./packages.js"
import { type Account, isTraversable } from "./runAs.js"
import { databaseVersion, type Installation } from "./template.js"

/** What makes a cluster the same one in its next run. */
export interface StoredCluster extends Certificates {
  readonly clusterId: string
  readonly region: string
  readonly port: number
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** What the user of a cluster may ask it to be. */
interface Wanted {
  readonly clusterId?: string | undefined
  readonly region?: string | undefined
}

/** A folder that keeps a cluster, locked for as long as it is open here or in PostgreSQL. */
export interface DataFolder {
  /** Its absolute path. */
  readonly path: string
  /** The descriptor that holds the lock. */
  readonly lock: number
  /** PostgreSQL's data folder; not there before its first start. */
  readonly data: string
  /** Undefined until the first start has come to its end. */
  readonly stored: StoredCluster | undefined
  readonly store: (cluster: StoredCluster) => Promise<void>
  readonly close: () => Promise<void>
}

/** It says whose the folder is, carries the lock, and is written once; it is empty until then. */
const marker = "effect-dsql.json"
const authority = "ca.pem"

/** How many seconds a PostgreSQL whose cluster has just died may take to end. */
const patience = 3

/** Opens the folder of a cluster, or makes one of a folder that is empty or not there. */
export const openDataFolder = async (
  folder: string,
  wanted: Wanted,
  installation: Installation,
  runAs: Account | undefined
): Promise<DataFolder> => {
  // It would be the folder that we happen to be in: an empty variable of a script, say.
  if (folder.trim() === "") throw unusable(JSON.stringify(folder), "has no name")
  const path = await makeFolder(resolve(folder), runAs)
  await checkContents(path)
  const file = await attempt(path, "cannot be written to", () => open(join(path, marker), "a+", 0o600))
  try {
    if (!(await lock(file.fd, patience))) {
      throw new LocalClusterError(
        "DataInUse",
        `${path} is in use by a local cluster that runs. Connect to that one, end it, or take another folder.`
      )
    }
    const stored = await readStored(path, file)
    const home = join(path, "postgres")
    const data = join(home, "data")
    if (stored !== undefined) checkSame(path, stored, wanted)
    // A first start that has died may have come as far as that.
    if (stored !== undefined || existsSync(data)) await checkVersion(path, data, installation)
    await mkdir(home, { recursive: true, mode: 0o700 })
    if (runAs !== undefined) chownSync(home, runAs.uid, runAs.gid)
    return {
      path,
      lock: file.fd,
      data,
      stored,
      store: async (cluster) => {
        await file.appendFile(
          `${JSON.stringify({ ...cluster, databaseVersion, madeBy: packageVersion() }, undefined, 2)}\n`
        )
        // As durable as the data: without it they would be another cluster's.
        await file.sync()
      },
      close: () => file.close()
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Gives the real path of a folder that we may use, and makes it if it is not there. */
const makeFolder = (folder: string, runAs: Account | undefined): Promise<string> =>
  attempt(folder, "cannot be made", async () => {
    const uid = process.getuid?.() ?? 0
    const nearest = nearestFolder(folder)
    const isThere = nearest === folder
    if (isThere && !isTrusted(await realpath(folder), uid)) {
      throw unusable(folder, "is no folder, belongs to somebody else or can be written to by others (chmod go-w)")
    }
    if (runAs !== undefined && !isTraversable(await realpath(nearest))) {
      throw unusable(
        folder,
        `is closed to ${runAs.name}, the account that PostgreSQL runs as because it refuses root: open ${nearest} and all above it (chmod o+x)`
      )
    }
    if (!isThere) {
      await mkdir(dirname(folder), { recursive: true })
      makePrivateFolder(folder, uid)
    }
    return realpath(folder)
  })

const nearestFolder = (path: string): string =>
  lstatSync(path, { throwIfNoEntry: false }) === undefined ? nearestFolder(dirname(path)) : path

/** All that we ever put there. */
const ours: ReadonlySet<string> = new Set([marker, authority, "postgres"])

/** Refuses a folder that somebody else has filled. */
const checkContents = async (path: string): Promise<void> => {
  const names = await attempt(path, "cannot be read", () => readdir(path))
  const { size } = lstatSync(join(path, marker), { throwIfNoEntry: false }) ?? { size: 0 }
  if (size === 0 && names.some((name) => !ours.has(name))) {
    throw unusable(path, "is not empty and was not made by a local cluster, so it stays as it is")
  }
}

const attempt = <A>(path: string, failure: string, use: () => Promise<A>): Promise<A> =>
  use().catch((error: unknown) => {
    throw error instanceof LocalClusterError ? error : unusable(path, `${failure} (${systemErrorCode(error)})`, error)
  })

const unusable = (folder: string, why: string, cause?: unknown): LocalClusterError =>
  new LocalClusterError("DataUnusable", `The data folder ${folder} ${why}. Mend that, or take another folder.`, cause)

const readStored = async (path: string, file: FileHandle): Promise<StoredCluster | undefined> => {
  const text = await file.readFile("utf8")
  if (text === "") return undefined
  const stored = parse(text)
  if (stored === undefined) throw unusable(path, `is damaged: ${marker} is not what was written there`)
  if (stored["databaseVersion"] !== databaseVersion) {
    throw new LocalClusterError(
      "DataIncompatible",
      `${path} was made by effect-dsql ${stored["madeBy"]}, whose databases are built differently. Use that version, or another folder.`
    )
  }
  return stored as unknown as StoredCluster
}

const parse = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && "madeBy" in value ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const checkSame = (path: string, stored: StoredCluster, wanted: Wanted): void => {
  for (const name of ["clusterId", "region"] as const) {
    if (wanted[name] === undefined || wanted[name] === stored[name]) continue
    throw new LocalClusterError(
      "DataIncompatible",
      `${path} holds cluster ${stored.clusterId} in ${stored.region}, which is not the ${name} that is asked for, ${wanted[name]}. Leave that away, or take another folder.`
    )
  }
}

/** PostgreSQL keeps the number of its major version in this file. */
const versionFile = "PG_VERSION"

const checkVersion = async (path: string, data: string, installation: Installation): Promise<void> => {
  const versionOf = async (folder: string) => (await readFile(join(folder, versionFile), "utf8")).trim()
  const found = await attempt(path, "is damaged: there is no database in it", () => versionOf(data))
  const needed = await versionOf(installation.data)
  if (found !== needed) {
    throw new LocalClusterError(
      "DataIncompatible",
      `${path} holds a database of PostgreSQL ${found}, and this is PostgreSQL ${needed}. Use another folder.`
    )
  }
}

const packageVersion = (): string => (ownRequire("../../package.json") as { readonly version: string }).version

/** Puts the certificate authority where clients can read it in every run. */
export const writeAuthority = async (folder: string, ca: string): Promise<string> => {
  const file = join(folder, authority)
  await writeFile(file, ca)
  return file
}
