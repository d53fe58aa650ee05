import type { SqlClient } from "@effect/sql/SqlClient"
import type { FileSystem } from "@effect/platform/FileSystem"
import * as SqlMigrator from "@effect/sql/Migrator"
import type { Statement } from "@effect/sql/Statement"
import { expectTypeOf } from "@effect/vitest"
import { Context, Effect, type Layer, type Option, Stream } from "effect"
import { DsqlBatch, type DsqlErrors, DsqlJobs, DsqlMigrator } from "effect-dsql"
import { each, type Facts, Vault, VaultError } from "./support.js"

class Journal extends Context.Tag("Journal")<Journal, object>() {}

type BatchFailure = DsqlBatch.DsqlBatchError | DsqlErrors.DsqlError
const rows: Stream.Stream<{ readonly id: number }, VaultError, Vault> = Stream.fromEffect(
  Effect.flatMap(Vault, () => Effect.fail(new VaultError()))
)
const set = {} as Statement<unknown>

each("DsqlBatch", DsqlBatch, {
  DsqlBatchError: () =>
    expectTypeOf<Facts<DsqlBatch.DsqlBatchError>>().toEqualTypeOf<{
      readonly _tag: "DsqlBatchError"
      readonly reason: "Failed" | "OutcomeUnknown" | "Columns"
      readonly table: string
      readonly from: number
      readonly to: number
      readonly last: unknown
      readonly column?: string | undefined
    }>(),
  insert: () => {
    expectTypeOf(rows.pipe(DsqlBatch.insert({ table: "owner" }))).toEqualTypeOf<
      Effect.Effect<DsqlBatch.Progress<{ readonly id: number }>, VaultError | BatchFailure, Vault | SqlClient>
    >()
    const keep = ({ last }: DsqlBatch.Progress<{ readonly id: number }>) =>
      Effect.flatMap(Journal, () => (last?.id === 7 ? Effect.fail("kept" as const) : Effect.void))
    expectTypeOf(rows.pipe(DsqlBatch.insert({ table: "owner", onProgress: keep }))).toEqualTypeOf<
      Effect.Effect<
        DsqlBatch.Progress<{ readonly id: number }>,
        "kept" | VaultError | BatchFailure,
        Vault | Journal | SqlClient
      >
    >()
    // @ts-expect-error rows are objects
    void Stream.make(1).pipe(DsqlBatch.insert({ table: "owner" }))
  },
  update: () => {
    expectTypeOf(DsqlBatch.update({ table: "owner", key: ["id"], set })).toEqualTypeOf<
      Effect.Effect<DsqlBatch.Progress<DsqlBatch.Key>, BatchFailure, SqlClient>
    >()
    // @ts-expect-error a range is one of keys
    void DsqlBatch.update({ table: "owner", set })
  },
  delete: () =>
    expectTypeOf(DsqlBatch.delete({ table: "owner", key: ["id"], onProgress: () => Journal })).toEqualTypeOf<
      Effect.Effect<DsqlBatch.Progress<DsqlBatch.Key>, BatchFailure, Journal | SqlClient>
    >()
})

type JobEffect<A> = Effect.Effect<A, DsqlJobs.DsqlJobError | DsqlErrors.DsqlError, SqlClient>

each("DsqlJobs", DsqlJobs, {
  DsqlJobError: () =>
    expectTypeOf<Facts<DsqlJobs.DsqlJobError>>().toEqualTypeOf<{
      readonly _tag: "DsqlJobError"
      readonly reason: "Failed" | "Timeout" | "NotFound"
      readonly jobId: string
      readonly jobType?: string | undefined
      readonly objectName?: string | undefined
      readonly details?: string | undefined
      readonly dropped?: string | undefined
    }>(),
  watch: () =>
    expectTypeOf(DsqlJobs.watch).toEqualTypeOf<
      (
        jobId: string,
        options?: DsqlJobs.WatchOptions
      ) => Stream.Stream<DsqlJobs.Job, DsqlJobs.DsqlJobError | DsqlErrors.DsqlError, SqlClient>
    >(),
  wait: () =>
    expectTypeOf(DsqlJobs.wait).toEqualTypeOf<
      (jobId: string, options?: DsqlJobs.WaitOptions) => JobEffect<DsqlJobs.Job>
    >(),
  createIndex: () =>
    expectTypeOf(DsqlJobs.createIndex).toEqualTypeOf<
      (options: DsqlJobs.IndexOptions) => JobEffect<Option.Option<DsqlJobs.Job>>
    >(),
  validateConstraint: () =>
    expectTypeOf(DsqlJobs.validateConstraint).toEqualTypeOf<
      (options: DsqlJobs.ConstraintOptions) => JobEffect<Option.Option<DsqlJobs.Job>>
    >(),
  // Internal: they are not in the declarations that are published.
  dropInvalidIndex: () => {},
  waitForIndex: () => {}
})

type MigrationFailure = DsqlMigrator.DsqlMigrationError | DsqlErrors.DsqlError
const loader = {} as DsqlMigrator.Loader<Vault>

each("DsqlMigrator", DsqlMigrator, {
  DsqlMigrationError: () =>
    expectTypeOf<Facts<DsqlMigrator.DsqlMigrationError>>().toMatchTypeOf<{
      readonly _tag: "DsqlMigrationError"
      readonly reason: string
      readonly detail: string
      readonly migration?: string | undefined
      readonly file?: string | undefined
      readonly line?: number | undefined
      readonly position?: number | undefined
      readonly statement?: string | undefined
      readonly rule?: string | undefined
    }>(),
  fromBabelGlob: () => expectTypeOf(DsqlMigrator.fromBabelGlob).toEqualTypeOf<typeof SqlMigrator.fromBabelGlob>(),
  fromGlob: () => expectTypeOf(DsqlMigrator.fromGlob).toEqualTypeOf<typeof SqlMigrator.fromGlob>(),
  fromRecord: () => expectTypeOf(DsqlMigrator.fromRecord).toEqualTypeOf<typeof SqlMigrator.fromRecord>(),
  // The same type as that of @effect/sql.
  fromFileSystem: () =>
    expectTypeOf(DsqlMigrator.fromFileSystem).toEqualTypeOf<(directory: string) => SqlMigrator.Loader<FileSystem>>(),
  fromSql: () =>
    expectTypeOf(DsqlMigrator.fromSql).toEqualTypeOf<
      (migrations: Readonly<Record<string, string>>) => SqlMigrator.Loader
    >(),
  // What @effect/sql takes, this takes.
  run: () => {
    const options = {} as SqlMigrator.MigratorOptions<Vault>
    expectTypeOf(() => DsqlMigrator.run(options)).returns.toEqualTypeOf<
      Effect.Effect<ReadonlyArray<readonly [id: number, name: string]>, MigrationFailure, Vault | SqlClient>
    >()
  },
  layer: () =>
    expectTypeOf(() => DsqlMigrator.layer({ loader })).returns.toEqualTypeOf<
      Layer.Layer<never, MigrationFailure, Vault | SqlClient>
    >(),
  status: () =>
    expectTypeOf(() => DsqlMigrator.status({ loader })).returns.toEqualTypeOf<
      Effect.Effect<DsqlMigrator.Status, MigrationFailure, Vault | SqlClient>
    >(),
  plan: () =>
    expectTypeOf(() => DsqlMigrator.plan({ loader })).returns.toEqualTypeOf<
      Effect.Effect<DsqlMigrator.Plan, MigrationFailure, Vault | SqlClient>
    >(),
  repeatable: () =>
    expectTypeOf(DsqlMigrator.repeatable).toEqualTypeOf<
      <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    >()
})
