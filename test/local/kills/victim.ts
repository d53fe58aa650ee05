/** Starts a cluster, works with it, says how far it is, and dies as its standard input tells it, or by a signal. */
import { createInterface } from "node:readline"
import { startCluster } from "../../../src/local/cluster.js"
import { connect } from "../support.js"

console.log("starting")
const cluster = await startCluster({ data: process.env["DATA"] })
createInterface(process.stdin).on("line", (line) => {
  switch (line) {
    case "exit":
      return process.exit(0)
    case "throw":
      throw new Error("on purpose")
    case "stop":
      process.stdin.destroy()
      return void cluster.stop()
  }
})
console.log("ready")

const work = async (): Promise<void> => {
  const client = await connect(cluster)
  await client.query("CREATE TABLE IF NOT EXISTS work (id int)")
  for (let id = 0; ; id++) await client.query("INSERT INTO work VALUES ($1)", [id])
}
const wait = async (): Promise<void> => {
  const client = await connect(cluster)
  await client.query("SELECT pg_sleep(600)")
}
// They fail when the cluster ends before them.
for (const task of [work, wait, wait]) task().catch(() => {})
console.log("working")
