/** The spans of a run of which every step is known, as the tree that a tracing back end shows. */
import { SqlClient } from "@effect/sql"
import { assert, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, TestClock } from "effect"
import { DsqlAuth, DsqlLayer, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { makeRecorder, type Tree } from "./support/telemetry.js"
import { quick } from "./support/transactions.js"

const plain = { captureStackTrace: false } as const

/** Waits are drawn. */
const untimed = (events: Tree["events"]) =>
  events.map(([name, { "dsql.wait": wait, ...attributes }]) => {
    if (wait !== undefined) assert.isAtLeast(Number(wait), 0)
    return [name, attributes]
  })

/** What is the same on every span of a client is looked at in one place. */
const shown = (common: Readonly<Record<string, unknown>>) => {
  const show = ({ attributes, children, events, name }: Tree): unknown => {
    const isClient = name === "DsqlConnection.open" || name.startsWith("sql.")
    const own = Object.entries(attributes).filter(([key]) => !isClient || !(key in common))
    if (isClient) for (const [key, value] of Object.entries(common)) assert.strictEqual(attributes[key], value, name)
    return [name, Object.fromEntries(own), untimed(events), children.map(show)]
  }
  return show
}

it.scoped("of what goes on in the background belong to nobody", () =>
  Effect.gen(function* () {
    const { trees, tracer } = yield* makeRecorder
    const sign: DsqlAuth.Sign = () => Effect.succeed(Redacted.make("a token"))
    yield* Layer.build(
      DsqlAuth.layerTokenFrom(sign).pipe(
        Layer.provide(DsqlTesting.layerCredentials()),
        Layer.provide(DsqlTesting.layerConfig())
      )
    ).pipe(
      Effect.flatMap((context) => Context.get(context, DsqlAuth.DsqlToken).get),
      Effect.withSpan("start-up", plain),
      Effect.withTracer(tracer)
    )
    yield* TestClock.adjust("14 minutes")
    assert.deepStrictEqual(
      (yield* trees).map(({ children, name }) => [name, children.map((child) => child.name)]),
      [
        ["start-up", ["DsqlToken.sign"]],
        ["DsqlToken.sign", []]
      ]
    )
  })
)

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("spans", (it) => {
  it.scoped("are one for each attempt and connection, with what went wrong and the attributes of OpenTelemetry", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const { trees, tracer } = yield* makeRecorder
      const Db = DsqlLayer.layer(
        { ...local.options, retry: quick, spanAttributes: { team: "orders" } },
        { credentials: DsqlAuth.layerStatic(local.credentials) }
      )
      yield* local.failNext("connect", DsqlTesting.connectionRefused("ClusterWaking"))
      yield* Effect.gen(function* () {
        const refused = yield* Effect.flip(Layer.build(Db).pipe(Effect.withSpan("start-up", plain)))
        assert.strictEqual(refused._tag, "DsqlConnectionError")
        const sql = Context.get(yield* Layer.build(Layer.fresh(Db)), SqlClient.SqlClient)
        yield* local.failNext("statement", DsqlTesting.connectionLost())
        yield* local.failNext("COMMIT", DsqlTesting.conflict())
        yield* DsqlTransaction.withRetry(sql`SELECT ${1}::int AS n`, { name: "visit" }).pipe(
          Effect.provideService(SqlClient.SqlClient, sql),
          Effect.withSpan("request", plain)
        )
        yield* local.failNext("statement", DsqlTesting.conflict("Schema"))
        yield* DsqlTransaction.retryStatement(sql`SELECT 2`, { name: "ask", times: 0 }).pipe(
          Effect.provideService(SqlClient.SqlClient, sql),
          Effect.flip
        )
      }).pipe(Effect.withTracer(tracer))
      const show = shown({
        team: "orders",
        "db.system.name": "postgresql",
        "db.namespace": "postgres",
        "server.address": local.endpoint,
        "server.port": local.port
      })
      const address = { "server.address": local.endpoint }
      const refresh = ["dsql.token.refresh", address]
      const sign = ["DsqlToken.sign", address, [], []]
      const execute = (text: string) => [
        "sql.execute",
        { "db.operation.name": "execute", "db.query.text": text },
        [],
        []
      ]
      const select = execute("SELECT $1::int AS n")
      const conflict = { "error.type": "DsqlConflictError", "db.response.status_code": "40001" }
      assert.deepStrictEqual((yield* trees).map(show), [
        ["start-up", {}, [], []],
        [
          "DsqlConnection.open",
          { "error.type": "DsqlConnectionError", "dsql.reason": "ClusterWaking", "db.response.status_code": "XX000" },
          [refresh],
          [sign]
        ],
        ["DsqlConnection.open", {}, [refresh], [sign]],
        [
          "request",
          {},
          [],
          [
            [
              "DsqlTransaction.retry",
              { "dsql.name": "visit", "dsql.attempts": 3 },
              [
                ["dsql.reconnect", { "dsql.attempt": 1, "error.type": "DsqlConnectionError" }],
                ["dsql.retry", { "dsql.attempt": 2, "error.type": "DsqlConflictError" }]
              ],
              [
                ["sql.transaction", { "error.type": "DsqlConnectionError", "dsql.reason": "Closed" }, [], [select]],
                [
                  "sql.transaction",
                  { ...conflict, "dsql.reason": "Data" },
                  [["dsql.conflict", { "dsql.reason": "Data" }]],
                  [select]
                ],
                ["sql.transaction", {}, [], [select]]
              ]
            ]
          ]
        ],
        // The token is still good.
        ["DsqlConnection.open", {}, [], []],
        [
          "DsqlTransaction.retry",
          { "dsql.name": "ask", "dsql.attempts": 1, ...conflict, "dsql.reason": "Schema" },
          [["dsql.conflict", { "dsql.reason": "Schema" }]],
          [execute("SELECT 2")]
        ]
      ])
    })
  )
})
