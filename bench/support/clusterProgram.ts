/** A local cluster with a process of its own: says how to reach it, and ends with its standard input. */
import { type ClusterOptions, startCluster } from "../../src/local/cluster.js"

const cluster = await startCluster(JSON.parse(process.argv[2] ?? "{}") as ClusterOptions)
const { accessKeyId, ca, endpoint, hostaddr, port, secretAccessKey } = cluster
console.log(JSON.stringify({ host: endpoint, hostaddr, port, ca, accessKeyId, secretAccessKey }))
process.stdin.resume().once("end", () => void cluster.stop())
