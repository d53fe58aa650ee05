import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DsqlMigrator } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fingerprint, migrationSet, writeSet } from "./support/migrationSet.js"
import { type Program, startProgram } from "./support/program.js"
import { seeded } from "./support/random.js"

const isSoak = process.env["DSQL_SOAK"] !== undefined
const kills = isSoak ? 100 : 4
const deployers = isSoak ? 20 : 4

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "dsql migrations "))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** With a short lease the next one need not wait long for one that was killed; so many at once would starve it. */
const deployer = (migrations: string, lease: "short" | "default" = "default") =>
  Effect.flatMap(DsqlLocal, ({ access }) =>
    Effect.flatMap(access, (access) =>
      Effect.acquireRelease(
        Effect.sync(() =>
          startProgram(["test/support/migrateProgram.ts"], {
            ACCESS: JSON.stringify(access),
            MIGRATIONS: migrations,
            LEASE: lease,
            AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true"
          })
        ),
        (program) => Effect.sync(program.cleanUp)
      )
    )
  )

/** Lets a deployer say so much, and kills it a moment later; true if it had come to its end by then. */
const killAfter = (program: Program, lines: number, millis: number) =>
  Effect.promise(async () => {
    const said = program.printed(new RegExp(`(?:[^\\n]*\\n){${lines}}`)).catch(() => undefined)
    await Promise.race([said, program.exited])
    if (millis > 0) await new Promise((resolve) => setTimeout(resolve, millis))
    program.signal("SIGKILL")
    const { code } = await program.exited
    if (code !== null && code !== 0) throw new Error(program.errors())
    return code === 0
  })

/** What the database is like when nobody disturbs. */
const reference = (migrations: string) =>
  Effect.gen(function* () {
    yield* (yield* DsqlLocal).reset
    const program = yield* deployer(migrations)
    const { code } = yield* Effect.promise(() => program.exited)
    assert.strictEqual(code, 0, program.errors())
    assert.match(program.output(), new RegExp(`\\nran ${migrationSet.length}\\n$`))
    return yield* fingerprint
  })

layer(DsqlLocal.layerLive({ jobDuration: "30 millis" }, { pool: { min: 0 } }), {
  excludeTestServices: true,
  timeout: "60 seconds"
})("deployers in processes of their own", (it) => {
  it.scoped(
    `that are killed, ${kills} of them, leave nothing undone and nothing done twice`,
    () =>
      Effect.gen(function* () {
        assert.strictEqual(migrationSet.length, 30)
        const local = yield* DsqlLocal
        const migrations = writeSet(yield* folder)
        const expected = yield* reference(migrations)
        assert.isTrue((expected.runs as ReadonlyArray<{ times: number }>).every(({ times }) => times === 1))
        const random = seeded(20_261_125)
        let killed = 0
        while (killed < kills) {
          yield* local.reset
          for (let done = false; !done;) {
            // The last one is let alone.
            const lines = killed < kills ? 1 + Math.floor(random() * (isSoak ? 40 : 80)) : 100_000
            const program = yield* deployer(migrations, "short")
            done = yield* killAfter(program, lines, Math.floor(random() * 12))
            if (!done) killed++
          }
          assert.deepStrictEqual(yield* fingerprint, expected)
        }
      }),
    isSoak ? 3_600_000 : 180_000
  )

  it.scoped(
    `that come at once, ${deployers} of them, all succeed, and one of them has done it`,
    () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        const migrations = writeSet(yield* folder)
        const expected = yield* reference(migrations)
        yield* local.reset
        const programs = yield* Effect.replicateEffect(deployer(migrations), deployers)
        const codes = yield* Effect.promise(() => Promise.all(programs.map(({ exited }) => exited)))
        for (const [index, { code }] of codes.entries()) {
          assert.strictEqual(code, 0, programs[index]!.errors() + programs[index]!.output())
        }
        const ran = programs.map((program) => Number(/ran (\d+)\n$/.exec(program.output())?.[1]))
        assert.deepStrictEqual(
          ran.toSorted((a, b) => a - b),
          [...Array.from({ length: deployers - 1 }, () => 0), 30]
        )
        assert.deepStrictEqual(yield* fingerprint, expected)
        const sql = yield* SqlClient.SqlClient
        assert.deepStrictEqual(yield* sql`SELECT count(*)::int AS n FROM effect_sql_migrations`, [{ n: 30 }])
        assert.deepStrictEqual(
          yield* DsqlMigrator.run({ loader: DsqlMigrator.fromSql(Object.fromEntries(migrationSet)) }),
          []
        )
      }),
    isSoak ? 600_000 : 180_000
  )
})
