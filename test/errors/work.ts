/** Batches, jobs and migrations that came to no good end. */
import { SqlClient } from "@effect/sql"
import { Effect, Stream } from "effect"
import { DsqlBatch, DsqlJobs, DsqlMigrator } from "effect-dsql"
import * as DsqlTesting from "effect-dsql/Testing"
import { DsqlLocal } from "effect-dsql/Local"
import { locally, type Rows, server } from "./cases.js"

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

/** A database of its own for each, in which the first set has run. */
const migrating = (
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
  options: Partial<DsqlMigrator.MigratorOptions> = {}
) =>
  locally(
    Effect.gen(function* () {
      const { reset } = yield* DsqlLocal
      yield* reset
      yield* DsqlMigrator.run({ loader: DsqlMigrator.fromSql(before) })
      return yield* DsqlMigrator.run({ loader: DsqlMigrator.fromSql(after), ...options })
    })
  )

const first = { "0001_a.sql": "CREATE TABLE a (n int);\nINSERT INTO a VALUES (1), (1)" }

export const migration: Rows<"DsqlMigrationError"> = {
  Loader: [
    {
      when: "a module has no Effect",
      fails: locally(
        DsqlMigrator.run({ loader: DsqlMigrator.fromGlob({ "1_a.ts": () => Promise.resolve({ default: 7 }) }) })
      ),
      facts: { migration: "1_a" },
      next: /export one: `export default/
    },
    {
      when: "a module cannot be imported",
      fails: locally(
        DsqlMigrator.run({
          loader: DsqlMigrator.fromGlob({ "1_a.ts": () => Promise.reject(new TypeError("no such thing")) })
        })
      ),
      next: /1_a: it could not be loaded: no such thing/,
      origin: { name: "TypeError" }
    }
  ],
  Script: [
    {
      when: "a file sets something of a session",
      fails: migrating({}, { "0001_a.sql": "ANALYZE;\nSET search_path TO a" }),
      facts: { file: "0001_a.sql", line: 2, migration: "1_a", statement: "SET search_path TO a" },
      next: /^0001_a\.sql:2: .*SET LOCAL between BEGIN and COMMIT/
    }
  ],
  Duplicate: [
    {
      when: "two have one number",
      fails: migrating({}, { "1_a": "ANALYZE", "01_b": "ANALYZE" }),
      next: /1_b: 1_a has the same number; give one of the two another/
    }
  ],
  Missing: [
    {
      when: "one that ran is gone",
      fails: migrating(first, {}),
      facts: { migration: "1_a" },
      next: /applied to this database, but is not among the migrations; bring it back as it was/
    }
  ],
  OutOfOrder: [
    {
      when: "a new one comes before one that ran",
      fails: migrating({ "2_b": "ANALYZE" }, { "1_a": "ANALYZE", "2_b": "ANALYZE" }),
      facts: { migration: "1_a" },
      next: /give it a higher number/
    }
  ],
  Edited: [
    {
      when: "a statement was changed after it ran",
      fails: migrating(first, { "0001_a.sql": first["0001_a.sql"].replace("(1), (1)", "(2)") }),
      facts: { file: "0001_a.sql", line: 2, position: 2, statement: "INSERT INTO a VALUES (1), (1)" },
      next: /bring back the one below, and make the change in a new migration \(effect-dsql\/docs\/errors\/DsqlMigrationError\.md\)\nINSERT INTO a VALUES \(1\), \(1\)$/
    }
  ],
  Refused: [
    {
      when: "DSQL does not know a statement",
      fails: Effect.gen(function* () {
        const local = yield* DsqlLocal
        const refusal = DsqlTesting.serverError({ sqlState: "0A000", message: "unsupported statement: Truncate" })
        return yield* migrating(
          first,
          { ...first, "0002_b.sql": "ANALYZE a;\n  TRUNCATE a" },
          {
            onEvent: (event) =>
              event._tag === "Statement" && event.position === 2 && event.state === "running"
                ? local.failNext("statement", refusal)
                : Effect.void
          }
        )
      }),
      facts: { file: "0002_b.sql", line: 2, position: 2, statement: "TRUNCATE a", rule: "unsupported-truncate" },
      next: /0002_b\.sql:2: DSQL refuses this statement.*\(rule unsupported-truncate\).*DELETE in batches/,
      origin: server("0A000")
    }
  ],
  Statement: [
    {
      when: "a statement fails",
      fails: migrating(first, { ...first, "0002_b.sql": "SELECT 1;\n\nSELECT\n1 / 0" }),
      facts: { file: "0002_b.sql", line: 3, position: 2, statement: "SELECT\n1 / 0" },
      next: /mend what is said here, then run again: division by zero/,
      origin: server("22012")
    }
  ],
  Failed: [
    {
      when: "an Effect fails by itself",
      fails: locally(
        DsqlMigrator.run({
          loader: DsqlMigrator.fromRecord({ "7_a": Effect.fail(new RangeError("mine")) }),
          table: "failing"
        })
      ),
      next: /Migration 7_a: the Effect failed by itself; mend that.*: mine/,
      origin: { name: "RangeError" }
    }
  ],
  Job: [
    {
      when: "a unique index is built over duplicates",
      fails: migrating(first, { ...first, "0002_b.sql": "CREATE UNIQUE INDEX ASYNC i ON a (n)" }),
      facts: { file: "0002_b.sql", line: 1, position: 1 },
      next: /its job failed; mend what is said here.*duplicate.*INVALID index public\.i was dropped/i,
      origin: { name: "DsqlJobError" }
    }
  ],
  Uncertain: { elsewhere: "test/Migrator.test.ts" },
  LeaseTimeout: { elsewhere: "test/Migrator.test.ts" },
  LeaseLost: { elsewhere: "test/Migrator.test.ts" }
}
