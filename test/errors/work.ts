/** Batches, jobs and migrations that came to no good end. */
import { SqlClient } from "@effect/sql"
import { Effect, Stream } from "effect"
import { DsqlBatch, DsqlJobs } from "effect-dsql"
import * as DsqlTesting from "effect-dsql/Testing"
import { locally, type Rows } from "./cases.js"

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

const unique = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE IF EXISTS twice`
  yield* sql`CREATE TABLE twice (n int)`
  yield* sql`INSERT INTO twice VALUES (1), (1)`
  yield* DsqlJobs.createIndex({ name: "once", table: "twice", columns: ["n"], unique: true })
})

export const job: Rows<"DsqlJobError"> = {
  Failed: [
    {
      when: "a unique index is built over duplicates",
      fails: locally(unique),
      facts: { jobType: "INDEX_BUILD", dropped: "public.once" },
      next: /INDEX_BUILD .* failed: .*duplicate.*the INVALID index public\.once was dropped.*create it anew/i
    }
  ],
  Timeout: [
    {
      when: "it takes too long",
      fails: locally(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`DROP TABLE IF EXISTS slow`
          yield* sql`CREATE TABLE slow (n int)`
          yield* DsqlJobs.createIndex({ table: "slow", columns: ["n"], timeout: "1 millis" })
        })
      ),
      next: /it goes on, so wait for it again, with a longer timeout/
    }
  ],
  NotFound: [
    {
      when: "there is none of that id",
      fails: locally(DsqlJobs.wait("aaaaaaaaaaaaaaaaaaaaaaaaaa")),
      facts: { jobId: "aaaaaaaaaaaaaaaaaaaaaaaaaa" },
      next: /ended more than 30 minutes ago; look at the index or constraint itself/
    }
  ]
}
