/** Starts a cluster, with its data in the folder that DATA names if there is one, says where, and ends as its argument says. */
import { dirname } from "node:path"
import { startCluster } from "../../src/local/cluster.js"

const cluster = await startCluster({ data: process.env["DATA"] }).catch((error: unknown) => {
  console.log(JSON.stringify({ ...(error as object), message: String(error) }))
  process.exit(1)
})
console.log(JSON.stringify({ folder: dirname(cluster.caFile), port: cluster.port }))
switch (process.argv[2]) {
  case "exit":
    process.exit(0)
    break
  case "throw":
    setImmediate(() => {
      throw new Error("on purpose")
    })
    break
  case "stop":
    await cluster.stop()
    break
  case "stopServer":
    await cluster.stopServer()
    console.log("stopped")
    // What would go on in a real program.
    setInterval(() => {}, 1_000)
    break
}
