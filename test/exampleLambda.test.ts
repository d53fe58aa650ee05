/** The Lambda function of the examples in its container, over invocations and freezes. */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { fileURLToPath } from "node:url"
import { programOnCluster } from "./support/onCluster.js"

const table = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS example_hit (page text PRIMARY KEY, hits int NOT NULL)`
}).pipe(DsqlTransaction.retryStatement(), Effect.provide(DsqlLocal.layerClient()))

const startContainer = Effect.gen(function* () {
  const { endpoint, region } = yield* DsqlLocal
  yield* table
  const handler = fileURLToPath(new URL("../examples/lambda.ts", import.meta.url))
  const program = yield* programOnCluster(["test/support/container.ts", handler], {
    AWS_REGION: region,
    CLUSTER_ENDPOINT: endpoint
  })
  const printed = (pattern: RegExp) => Effect.promise(() => program.printed(pattern))
  yield* printed(/ready after/)
  let invocations = 0
  return {
    program,
    invoke: Effect.suspend(() => {
      program.tell(JSON.stringify({ page: "home" }))
      return Effect.map(
        printed(new RegExp(`^(?:\\{.*\\n|ready.*\\n){${++invocations}}(\\{.*\\}) after`)),
        ([, result]) => JSON.parse(result!)
      )
    })
  }
})

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("a container of Lambda", (it) => {
  it.scoped(
    "keeps its connection between invocations, and has a new one with a new token when it was frozen for too long",
    () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        const { invoke, program } = yield* startContainer
        const before = yield* local.loginCount
        assert.deepStrictEqual(yield* invoke, { hits: 1 })
        assert.deepStrictEqual(yield* invoke, { hits: 2 })
        assert.strictEqual(yield* local.loginCount, before)

        // Beyond the 15 minutes of a token and the 60 of a connection, which the server ends meanwhile.
        const night = Duration.hours(8)
        program.signal("SIGSTOP")
        yield* local.setTokenSkew(night)
        yield* local.sessionClock.advance(night)
        program.signal("SIGCONT")
        program.tell(`thawed ${Duration.toMillis(night)}`)
        assert.deepStrictEqual(yield* invoke, { hits: 3 })
        assert.deepStrictEqual(yield* invoke, { hits: 4 })
        assert.strictEqual(yield* local.loginCount, before + 1)

        // Too short for anything to expire, but the network has not waited.
        program.signal("SIGSTOP")
        yield* local.dropConnections
        program.signal("SIGCONT")
        assert.deepStrictEqual(yield* invoke, { hits: 5 })

        program.signal("SIGTERM")
        assert.deepStrictEqual(yield* Effect.promise(() => program.exited), { code: 0, signal: null })
        assert.strictEqual(program.errors(), "")
        yield* Effect.repeat(Effect.delay(local.connectionCount, "1 millis"), { until: (count) => count === 0 })
      }),
    60_000
  )
})
