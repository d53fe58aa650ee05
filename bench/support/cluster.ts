import type { LocalAccess } from "effect-dsql/Local"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { ClusterOptions } from "../../src/local/cluster.js"

/** Gives `use` the first line that a program of `bench` prints, and ends the program afterwards. */
export const withProgram = async <A>(
  name: string,
  args: ReadonlyArray<string>,
  use: (line: string) => Promise<A>
): Promise<A> => {
  const program = fileURLToPath(new URL(`../${name}`, import.meta.url))
  const child = spawn(process.execPath, ["--import", "tsx", program, ...args], { stdio: ["pipe", "pipe", "inherit"] })
  const ended = once(child, "exit")
  try {
    const [line] = (await Promise.race([
      once(createInterface(child.stdout), "line"),
      ended.then(() => Promise.reject(new Error(`${name} did not start`)))
    ])) as [string]
    return await use(line)
  } finally {
    child.stdin.end()
    await ended
  }
}

/** A cluster that does not share the process of who uses it, and so neither its event loop nor its heap. */
export const withCluster = <A>(options: ClusterOptions, use: (access: LocalAccess) => Promise<A>): Promise<A> =>
  withProgram("support/clusterProgram.ts", [JSON.stringify(options)], (line) => use(JSON.parse(line) as LocalAccess))

/** An endpoint for the credentials of a container, which takes so many milliseconds to answer. */
export const withContainer = <A>(
  { accessKeyId, secretAccessKey }: LocalAccess,
  milliseconds: number,
  use: (url: string) => Promise<A>
): Promise<A> => withProgram("support/containerProgram.ts", [accessKeyId, secretAccessKey, String(milliseconds)], use)

/** The same cluster from further away: everything takes so many milliseconds longer, each way. */
export const withLatency = <A>(
  access: LocalAccess,
  milliseconds: number,
  use: (access: LocalAccess) => Promise<A>
): Promise<A> =>
  milliseconds === 0
    ? use(access)
    : withProgram("support/latencyProgram.ts", [String(access.port), String(milliseconds)], (line) =>
        use({ ...access, port: Number(line) })
      )
