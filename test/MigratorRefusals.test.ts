/** Statements that DSQL refuses, of many kinds, in migrations: foretold, stopped at, and gone on behind. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlErrors, DsqlMigrator } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { schema, variations } from "./local/rules/variations.js"

const fresh = Effect.flatMap(DsqlLocal, ({ reset }) => reset)

const begin = { "1_schema.sql": schema.join(";\n") }

/** A statement in the third line of a file of its own, behind one that is harmless. */
const fileOf = (n: number): string => `${n}_refused.sql`
const textOf = (statement: string): string => `SELECT 1;\n\n${statement}`

const plan = (files: Readonly<Record<string, string>>) => DsqlMigrator.plan({ loader: DsqlMigrator.fromSql(files) })
const run = (files: Readonly<Record<string, string>>) => DsqlMigrator.run({ loader: DsqlMigrator.fromSql(files) })

interface Kind {
  readonly sql: string
  readonly statement: string
  readonly refusal: DsqlMigrator.Refusal
  readonly isRun: boolean
}

/** One statement of each rule that variations of recorded statements meet: the first that is told to be refused by it. */
const kinds = Effect.gen(function* () {
  const files = Object.fromEntries(variations.map(([sql], index) => [fileOf(index + 2), textOf(sql)]))
  const { migrations, problems } = yield* plan(files)
  const found = new Map<string, Kind>()
  for (const [index, [sql]] of variations.entries()) {
    const { file, statements = [] } = migrations.find(({ id }) => id === index + 2)!
    const [first, second, ...others] = statements
    if (first?.refusal !== undefined || second?.refusal === undefined || others.length > 0) continue
    const { refusal, statement } = second
    const isRun = problems.every((problem) => problem.file !== file)
    const key = `${refusal.rule ?? refusal.message} ${isRun}`
    if (!found.has(key)) found.set(key, { sql, statement, refusal, isRun })
  }
  return [...found.values()]
})

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "60 seconds" })(
  "migrations with a statement that DSQL refuses, of many kinds,",
  (it) => {
    it.effect(
      "stop there with file, line, statement and rule, as was foretold, and go on when it is mended",
      () =>
        Effect.gen(function* () {
          yield* fresh
          yield* run(begin)
          const refused = (yield* kinds).filter(({ isRun }) => isRun)
          assert.isAtLeast(refused.length, 40)
          let files: Readonly<Record<string, string>> = begin
          for (const [index, { refusal, sql, statement }] of refused.entries()) {
            const file = fileOf(index + 2)
            const error = yield* Effect.flip(run({ ...files, [file]: textOf(sql) }))
            assert.instanceOf(error, DsqlMigrator.DsqlMigrationError, sql)
            const isUnsupported = refusal.sqlState === "0A000"
            const told = {
              reason: isUnsupported ? "Refused" : "Statement",
              migration: `${index + 2}_refused`,
              file,
              position: 2,
              statement,
              rule: refusal.rule
            } as const
            assert.deepInclude(error, told, sql)
            assert.isAtLeast(error.line ?? 0, 3, sql)
            assert(DsqlErrors.isDsqlError(error.cause) && "server" in error.cause, sql)
            assert.deepInclude(error.cause.server, { sqlState: refusal.sqlState, message: refusal.message }, sql)
            assert.strictEqual(error.cause._tag === "DsqlUnsupportedError", isUnsupported, sql)
            files = { ...files, [file]: textOf("SELECT 2") }
            assert.deepStrictEqual(yield* run(files), [[index + 2, "refused"]], sql)
          }
        }),
      120_000
    )

    it.effect("are not begun where no file could hold such a statement", () =>
      Effect.gen(function* () {
        yield* fresh
        yield* run(begin)
        const refused = (yield* kinds).filter(({ isRun }) => !isRun)
        assert.isAbove(refused.length, 3)
        for (const { sql, statement } of refused) {
          const error = yield* Effect.flip(run({ ...begin, "2_refused.sql": textOf(sql) }))
          assert.deepInclude(error, { reason: "Script", file: "2_refused.sql", line: 3, statement }, sql)
        }
        assert.deepStrictEqual(yield* run({ ...begin, "2_refused.sql": textOf("SELECT 2") }), [[2, "refused"]])
      })
    )
  }
)
