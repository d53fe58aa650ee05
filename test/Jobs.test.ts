import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Chunk, Effect, Option, Stream } from "effect"
import { DsqlJobs, DsqlMigrator } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { asSuperuser } from "./support/superuser.js"

const prepare = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE IF EXISTS owner`
  yield* sql`CREATE TABLE owner (id int PRIMARY KEY, name text, email text)`
  yield* sql`INSERT INTO owner VALUES (1, 'Ana', 'a@x'), (2, 'Bo', 'b@x')`
  return sql
})

const definitions = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql<{ valid: boolean; definition: string }>`
    SELECT indisvalid AS valid, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = 'owner'::regclass AND NOT indisprimary`
)

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "60 seconds" })("jobs", (it) => {
  it.effect("build an index of every form, which can be used when they are done", () =>
    Effect.gen(function* () {
      const sql = yield* prepare
      const job = yield* DsqlJobs.createIndex({
        name: "by_email",
        table: "owner",
        columns: [sql`lower(email)`, "name"],
        unique: true,
        include: ["id"],
        nullsNotDistinct: true,
        where: sql`name <> 'x'`
      })
      const { jobType, status } = Option.getOrThrow(job)
      assert.deepStrictEqual([jobType, status], ["INDEX_BUILD", "completed"])
      assert.deepStrictEqual(yield* definitions, [
        {
          valid: true,
          definition:
            "CREATE UNIQUE INDEX by_email ON public.owner USING btree (lower(email), name) INCLUDE (id) NULLS NOT DISTINCT WHERE (name <> 'x'::text)"
        }
      ])
      const again = DsqlJobs.createIndex({ name: "by_email", table: "owner", columns: ["name"], ifNotExists: true })
      assert.deepStrictEqual(yield* again, Option.none())
    })
  )

  it.effect("give themselves to whoever does not want to wait, and tell their states", () =>
    Effect.gen(function* () {
      yield* prepare
      const { jobId, objectName, status } = Option.getOrThrow(
        yield* DsqlJobs.createIndex({ name: "by_name", table: "owner", columns: ["name"], wait: false })
      )
      assert.deepStrictEqual([objectName, status], ["public.by_name", "submitted"])
      const states = yield* Stream.runCollect(DsqlJobs.watch(jobId, { interval: "10 millis" }))
      const told = Chunk.toReadonlyArray(states).map(({ status }) => status)
      assert.strictEqual(told.at(-1), "completed")
      assert.strictEqual(new Set(told).size, told.length)
      assert.strictEqual((yield* DsqlJobs.wait(jobId)).status, "completed")
    })
  )

  it.effect("take the INVALID index away that they leave behind when they fail, and no other", () =>
    Effect.gen(function* () {
      const sql = yield* prepare
      yield* sql`UPDATE owner SET email = 'a@x'`
      yield* DsqlJobs.createIndex({ table: "owner", columns: ["name"] })
      const unique = DsqlJobs.createIndex({ table: "owner", columns: ["email"], unique: true })
      const error = yield* Effect.flip(unique)
      assert.instanceOf(error, DsqlJobs.DsqlJobError)
      assert.deepInclude(error, { reason: "Failed", dropped: "public.owner_email_idx" })
      assert.match(error.details ?? "", /duplicate/i)
      assert.deepStrictEqual(
        (yield* definitions).map(({ definition }) => definition),
        ["CREATE INDEX owner_name_idx ON public.owner USING btree (name)"]
      )
      yield* sql`UPDATE owner SET email = id || '@x'`
      assert.isTrue(Option.isSome(yield* unique))
    })
  )

  it.effect("leave an index alone that can be used, although its job has failed", () =>
    Effect.gen(function* () {
      const sql = yield* prepare
      const { caFile } = yield* DsqlLocal
      yield* sql`UPDATE owner SET email = 'a@x'`
      // By nothing that DSQL has, so that only what is done about the index can tell the two apart.
      const makeValid = Effect.promise(() =>
        asSuperuser(caFile, ({ run }) =>
          run("UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'by_email'::regclass")
        )
      )
      const error = yield* Effect.flip(
        DsqlMigrator.run({
          loader: DsqlMigrator.fromSql({ "1_index.sql": "CREATE UNIQUE INDEX ASYNC by_email ON owner (email)" }),
          onEvent: (event) =>
            event._tag === "Job" && event.job.status === "failed" ? Effect.asVoid(makeValid) : Effect.void
        })
      )
      assert.deepInclude(error, { _tag: "DsqlMigrationError", reason: "Job" })
      assert(error.cause instanceof DsqlJobs.DsqlJobError)
      assert.deepInclude(error.cause, { reason: "Failed", dropped: undefined })
      assert.deepStrictEqual(
        (yield* definitions).map(({ definition, valid }) => [valid, definition]),
        [[true, "CREATE UNIQUE INDEX by_email ON public.owner USING btree (email)"]]
      )
    })
  )

  it.effect("validate constraints", () =>
    Effect.gen(function* () {
      const sql = yield* prepare
      yield* sql`ALTER TABLE owner ADD CONSTRAINT named CHECK (name <> 'Bo') NOT VALID`
      const validate = DsqlJobs.validateConstraint({ table: "owner", constraint: "named" })
      const error = yield* Effect.flip(validate)
      assert.instanceOf(error, DsqlJobs.DsqlJobError)
      assert.deepStrictEqual([error.reason, error.dropped], ["Failed", undefined])
      yield* sql`DELETE FROM owner WHERE name = 'Bo'`
      assert.strictEqual(Option.getOrThrow(yield* validate).status, "completed")
    })
  )

  it.effect("are no part of a transaction, and want columns", () =>
    Effect.gen(function* () {
      const sql = yield* prepare
      const build = DsqlJobs.createIndex({ table: "owner", columns: ["name"] })
      assert.deepInclude(yield* Effect.flip(sql.withTransaction(build)), { reason: "InsideTransaction" })
      const none = yield* Effect.flip(DsqlJobs.createIndex({ table: "owner", columns: [] }))
      assert.deepInclude(none, { _tag: "DsqlConfigError", option: "columns" })
    })
  )
})
