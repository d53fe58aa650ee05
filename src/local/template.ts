import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { chown, mkdir, writeFile, appendFile } from "node:fs/promises"
import { join } from "node:path"
import { type BinaryPackage, copyBinaries, findBinaryPackage } from "./binaries.js"
import { cached, currentCacheUser, openCache } from "./cache.js"
import { LocalClusterError, systemErrorCode } from "./errors.js"
import type { Account } from "./runAs.js"
import { createDatabase, systemSchema } from "./systemSchema.js"

/** What a cluster is started from: PostgreSQL, and a data folder to be copied. */
export interface Installation {
  readonly bin: string
  readonly lib: string
  readonly data: string
}

/** PostgreSQL's superuser. Clients never log in with it. */
export const internalUser = "dsql_internal"

/**
 * Nothing has to outlive the machine, so nothing is forced to the disk. What is committed outlives PostgreSQL, though, or a
 * restart would lose it: hence `synchronous_commit` stays on, which without `fsync` costs hardly anything.
 */
const settings = `
listen_addresses = ''
max_connections = 250
shared_buffers = 16MB
# Shared memory as files of the data folder: whatever happens, it goes with the folder.
dynamic_shared_memory_type = mmap
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
min_wal_size = 16MB
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
# A client that goes away takes its backend with it, also in the middle of a statement.
client_connection_check_interval = 20ms
default_transaction_isolation = 'repeatable read'
timezone = 'UTC'
log_timezone = 'UTC'
log_min_messages = error
`

/** Only who may enter the socket's folder, which is closed to others, gets as far as this. */
const hostBasedAuthentication = "local all all trust\n"

/**
 * Single-user mode ends a statement at an empty line. It runs in template1, the pristine copy that the database is made
 * from, now and at every reset; template0 is dead weight.
 */
const bootstrap = [
  "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'",
  "DROP DATABASE template0",
  "CREATE ROLE admin LOGIN CREATEROLE",
  "ALTER SCHEMA public OWNER TO admin",
  ...systemSchema,
  "DROP DATABASE postgres",
  createDatabase
]
  .map((statement) => `${statement};\n\n`)
  .join("")

const initdbOptions = `-U ${internalUser} --auth=trust --encoding=UTF8 --locale=C --no-sync --no-instructions --wal-segsize=4`

/** A version that changes with whatever something is made from, so that nobody has to think of raising it. */
const versionOf = (...sources: ReadonlyArray<string>): string =>
  createHash("sha256").update(sources.join("\0")).digest("hex").slice(0, 8)

const templateVersion = versionOf(settings, hostBasedAuthentication, bootstrap, initdbOptions)

/** The part that stays in data that are kept; settings are replaced at every start. */
export const databaseVersion = versionOf(bootstrap, initdbOptions)

/** What is different where data are kept: they outlive the machine, and last long enough to need vacuuming. */
export const keepingSettings = ["fsync=on", "full_page_writes=on", "autovacuum=on"].flatMap((setting) => [
  "-c",
  setting
])

/** The installation in the cache, made on first use. */
export const prepareInstallation = async (runAs: Account | undefined): Promise<Installation> => {
  const binaries = findBinaryPackage()
  const user = currentCacheUser()
  const key = `${binaries.platform}-${binaries.version}-t${templateVersion}`
  const entry = await cached(openCache(user), key, user.uid, (folder) => build(folder, binaries, runAs))
  return installationIn(entry)
}

const installationIn = (folder: string): Installation => ({
  bin: join(folder, "native/bin"),
  lib: join(folder, "native/lib"),
  data: join(folder, "data")
})

const build = async (folder: string, binaries: BinaryPackage, runAs: Account | undefined): Promise<void> => {
  await copyBinaries(binaries, join(folder, "native"))
  const { bin, lib, data } = installationIn(folder)
  await mkdir(data, { mode: 0o700 })
  if (runAs !== undefined) await chown(data, runAs.uid, runAs.gid)
  const run = (name: string, args: ReadonlyArray<string>, input: string) =>
    runToEnd(join(bin, name), args, input, { cwd: data, env: postgresEnvironment(lib), ...idsOf(runAs) })
  await run("initdb", ["-D", data, ...initdbOptions.split(" ")], "")
  await appendFile(join(data, "postgresql.conf"), settings)
  await writeFile(join(data, "pg_hba.conf"), hostBasedAuthentication)
  await run("postgres", ["--single", "-j", "-D", data, "-c", "exit_on_error=on", "template1"], bootstrap)
}

/** Libraries of the package need one another, and not each of them says where to look. */
export const postgresEnvironment = (lib: string): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"] ?? "/usr/bin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
  LD_LIBRARY_PATH: lib
})

export const idsOf = (account: Account | undefined): { uid?: number; gid?: number } =>
  account === undefined ? {} : { uid: account.uid, gid: account.gid }

interface RunOptions {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly uid?: number
  readonly gid?: number
}

const runToEnd = (command: string, args: ReadonlyArray<string>, input: string, options: RunOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, options)
    let output = ""
    const collect = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-4000))
    child.stdout.on("data", collect)
    child.stderr.on("data", collect)
    // A child that exits early is reported by its exit.
    child.stdin.on("error", () => {}).end(input)
    child.once("error", (error) => reject(cannotRun(command, systemErrorCode(error) ?? error.message, error)))
    child.once("close", (code, signal) => {
      if (code === 0) return resolve()
      const ending = signal === null ? `exit code ${code}` : `signal ${signal}`
      // 126 and 127 are how a loader reports that a program or one of its libraries cannot be loaded.
      if (code === 126 || code === 127) return reject(cannotRun(command, `${ending}: ${output.trim()}`))
      reject(new LocalClusterError("StartFailed", `${command} ended with ${ending}:\n${output.trim()}`))
    })
  })

/** The binaries need glibc and a file system that may hold programs. */
export const cannotRun = (command: string, why: string, cause?: unknown): LocalClusterError =>
  new LocalClusterError(
    "CannotRun",
    `${command} cannot be run (${why}). It needs a system with glibc (on Alpine use a Debian-based image) and a cache folder that is not mounted noexec (XDG_CACHE_HOME moves it).`,
    cause
  )
