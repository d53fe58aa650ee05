import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"

const setting = (name: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(sql<{ value: string }>`SELECT current_setting(${name}) AS value`, ([row]) => row!.value)
  )

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("a connection", (it) => {
  it.effect("starts with the settings of its session, and returns to them", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const path = String.raw`"with space", "back\slash", public`
      assert.deepStrictEqual([yield* setting("search_path"), yield* setting("enable_hashjoin")], [path, "off"])
      yield* sql`SET search_path TO elsewhere`
      assert.strictEqual(yield* setting("search_path"), path)
    }).pipe(
      Effect.provide(
        DsqlLocal.layerClient({
          pool: { max: 1 },
          session: { search_path: String.raw`"with space", "back\slash", public`, enable_hashjoin: "off" }
        })
      )
    )
  )

  it.effect("is set up once, and again when its session has been reset", () =>
    Effect.gen(function* () {
      let runs = 0
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.deepStrictEqual(
          [yield* setting("search_path"), yield* setting("search_path"), runs],
          ["mine", "mine", 1]
        )
        yield* sql`SET search_path TO elsewhere`
        assert.deepStrictEqual(
          [yield* setting("search_path"), yield* setting("search_path"), runs],
          ["mine", "mine", 2]
        )
      }).pipe(
        Effect.provide(
          DsqlLocal.layerClient({
            pool: { max: 1 },
            setup: (sql) =>
              Effect.zipLeft(
                sql`SET search_path TO mine`,
                Effect.sync(() => runs++)
              )
          })
        )
      )
    })
  )

  it.effect("whose set-up fails is closed, and the layer fails with what the server said", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(DsqlLocal.layerClient({ setup: (sql) => sql`SELECT * FROM no_such_table` })))
      )
      assert.instanceOf(error, DsqlErrors.DsqlQueryError)
      yield* Effect.repeat(local.connectionCount, { until: (count) => count === 0 })
    })
  )
})
