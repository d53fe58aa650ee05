/** How clients of all kinds are told where a local cluster is. */
import type { Cluster } from "../../../src/local/cluster.js"
import { dialling, signToken } from "../support.js"

/** For node-postgres and all that is built on it: a new token for each connection. */
export const poolConfig = (cluster: Cluster) => ({
  host: cluster.endpoint,
  port: cluster.port,
  user: cluster.user,
  database: cluster.database,
  password: () => signToken(cluster),
  ssl: { ca: cluster.ca },
  // The name is what is verified, not where to dial.
  stream: () => dialling(cluster),
  max: 4
})
