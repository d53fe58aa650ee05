/** Round trips from dialling to the first row, counted at the wire. TCP's own handshake is the same for all. */
import { AuroraDSQLPool } from "@aws/aurora-dsql-node-postgres-connector"
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { DsqlAuth, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { dialling } from "./local/dialling.js"
import { countFlights } from "./support/flights.js"

/** The first row over a connection of ours, which lasts as long as the scope. */
const ours = (port: number, negotiation: "direct" | "postgres") =>
  Effect.gen(function* () {
    const { ca, credentials, options } = yield* DsqlLocal
    const services = yield* Layer.build(
      DsqlLayer.layer(
        { ...options, port, tls: { ca, negotiation } },
        { credentials: DsqlAuth.layerStatic(credentials) }
      )
    )
    return yield* Context.get(services, SqlClient.SqlClient)`SELECT 1 AS one`
  })

const aws = (port: number) =>
  Effect.gen(function* () {
    const { ca, credentials, endpoint, hostaddr } = yield* DsqlLocal
    const pool = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new AuroraDSQLPool({
            host: endpoint,
            port,
            ssl: { ca },
            stream: () => dialling({ hostaddr, port }),
            customCredentialsProvider: async () => ({
              accessKeyId: credentials.accessKeyId,
              secretAccessKey: Redacted.value(credentials.secretAccessKey)
            })
          })
      ),
      (pool) => Effect.promise(() => pool.end())
    )
    return (yield* Effect.promise(() => pool.query("SELECT 1 AS one"))).rows
  })

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("a new connection", (it) => {
  it.effect("has its first row after four round trips, one less than with AWS's connector", () =>
    Effect.forEach([(port: number) => ours(port, "direct"), (port: number) => ours(port, "postgres"), aws], (open) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { port, take } = yield* countFlights
          assert.deepStrictEqual(Array.from(yield* open(port)), [{ one: 1 }])
          return yield* take
        })
      )
    ).pipe(
      // TLS, the start-up, the token and the statement; where the server is asked for TLS first, that as well.
      Effect.map((flights) => assert.deepStrictEqual(flights, [4, 5, 5]))
    )
  )
})
