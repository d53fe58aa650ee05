/** Starts a cluster, says where, and ends in the way its argument names. */
import { dirname } from "node:path"
import { startCluster } from "../../src/local/cluster.js"

const cluster = await startCluster()
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
}
