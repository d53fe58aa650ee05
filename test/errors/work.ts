/** Batches, jobs and migrations that came to no good end. */
import { Effect, Stream } from "effect"
import { DsqlBatch } from "effect-dsql"
import * as DsqlTesting from "effect-dsql/Testing"
import type { Rows } from "./cases.js"

const inserting = <A extends object>(
  rows: ReadonlyArray<A>,
  prepare: (script: DsqlTesting.Script["Type"]) => Effect.Effect<void>,
  options: Partial<DsqlBatch.InsertOptions<A>> = {}
) =>
  Effect.gen(function* () {
    yield* prepare(yield* DsqlTesting.Script)
    return yield* DsqlBatch.insert<A>({ table: "owner", retry: { base: "1 millis", times: 1 }, ...options })(
      Stream.fromIterable(rows)
    )
  }).pipe(Effect.provide(DsqlTesting.layerClient([DsqlTesting.answer(/^INSERT/, [])])))

const violation = DsqlTesting.checkViolation({ table: "owner", constraint: "owner_age" })

export const batch: Rows<"DsqlBatchError"> = {
  Failed: [
    {
      when: "a row violates a constraint",
      fails: inserting([{ id: 1 }, { id: 2 }], (script) => script.failNext("statement", violation)),
      facts: { table: "owner", from: 1, to: 2 },
      next: /Rows 1 to 2 .*nothing of that batch was written.*then go on from row 1: .*owner_age/,
      origin: { name: "DsqlConstraintError" }
    },
    {
      when: "a conflict does not end",
      fails: inserting([{ id: 1 }], (script) => script.failNext("statement", DsqlTesting.conflict(), { times: 2 })),
      next: /Row 1 .*after 2 attempts/,
      origin: { name: "DsqlConflictError" }
    }
  ],
  OutcomeUnknown: [
    {
      when: "a statement is not answered and there is no key",
      fails: inserting([{ name: "Ana" }], (script) => script.failNext("statement", DsqlTesting.connectionLost())),
      facts: { table: "owner", from: 1, to: 1 },
      next: /look in the table whether they are written.*`key`/,
      origin: { name: "Error" }
    }
  ],
  Columns: [
    {
      when: "a row has a column more",
      fails: inserting<object>([{ id: 1 }, { id: 2, name: "Ana" }], () => Effect.void, { maxRows: 1 }),
      facts: { table: "owner", from: 2, to: 2, last: { id: 1 }, column: "name" },
      next: /Row 2 .*name is in one of them only.*with null/
    }
  ]
}
