/**
 * Asks one row by its key again and again, one caller: through the gateway, through a relay that only does TLS, and straight
 * from PostgreSQL, in turns. Prints microseconds as JSON.
 */
import type { LocalAccess } from "effect-dsql/Local"
import pg from "pg"
import { dialling } from "../../test/local/dialling.js"
import { tokenFor } from "../contenders/token.js"
import { withProgram } from "../support/cluster.js"
import { quantile } from "../support/statistics.js"

const pairs = 5_000
/** So many until V8 has compiled what the gateway runs for each. */
const warmUp = 3_000
const rows = 1_000

/** Where PostgreSQL itself listens, and beside it the relay. */
interface Access extends LocalAccess {
  readonly address: string
  readonly barePort: number
}

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

const measure = async (access: Access): Promise<ReadonlyMap<string, ReadonlyArray<number>>> => {
  const common = { user: "admin", database: "postgres" }
  const gateway = new pg.Client({
    ...common,
    host: access.host,
    port: access.port,
    password: await tokenFor(access),
    ssl: { ca: access.ca },
    stream: () => dialling(access)
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
  return times
}

const times = await withProgram("local/overheadCluster.ts", [], (line) => measure(JSON.parse(line) as Access))
const percentiles = (values: ReadonlyArray<number>): ReadonlyArray<number> =>
  [0.5, 0.9, 0.99].map((part) => Math.round(quantile(values, part) * 1000))

console.log(JSON.stringify([...times].map(([name, values]) => ({ name, percentiles: percentiles(values) }))))
