import { AuroraDSQLPool } from "@aws/aurora-dsql-node-postgres-connector"
import { dialling } from "../../test/local/dialling.js"
import { access, got } from "./row.js"

const { accessKeyId, ca, host, port, secretAccessKey } = access
const pool = new AuroraDSQLPool({
  host,
  port,
  ssl: { ca },
  stream: () => dialling(access),
  customCredentialsProvider: async () => ({ accessKeyId, secretAccessKey })
})
got((await pool.query("SELECT id FROM item WHERE id = 1")).rows)
await pool.end()
