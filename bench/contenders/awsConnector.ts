import { AuroraDSQLPool } from "@aws/aurora-dsql-node-postgres-connector"
import { dialling } from "../../test/local/dialling.js"
import type { Open } from "../contender.js"
import { providerOf } from "./credentials.js"
import { nodePostgresClient } from "./nodePostgres.js"

export const awsConnector: Open = async (access, options) => {
  const pool = new AuroraDSQLPool({
    host: access.host,
    port: access.port,
    ssl: { ca: access.ca },
    stream: () => dialling(access),
    max: options.connections,
    ...(options.inContainer === true ? {} : { customCredentialsProvider: providerOf(access) })
  })
  return nodePostgresClient(pool, options.connections)
}
