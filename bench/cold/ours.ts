import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as DsqlAuth from "effect-dsql/Auth"
import * as DsqlLayer from "effect-dsql/Layer"
import { access, got } from "./row.js"

const { accessKeyId, ca, host, hostaddr, port, secretAccessKey } = access
const layer = DsqlLayer.layer(
  { host, hostaddr, port, tls: { ca } },
  { credentials: DsqlAuth.layerStatic({ accessKeyId, secretAccessKey: Redacted.make(secretAccessKey) }) }
)

await Effect.flatMap(SqlClient, (sql) => Effect.map(sql`SELECT id FROM item WHERE id = 1`, got)).pipe(
  Effect.provide(layer),
  Effect.runPromise
)
