import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { inject } from "vitest"
import { visit } from "./visit.js"

layer(DsqlLocal.layerFrom(inject("dsql")), { excludeTestServices: true })("stock", (it) => {
  it.effect("are kept in the shared cluster", () =>
    visit("stock").pipe(Effect.map((rows) => assert.deepStrictEqual(rows, [{ id: 1 }])))
  )
})
