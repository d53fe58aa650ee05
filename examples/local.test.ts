/**
 * An integration test: the same program on a local cluster, with real SQL, real TLS and real tokens.
 *
 *   npx vitest run examples/local.test.ts
 */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { DsqlAuth, DsqlErrors, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"

/** The code under test. */
const register = (name: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`INSERT INTO owner ${sql.insert({ name })}`
  }).pipe(
    DsqlErrors.refine,
    Effect.catchTag("DsqlConstraintError", () => Effect.fail("taken" as const))
  )

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "1 minute" })("owners", (it) => {
  it.effect("have names of their own", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE owner (name text PRIMARY KEY)`
      yield* register("Ana")
      assert.strictEqual(yield* Effect.flip(register("Ana")), "taken")
      assert.deepStrictEqual(yield* sql`SELECT name FROM owner`, [{ name: "Ana" }])
    })
  )

  it.effect("are safe from who holds wrong keys", () =>
    Effect.gen(function* () {
      const { credentials, options } = yield* DsqlLocal
      const stranger = DsqlAuth.layerStatic({ ...credentials, secretAccessKey: Redacted.make("wrong") })
      const error = yield* register("Eva").pipe(
        Effect.provide(DsqlLayer.layer(options, { credentials: stranger })),
        Effect.flip
      )
      assert.instanceOf(error, DsqlErrors.DsqlAuthenticationError)
    })
  )
})
