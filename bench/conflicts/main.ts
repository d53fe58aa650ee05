/**
 * Measures what conflicts as the service has them cost in the local cluster: the same work on one cluster with them and one
 * without, by turns, in one run. One client, so that there is no conflict.
 */
import type pg from "pg"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connect } from "../../test/local/support.js"
import { describeMachine, inWords } from "../support/machine.js"
import { median, table } from "../support/statistics.js"

const rounds = 1000

const update = { name: "update", text: "UPDATE item SET n = n + 1 WHERE id = $1", values: [1] }
const read = { name: "read", text: "SELECT n FROM item WHERE id = $1", values: [1] }
const lock = { name: "lock", text: "SELECT n FROM item WHERE id = $1 FOR UPDATE", values: [1] }

const inTransaction =
  (...statements: ReadonlyArray<pg.QueryConfig>) =>
  async (client: pg.Client): Promise<void> => {
    await client.query("BEGIN")
    for (const statement of statements) await client.query(statement)
    await client.query("COMMIT")
  }

interface Work {
  readonly name: string
  readonly run: (client: pg.Client) => Promise<unknown>
  /** Whether another transaction is open, to which locks matter. */
  readonly besideAnother?: boolean
}

const works: ReadonlyArray<Work> = [
  { name: "a read", run: (client) => client.query(read) },
  { name: "a transaction of 1 read", run: inTransaction(read) },
  { name: "an UPDATE", run: (client) => client.query(update) },
  { name: "a transaction of 1 UPDATE", run: inTransaction(update) },
  { name: "a transaction of 10 UPDATEs", run: inTransaction(...Array.from({ length: 10 }, () => update)) },
  { name: "a transaction of FOR UPDATE, UPDATE", run: inTransaction(lock, update) },
  { name: "the same on 1,000 rows beside another that is open", run: inTransaction(lock, update), besideAnother: true }
]

const timed = async (task: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await task()
  return performance.now() - began
}

const open = async (cluster: Cluster) => ({ client: await connect(cluster), other: await connect(cluster) })

const clusters = [await startCluster({ conflicts: "postgres" }), await startCluster({ conflicts: "service" })] as const
const [without, withThem] = [await open(clusters[0]), await open(clusters[1])]
const both = [without, withThem]
for (const { client } of both) {
  await client.query("CREATE TABLE item (id int PRIMARY KEY, n int)")
  await client.query("INSERT INTO item SELECT id, 0 FROM generate_series(1, 1000) AS id")
}

const lines: Array<ReadonlyArray<string>> = []
for (const { besideAnother = false, name, run } of works) {
  for (const { other } of both) await other.query(besideAnother ? "BEGIN; SELECT FROM item" : "SELECT 1")
  const pairs: Array<readonly [number, number]> = []
  for (let round = 0; round < rounds; round++) {
    // Who comes first takes turns too.
    const one = round % 2 === 0 ? await timed(() => run(without.client)) : undefined
    const other = await timed(() => run(withThem.client))
    pairs.push([one ?? (await timed(() => run(without.client))), other])
  }
  for (const { other } of both) await other.query("ROLLBACK")
  lines.push([
    name,
    `${(median(pairs.map(([one]) => one)) * 1000).toFixed(0)} µs`,
    `${(median(pairs.map(([, other]) => other)) * 1000).toFixed(0)} µs`,
    median(pairs.map(([one, other]) => other / one)).toFixed(2)
  ])
}
for (const { client, other } of both) {
  await client.end()
  await other.end()
}
for (const cluster of clusters) await cluster.stop()
console.log(`${rounds} pairs each; medians. ${inWords(describeMachine())}`)
console.log(table(["", "`postgres`", "`service`", "ratio"], lines))
