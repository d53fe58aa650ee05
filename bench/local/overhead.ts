/**
 * Measures what the gateway costs, with all rules on: a point SELECT through it and the same straight over TLS to the same
 * PostgreSQL, one caller, in turns. Fails when the median through the gateway is more than twice the other. Beside them the
 * same through a relay of Node that only does TLS: no gateway that is a program of Node can cost less on this machine.
 */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { createInterface } from "node:readline"
import { fileURLToPath, pathToFileURL } from "node:url"
import { DsqlSigner } from "@aws-sdk/dsql-signer"
import pg from "pg"
import { dialling } from "../../test/local/support.js"
import type { Cluster } from "../../src/local/cluster.js"

const pairs = 5_000
const warmUp = 500
const rows = 1_000

/** How many times as long a statement may take. */
const promised = 2

type Access = Pick<Cluster, "accessKeyId" | "ca" | "endpoint" | "hostaddr" | "port" | "region" | "secretAccessKey"> & {
  readonly address: string
  readonly barePort: number
}

const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
const program = fileURLToPath(new URL("overheadCluster.ts", import.meta.url))
const child = spawn(process.execPath, ["--import", tsx, program], { stdio: ["pipe", "pipe", "inherit"] })
const [line] = (await new Promise<ReadonlyArray<string>>((resolve, reject) => {
  createInterface(child.stdout).once("line", (line) => resolve([line]))
  child.once("exit", (code) => reject(new Error(`the cluster ended with ${code}`)))
})) as [string]
const access = JSON.parse(line) as Access

const password = await new DsqlSigner({
  hostname: access.endpoint,
  region: access.region,
  credentials: { accessKeyId: access.accessKeyId, secretAccessKey: access.secretAccessKey }
}).getDbConnectAdminAuthToken()
const common = { user: "admin", database: "postgres" }
const gateway = new pg.Client({
  ...common,
  host: access.endpoint,
  port: access.port,
  password,
  ssl: { ca: access.ca },
  stream: () => dialling(access as unknown as Cluster)
})
// Its certificate is for no address; what it costs to encrypt is the same.
const unverified = { ...common, host: access.address, ssl: { rejectUnauthorized: false } }
const clients = {
  "through the gateway": gateway,
  "through a bare relay": new pg.Client({ ...unverified, port: access.barePort }),
  "straight over TLS": new pg.Client({ ...unverified, port: 5432 })
}
await Promise.all(Object.values(clients).map((client) => client.connect()))

await gateway.query("CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)")
await gateway.query(`INSERT INTO item SELECT n, 'item ' || n FROM generate_series(1, ${rows}) AS n`)

const ask = async (client: pg.Client, n: number): Promise<number> => {
  const began = performance.now()
  const { rows: found } = await client.query({
    name: "point",
    text: "SELECT id, name FROM item WHERE id = $1",
    values: [(n % rows) + 1]
  })
  if (found.length !== 1) throw new Error("no row")
  return performance.now() - began
}

const times = new Map(Object.keys(clients).map((name) => [name, [] as Array<number>]))
/** In turns of two, since how busy a machine is decides how fast it wakes up. */
for (const [name, client] of Object.entries(clients).slice(0, 2)) {
  for (let n = -warmUp; n < pairs; n++) {
    const pair = [[name, client] as const, ["straight over TLS", clients["straight over TLS"]] as const]
    for (const [name, client] of n % 2 === 0 ? pair : pair.toReversed()) {
      const time = await ask(client, n + warmUp)
      if (n >= 0) times.get(name)!.push(time)
    }
  }
}
await Promise.all(Object.values(clients).map((client) => client.end()))
child.stdin.end()

const percentile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * part)]!
const micro = (milliseconds: number): string => `${Math.round(milliseconds * 1000)} µs`.padStart(10)

console.log(`${pairs} pairs of a point SELECT, a named statement, one caller, Node ${process.version}`)
console.log(
  ["", "p50", "p90", "p99"].map((title, index) => (index === 0 ? "".padEnd(22) : title.padStart(10))).join("")
)
for (const [name, values] of times) {
  console.log(name.padEnd(22) + [0.5, 0.9, 0.99].map((part) => micro(percentile(values, part))).join(""))
}
const straight = percentile(times.get("straight over TLS")!, 0.5)
const ratioOf = (name: keyof typeof clients): number => percentile(times.get(name)!, 0.5) / straight
const ratio = ratioOf("through the gateway")
console.log(`ratio of the medians: ${ratio.toFixed(2)}, promised: at most ${promised}`)
console.log(`of the bare relay:    ${ratioOf("through a bare relay").toFixed(2)}`)
if (ratio > promised) process.exitCode = 1
