import { SqlClient } from "@effect/sql"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { readFileSync } from "node:fs"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal, type LocalOptions } from "effect-dsql/Local"
import { makeCommands } from "../../support/cli.js"

/** How a transaction ends that has changed a row which another changes too, and commits, before it does. */
const loser = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE item (id int PRIMARY KEY, n int)`
  yield* sql`INSERT INTO item VALUES (1, 0)`
  const hasWritten = yield* Deferred.make<void>()
  const hasLost = yield* Deferred.make<void>()
  const fiber = yield* Effect.fork(
    sql`UPDATE item SET n = 1`.pipe(
      Effect.zipRight(Deferred.succeed(hasWritten, undefined)),
      Effect.zipRight(Deferred.await(hasLost)),
      sql.withTransaction,
      DsqlErrors.refine,
      Effect.exit
    )
  )
  yield* Deferred.await(hasWritten)
  // PostgreSQL would have this wait for the end of the other.
  yield* sql`UPDATE item SET n = 2`
  yield* Deferred.succeed(hasLost, undefined)
  const exit = yield* Fiber.join(fiber)
  return Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : exit
})

/** How long PostgreSQL lets somebody wait for a lock; 0 is for ever. */
const patience = Effect.flatMap(SqlClient.SqlClient, (sql) => sql<{ lock_timeout: string }>`SHOW lock_timeout`).pipe(
  Effect.map(([row]) => row!.lock_timeout)
)

const onCluster = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient>, options: LocalOptions) =>
  Effect.runPromise(Effect.provide(effect, DsqlLocal.layerLive(options)))

describe("conflicts of a DsqlLocal", () => {
  it("come at COMMIT, typed, without being asked for", async () => {
    const error = await onCluster(loser, {})
    assert.instanceOf(error, DsqlErrors.DsqlConflictError)
    assert.strictEqual(error.reason, "Data")
  })

  it.each([
    [{}, "8ms"],
    [{ lockProbe: "20 millis" }, "20ms"],
    [{ conflicts: "postgres" }, "0"]
  ] as const)("let statements wait as its options say: %j", async (options, expected) => {
    assert.strictEqual(await onCluster(patience, options), expected)
  })
})

describe("conflicts of the command", () => {
  let commands: ReturnType<typeof makeCommands>
  beforeEach(() => void (commands = makeCommands()))
  afterEach(() => commands.cleanUp())

  const client = async (...options: ReadonlyArray<string>): Promise<ReturnType<typeof DsqlLocal.layerFrom>> => {
    const [line] = await commands.cli("local", "--json", ...options).printed(/^\{.*\}\n/)
    const { accessKeyId, ca, endpoint, hostaddr, port, secretAccessKey } = JSON.parse(line)
    return DsqlLocal.layerFrom({
      accessKeyId,
      ca: readFileSync(ca, "utf8"),
      host: endpoint,
      hostaddr,
      port,
      secretAccessKey
    })
  }

  it("come at COMMIT by default", async () => {
    assert.strictEqual(await Effect.runPromise(Effect.provide(patience, await client())), "8ms")
  })

  it("come as PostgreSQL has them with --conflicts postgres", async () => {
    assert.strictEqual(await Effect.runPromise(Effect.provide(patience, await client("--conflicts", "postgres"))), "0")
  })

  it.each([
    ["transactions", "gives 1"],
    ["sessions", "Schema"]
  ])("over the schema come to whom --schema-conflicts says: %s", async (who, expected) => {
    const layer = await client("--schema-conflicts", who)
    const told = Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return yield* Effect.scoped(
        Effect.gen(function* () {
          const changing = yield* sql.reserve
          const other = yield* sql.reserve
          yield* Effect.ignore(other.executeRaw("SELECT 1", []))
          yield* changing.executeRaw("CREATE TABLE item (id int PRIMARY KEY)", [])
          return yield* DsqlErrors.refine(other.executeRaw("SELECT 1", [])).pipe(
            Effect.as("gives 1"),
            Effect.catchTag("DsqlConflictError", ({ reason }) => Effect.succeed(reason))
          )
        })
      )
    })
    assert.strictEqual(await Effect.runPromise(Effect.provide(told, layer)), expected)
  })
})
