import { SqlClient } from "@effect/sql"
import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { DsqlAuth, DsqlErrors, DsqlLayer } from "effect-dsql"
import { DsqlLocal, type DsqlLocalError, type LocalAccess } from "effect-dsql/Local"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const identity = { accessKeyId: "AKIAORDERS0000000000", secretAccessKey: Redacted.make("orders-key") }

/** A client that logs in as the role `orders`. */
const asOrders = Layer.unwrapEffect(
  Effect.map(DsqlLocal, ({ options }) =>
    DsqlLayer.layer({ ...options, user: "orders" }, { credentials: DsqlAuth.layerStatic(identity) })
  )
)

/** A folder that is gone with the scope. */
const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "dsql layers "))
    chmodSync(path, 0o755)
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const whoAmI = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT current_user AS name`)

layer(DsqlLocal.layerLive(), { excludeTestServices: true, timeout: "1 minute" })("DsqlLocal", (it) => {
  it.effect("gives a role to an identity, and takes it away", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      const arn = yield* local.addIdentity({ ...identity, allowedActions: ["dsql:DbConnect"] })
      yield* sql`CREATE ROLE orders WITH LOGIN`
      const refused = yield* Effect.flip(Effect.provide(whoAmI, asOrders))
      assert.instanceOf(refused, DsqlErrors.DsqlAuthenticationError)
      assert.strictEqual(refused.reason, "AccessDenied")
      yield* sql.unsafe(`AWS IAM GRANT orders TO '${arn}'`)
      assert.deepStrictEqual(yield* Effect.provide(whoAmI, asOrders), [{ name: "orders" }])
      assert.deepStrictEqual(yield* sql`SELECT pg_role_name FROM sys.iam_pg_role_mappings WHERE arn = ${arn}`, [
        { pg_role_name: "orders" }
      ])
      yield* local.removeIdentity(identity.accessKeyId)
      assert.instanceOf(yield* Effect.flip(Effect.provide(whoAmI, asOrders)), DsqlErrors.DsqlAuthenticationError)
    })
  )

  it.effect("refuses what is no ARN as a typed error", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const error = yield* Effect.flip(local.addIdentity({ ...identity, arn: "orders" }))
      assert.strictEqual(error._tag, "DsqlLocalError")
      assert.strictEqual(error.reason, "InvalidArn")
      assert.include(error.message, "arn:aws:iam::<12 digits>:user/<name>")
    })
  )

  it.effect("resets under a client, whose next statement runs in the empty database", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      for (let round = 0; round < 5; round++) {
        yield* Effect.all(
          ["CREATE TABLE t (id int)", "SELECT 1", "SELECT 2"].map((text) => sql.unsafe(text)),
          { concurrency: 3 }
        )
        yield* local.reset
        assert.deepStrictEqual(yield* sql`SELECT to_regclass('t') AS found`, [{ found: null }])
      }
    })
  )

  it.effect("freezes and drops connections, and shows the log", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE frozen (id int)`
      const started = yield* Deferred.make<void>()
      yield* local.pause
      const insert = yield* Effect.fork(
        Deferred.succeed(started, undefined).pipe(Effect.zipRight(sql`INSERT INTO frozen VALUES (1)`))
      )
      yield* Deferred.await(started)
      assert.isTrue((yield* local.connections).length > 0)
      assert.strictEqual((yield* insert.poll)._tag, "None")
      yield* local.resume
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(insert)))

      const rows = yield* sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
      assert.isTrue(yield* local.dropConnection(rows[0]!.pid))
      assert.isFalse(yield* local.dropConnection(-1))
      yield* local.dropConnectionsOf("nobody")
      yield* Effect.eventually(sql`SELECT 1`)
      yield* local.dropConnectionsOf("admin")
      yield* Effect.eventually(sql`SELECT 1`)
      yield* Effect.flip(sql`SELECT * FROM no_such_table`)
      assert.include(yield* local.logs, 'relation "no_such_table" does not exist')
    })
  )

  it.effect("says how to reach it in plain data, from which a client is made", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const access = JSON.parse(JSON.stringify(yield* local.access))
      const name = yield* Effect.provide(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT current_setting('application_name') AS name`),
        DsqlLocal.layerFrom(access, { applicationName: "elsewhere" })
      )
      assert.match(String(name[0]?.["name"]), /^elsewhere:effect-dsql\//)
    })
  )
})

describe("DsqlLocal.layerFrom", () => {
  it.effect("asks for globalSetup when nothing was provided", () =>
    Effect.gen(function* () {
      // What `inject` of vitest gives then, whatever its type says.
      const nothing = undefined as unknown as LocalAccess
      const error = yield* Effect.flip(Effect.scoped(Layer.build(DsqlLocal.layerFrom(nothing))))
      assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["DsqlConfigError", "Missing"])
      assert.include(error.message, "access: nothing was provided: is globalSetup in the configuration of vitest")
    })
  )
})

describe("DsqlLocal with data", () => {
  it.scopedLive("keeps them from one layer to the next, and refuses a second at the same time", () =>
    Effect.gen(function* () {
      const data = join(yield* folder, "kept")
      const answers = yield* Effect.forEach(
        ["CREATE TABLE kept (n int)", "SELECT count(*)::int AS n FROM kept"],
        (text) =>
          Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(text)).pipe(
            Effect.provide(DsqlLocal.layerLive({ data }))
          )
      )
      assert.deepStrictEqual(answers[1], [{ n: 0 }])
      yield* Layer.build(DsqlLocal.layer({ data }))
      const error = yield* Effect.flip(Layer.build(DsqlLocal.layer({ data })))
      assert.deepStrictEqual([error._tag, error.reason], ["DsqlLocalError", "DataInUse"])
    })
  )
})

describe("the handle of a cluster that is gone", () => {
  it.live("fails with typed errors", () =>
    Effect.gen(function* () {
      const local = yield* Effect.provide(DsqlLocal, DsqlLocal.layer())
      const reasonOf = <A>(effect: Effect.Effect<A, DsqlLocalError>) =>
        Effect.map(Effect.flip(effect), (error) => error.reason)
      assert.strictEqual(yield* reasonOf(local.reset), "ResetFailed")
      assert.strictEqual(yield* reasonOf(local.start), "StartFailed")
      assert.strictEqual(yield* reasonOf(local.restart), "StartFailed")
      assert.strictEqual(yield* reasonOf(local.logs), "Unexpected")
      yield* local.stop
      assert.strictEqual(yield* local.connectionCount, 0)
    })
  )
})
