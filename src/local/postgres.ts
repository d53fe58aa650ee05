import { ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process"
import { Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { setTimeout as delay } from "node:timers/promises"
import { type BackendAnswer, connectBackend } from "./backend.js"
import { LocalClusterError } from "./errors.js"
import { randomText } from "./identity.js"
import { lastLines } from "./logs.js"
import { type Account, isSharedFolder } from "./runAs.js"
import { supervisorScript } from "./supervisor.js"
import { cannotRun, idsOf, type Installation, internalUser, keepingSettings, postgresEnvironment } from "./template.js"

/** A PostgreSQL that can be reached only through its Unix-domain socket. */
export interface PostgresServer {
  readonly socketPath: string
  /** Ends it at once, as a crash would; what was committed stays. */
  readonly stop: () => Promise<void>
  /** Starts it again if it has ended, for whatever reason. Rejects with `LocalClusterError`. */
  readonly start: () => Promise<void>
  /** Ends it for good and resolves when the processes and the folder are gone. */
  readonly close: () => Promise<void>
}

const startTimeout = 30_000

/** How long it may take to write down what is kept. If it is not enough, the next start does what is left. */
const endTimeout = 10_000

/** `sun_path` has 104 bytes on macOS, its final zero included. */
const socketPathLimit = 103

const socketName = ".s.PGSQL.5432"

/**
 * A name for the folder that holds all a cluster leaves on disk while it runs. The supervisor makes it, so that there is
 * never one without somebody who will remove it.
 */
export const runFolder = (runAs: Account | undefined, base = tmpdir()): string => {
  const name = `effect-dsql-${randomText(8)}`
  const tooLong = Buffer.byteLength(join(base, name, socketName)) > socketPathLimit
  const usable = !tooLong && (runAs === undefined || isSharedFolder(base))
  return join(usable ? base : "/tmp", name)
}

/**
 * Starts PostgreSQL in `folder`, which is gone when it is closed, or when this process dies. Its data are in there too,
 * unless they are kept elsewhere; these are locked as long as any of its processes lives.
 */
export const startPostgres = async (
  folder: string,
  { bin, data: template, lib }: Installation,
  runAs: Account | undefined,
  kept?: { readonly data: string; readonly lock: number }
): Promise<PostgresServer> => {
  const data = kept?.data ?? join(folder, "data")
  const settings = kept === undefined ? [] : keepingSettings
  const supervisor = spawn(
    "/bin/sh",
    ["-c", supervisorScript, "effect-dsql-supervisor", folder, template, data, join(bin, "postgres"), ...settings],
    {
      cwd: "/",
      // A session of its own: Ctrl-C in a terminal is for us, and we decide when PostgreSQL ends.
      detached: true,
      stdio: ["pipe", "pipe", "ignore", kept?.lock ?? "ignore"],
      env: postgresEnvironment(lib),
      ...idsOf(runAs)
    }
  ) as ChildProcessByStdio<Writable, Readable, null>
  supervisor.stdin.on("error", () => {})
  const socketPath = join(folder, socketName)
  let isRunning = true
  let isGone = false
  let onEnd = (_failure: LocalClusterError): void => {}
  /** When and why the PostgreSQL that runs now, or ran last, ends. */
  let ended = new Promise<LocalClusterError>((resolve) => (onEnd = resolve))
  const end = (failure: LocalClusterError): void => {
    isRunning = false
    onEnd(failure)
  }
  let complaint = ""
  createInterface(supervisor.stdout).on("line", (line) => {
    const [, code] = /^ended (\d+)$/.exec(line) ?? []
    if (code === undefined) complaint += ` ${line}`
    else void lastLines(folder).then((log) => end(endedWith(Number(code), log)))
  })
  const gone = new Promise<void>((resolve) => {
    const settle = (failure: LocalClusterError): void => {
      isGone = true
      end(failure)
      resolve()
    }
    supervisor.once("error", (error) => settle(cannotRun("/bin/sh", error.message, error)))
    supervisor.once("close", () =>
      settle(new LocalClusterError("StartFailed", `The local cluster has ended.${complaint}`))
    )
  })

  const handles = [supervisor, supervisor.stdin, supervisor.stdout]
  let holders = 0
  /** Nothing here keeps the process alive but what is waited for; the rest is up to the user of the cluster. */
  const holding = async <A>(task: Promise<A>): Promise<A> => {
    if (holders++ === 0) for (const handle of handles) setKeepsAlive(handle, true)
    try {
      return await task
    } finally {
      if (--holders === 0) for (const handle of handles) setKeepsAlive(handle, false)
    }
  }
  const stop = async (): Promise<void> => {
    if (isRunning) supervisor.stdin.write("stop\n")
    await holding(ended)
  }
  const close = async (): Promise<void> => {
    if (kept !== undefined && isRunning) {
      supervisor.stdin.write("end\n")
      await holding(Promise.race([ended, delay(endTimeout, undefined, { ref: false })]))
    }
    supervisor.stdin.destroy()
    await holding(gone)
  }
  /** Waits until it answers; if it does not, `giveUp` comes before the failure. */
  const ready = async (giveUp: () => Promise<void>): Promise<void> => {
    const failure = await holding(Promise.race([ended, waitUntilReady(socketPath, () => isRunning)]))
    if (failure === undefined) return
    await giveUp()
    throw failure
  }

  await ready(close)
  return {
    socketPath,
    stop,
    start: async () => {
      // It may have died without our having been told as yet.
      if (isRunning && (await answers(socketPath)) !== "Unavailable") return
      await stop()
      if (isGone) throw await ended
      isRunning = true
      ended = new Promise((resolve) => (onEnd = resolve))
      supervisor.stdin.write("start\n")
      await ready(stop)
    },
    close
  }
}

const endedWith = (code: number, log: string): LocalClusterError => {
  const message = `PostgreSQL ended with exit code ${code}. The end of its log:\n${log}`
  return code === 126 || code === 127 ? cannotRun("postgres", message) : new LocalClusterError("StartFailed", message)
}

const waitUntilReady = async (socketPath: string, isRunning: () => boolean): Promise<LocalClusterError | undefined> => {
  const deadline = Date.now() + startTimeout
  while (isRunning() && Date.now() < deadline) {
    if ((await answers(socketPath)) === "Ready") return undefined
    await delay(5, undefined, { ref: false })
  }
  return new LocalClusterError("StartFailed", `PostgreSQL did not become ready within ${startTimeout / 1000} s.`)
}

const answers = async (socketPath: string): Promise<BackendAnswer["_tag"]> => {
  const { answer, socket } = connectBackend(socketPath, [
    ["user", internalUser],
    ["database", "postgres"]
  ])
  const { _tag } = await answer
  socket.destroy()
  return _tag
}

/** Whether a handle keeps the process alive. The streams of a child process are sockets, but are not typed so. */
const setKeepsAlive = (handle: object, keepsAlive: boolean): void => {
  if (!(handle instanceof ChildProcess || handle instanceof Socket)) return
  if (keepsAlive) handle.ref()
  else handle.unref()
}
