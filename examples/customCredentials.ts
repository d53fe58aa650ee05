/**
 * Credentials from a provider of one's own: a vault, a file, another SDK. It is asked once for each token, not for each
 * connection, and with an `expiration` only when that is near.
 *
 *   CLUSTER_ENDPOINT=… VAULT_KEY_ID=… VAULT_SECRET=… npx tsx examples/customCredentials.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Console, Effect, Layer } from "effect"
import { DsqlAuth, DsqlLayer } from "effect-dsql"

let asked = 0

const vault: DsqlAuth.Provider = async () => {
  asked += 1
  return {
    accessKeyId: process.env["VAULT_KEY_ID"] ?? "",
    secretAccessKey: process.env["VAULT_SECRET"] ?? "",
    expiration: new Date(Date.now() + 60 * 60 * 1000)
  }
}

const Db = Config.string("CLUSTER_ENDPOINT").pipe(
  Effect.map((host) => DsqlLayer.layer(host, { credentials: DsqlAuth.layerProvider(vault) })),
  Layer.unwrapEffect
)

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.all(
    Array.from({ length: 20 }, () => sql`SELECT 1`),
    { concurrency: 5 }
  )
  yield* Console.log(`20 statements over 5 connections, the vault was asked ${asked} time`)
})

program.pipe(Effect.provide(Db), NodeRuntime.runMain)
