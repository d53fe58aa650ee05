/**
 * Asks one row by its key again and again, one caller: through the gateway, through a relay that only does TLS, and straight
 * from PostgreSQL, in turns. Prints microseconds as JSON.
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
/** So many until V8 has compiled what the gateway runs for each. */
const warmUp = 3_000
const rows = 1_000
const parts = [0.5, 0.9, 0.99]

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

const microseconds = (values: ReadonlyArray<number>, part: number): number =>
  Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length * part)]! * 1000)

console.log(
  JSON.stringify(
    [...times].map(([name, values]) => ({ name, percentiles: parts.map((part) => microseconds(values, part)) }))
  )
)
