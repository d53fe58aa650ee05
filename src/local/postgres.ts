import { ChildProcess, spawn } from "node:child_process"
import { chmodSync, chownSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { connectBackend } from "./backend.js"
import { LocalClusterError } from "./errors.js"
import { type Account, isSharedFolder } from "./runAs.js"
import { supervisorScript } from "./supervisor.js"
import { cannotRun, idsOf, type Installation, internalUser, postgresEnvironment } from "./template.js"

/** A running PostgreSQL that can be reached only through its Unix-domain socket. */
export interface PostgresServer {
  readonly socketPath: string
  /** Ends it and resolves when the process and its folder are gone. */
  readonly stop: () => Promise<void>
}

const startTimeout = 30_000

/** `sun_path` has 104 bytes on macOS, its final zero included. */
const socketPathLimit = 103

const socketName = ".s.PGSQL.5432"

/** Makes the folder that holds all a cluster leaves on disk while it runs. */
export const makeRunFolder = async (runAs: Account | undefined, base = tmpdir()): Promise<string> => {
  const tooLong = Buffer.byteLength(join(base, "effect-dsql-XXXXXX", socketName)) > socketPathLimit
  const usable = !tooLong && (runAs === undefined || isSharedFolder(base))
  const folder = await mkdtemp(join(usable ? base : "/tmp", "effect-dsql-"))
  chmodSync(folder, 0o700)
  if (runAs !== undefined) chownSync(folder, runAs.uid, runAs.gid)
  return folder
}

/** Starts PostgreSQL in `folder`, which is removed when it ends for whatever reason. */
export const startPostgres = async (
  folder: string,
  { bin, data, lib }: Installation,
  runAs: Account | undefined
): Promise<PostgresServer> => {
  const supervisor = spawn(
    "/bin/sh",
    ["-c", supervisorScript, "effect-dsql-supervisor", folder, data, join(bin, "postgres")],
    // A session of its own: Ctrl-C in a terminal is for us, and we decide when PostgreSQL ends.
    { cwd: "/", detached: true, stdio: ["pipe", "pipe", "ignore"], env: postgresEnvironment(lib), ...idsOf(runAs) }
  )
  let log = ""
  supervisor.stdout.on("data", (chunk: Buffer) => void (log = (log + chunk.toString()).slice(-4000)))
  supervisor.stdin.on("error", () => {})
  const ended = new Promise<LocalClusterError>((resolve) => {
    supervisor.once("error", (error) => resolve(cannotRun("/bin/sh", error.message, error)))
    supervisor.once("close", (code) => {
      const message = `PostgreSQL ended with exit code ${code}. The end of its log:\n${log.trim()}`
      resolve(
        code === 126 || code === 127 ? cannotRun("postgres", message) : new LocalClusterError("StartFailed", message)
      )
    })
  })
  const handles = [supervisor, supervisor.stdin, supervisor.stdout]
  const stop = async (): Promise<void> => {
    for (const handle of handles) setKeepsAlive(handle, true)
    supervisor.stdin.destroy()
    await ended
  }

  const socketPath = join(folder, socketName)
  let isRunning = true
  void ended.then(() => (isRunning = false))
  const failure = await Promise.race([ended, waitUntilReady(socketPath, () => isRunning)])

  if (failure !== undefined) {
    await stop()
    throw failure
  }
  // From here on only what the user of the cluster holds keeps the process alive.
  for (const handle of handles) setKeepsAlive(handle, false)
  return { socketPath, stop }
}

const waitUntilReady = async (socketPath: string, isRunning: () => boolean): Promise<LocalClusterError | undefined> => {
  const deadline = Date.now() + startTimeout
  while (isRunning() && Date.now() < deadline) {
    const answer = await connectBackend(socketPath, [
      ["user", internalUser],
      ["database", "postgres"]
    ]).answer
    if (answer._tag === "Ready") {
      answer.socket.destroy()
      return undefined
    }
    await delay(5, undefined, { ref: false })
  }
  return new LocalClusterError("StartFailed", `PostgreSQL did not become ready within ${startTimeout / 1000} s.`)
}

/** Whether a handle keeps the process alive. The streams of a child process are sockets, but are not typed so. */
const setKeepsAlive = (handle: object, keepsAlive: boolean): void => {
  if (!(handle instanceof ChildProcess || handle instanceof Socket)) return
  if (keepsAlive) handle.ref()
  else handle.unref()
}
