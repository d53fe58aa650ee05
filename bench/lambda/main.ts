/**
 * Measures the function of `examples/lambda.ts`, bundled and minified as for a deployment, in containers on this machine and
 * against a local cluster: initialization with its first connection, the first invocation, one to a warm container, and one
 * after a night in which the container was frozen. `--containers n` (default 10).
 */
import { build, type BuildOptions } from "esbuild"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { startCluster } from "../../src/local/cluster.js"
import { withClient } from "../contention/contenders.js"

const { values } = parseArgs({ options: { containers: { type: "string", default: "10" } } })
const root = fileURLToPath(new URL("../..", import.meta.url))
const output = join(root, "dist/lambda")
const night = 8 * 3_600_000

const bundle = (entry: string, name: string, options: BuildOptions = {}) =>
  build({
    entryPoints: [join(root, entry)],
    bundle: true,
    minify: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
    outfile: join(output, name),
    // Otherwise it would take the sources of this checkout for the package.
    tsconfigRaw: {},
    ...options
  })

execFileSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: "inherit" })
mkdirSync(output, { recursive: true })
await bundle("test/support/container.ts", "container.mjs")
await bundle("test/support/redirect.ts", "redirect.mjs")
await bundle("examples/lambda.ts", "index.mjs", {
  external: ["pg-native"],
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url)' }
})

type Cluster = Awaited<ReturnType<typeof startCluster>>

/** Milliseconds of each step of one container's life. */
const live = async (cluster: Cluster): Promise<Readonly<Record<string, number>>> => {
  cluster.setTokenSkew(0)
  const child = spawn(
    process.execPath,
    ["--import", join(output, "redirect.mjs"), join(output, "container.mjs"), join(output, "index.mjs")],
    {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        ...process.env,
        LOCAL_CLUSTER_ADDRESS: `${cluster.hostaddr}:${cluster.port}`,
        NODE_EXTRA_CA_CERTS: join(output, "ca.pem"),
        AWS_ACCESS_KEY_ID: cluster.accessKeyId,
        AWS_SECRET_ACCESS_KEY: cluster.secretAccessKey,
        CLUSTER_ENDPOINT: cluster.endpoint
      }
    }
  )
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const took = async () => {
    const { value } = await lines.next()
    const [, milliseconds] = / after ([\d.]+) ms$/.exec(String(value)) ?? []
    if (milliseconds === undefined) throw new Error(`the container said ${String(value)}`)
    return Number(milliseconds)
  }
  const invoke = () => {
    child.stdin.write('{"page":"home"}\n')
    return took()
  }
  const initialization = await took()
  const first = await invoke()
  for (let n = 0; n < 20; n++) await invoke()
  const warm = await invoke()
  cluster.setTokenSkew(night)
  cluster.sessionClock.advance(night)
  child.stdin.write(`thawed ${night}\n`)
  const thawed = await invoke()
  child.kill("SIGTERM")
  await once(child, "exit")
  return { initialization, "first invocation": first, "warm invocation": warm, "after a night": thawed }
}

const median = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!

const cluster = await startCluster({})
try {
  writeFileSync(join(output, "ca.pem"), cluster.ca)
  await withClient({ ...cluster, host: cluster.endpoint }, (client) =>
    client.query("CREATE TABLE example_hit (page text PRIMARY KEY, hits int NOT NULL)")
  )
  const lives: Array<Readonly<Record<string, number>>> = []
  for (let n = 0; n < Number(values.containers); n++) lives.push(await live(cluster))
  console.log(`bundle ${(statSync(join(output, "index.mjs")).size / 1024).toFixed(0)} KiB, Node ${process.version}`)
  for (const step of Object.keys(lives[0]!)) {
    const all = lives.map((life) => life[step]!)
    const [least, most] = [Math.min(...all), Math.max(...all)].map((ms) => ms.toFixed(1))
    console.log(`${step.padEnd(17)} median ${median(all).toFixed(1)} ms, ${least} to ${most}`)
  }
} finally {
  await cluster.stop()
  rmSync(output, { recursive: true, force: true })
}
