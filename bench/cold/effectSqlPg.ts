import { DsqlSigner } from "@aws-sdk/dsql-signer"
import * as PgClient from "@effect/sql-pg/PgClient"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { dialling } from "../../test/local/dialling.js"
import { access, got } from "./row.js"

const { accessKeyId, ca, host, port, secretAccessKey } = access
const signer = new DsqlSigner({
  hostname: host,
  region: host.split(".")[2]!,
  credentials: { accessKeyId, secretAccessKey }
})
const layer = PgClient.layer({
  host,
  port,
  username: "admin",
  database: "postgres",
  password: Redacted.make(await signer.getDbConnectAdminAuthToken()),
  ssl: { ca },
  stream: () => dialling(access)
})

await Effect.flatMap(SqlClient, (sql) => Effect.map(sql`SELECT id FROM item WHERE id = 1`, got)).pipe(
  Effect.provide(layer),
  Effect.runPromise
)
