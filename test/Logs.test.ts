/** What an operator reads at the default level, Info, and what only whoever looks closer. */
import { SqlClient } from "@effect/sql"
import { assert, it, layer } from "@effect/vitest"
import { Clock, Context, Effect, HashMap, Layer, Logger, LogLevel, Redacted, TestClock } from "effect"
import { DsqlAuth, DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { quick } from "./support/transactions.js"

/** Lines of this package, as `LEVEL Module: message`. */
const makeLog = Effect.sync(() => {
  const lines: Array<string> = []
  const logger = Logger.make(({ annotations, logLevel, message }) => {
    const of = (key: string) => String(HashMap.unsafeGet(annotations, key))
    if (!HashMap.has(annotations, "package")) return
    assert.strictEqual(of("package"), "effect-dsql")
    lines.push(`${logLevel.label} ${of("module")}: ${String(Array.isArray(message) ? message[0] : message)}`)
  })
  return { lines, layer: Logger.replace(Logger.defaultLogger, logger) }
})

it.scoped("a token that cannot be renewed is a warning while the old one serves, and an error when none is left", () =>
  Effect.gen(function* () {
    const log = yield* makeLog
    let signed = 0
    const failedAt: Array<number> = []
    const sign: DsqlAuth.Sign = ({ host }) =>
      Effect.gen(function* () {
        if (++signed === 1) return Redacted.make("a token")
        failedAt.push(yield* Clock.currentTimeMillis)
        return yield* new DsqlErrors.DsqlTokenError({ reason: "SigningFailed", host })
      })
    yield* Effect.gen(function* () {
      const tokens = DsqlAuth.layerTokenFrom(sign).pipe(
        Layer.provide(DsqlTesting.layerCredentials()),
        Layer.provide(DsqlTesting.layerConfig())
      )
      yield* Context.get(yield* Layer.build(tokens), DsqlAuth.DsqlToken).get
      yield* TestClock.adjust("20 minutes")
    }).pipe(Effect.provide(log.layer))
    // A token lives for 15 minutes, and is used for half a minute less.
    const end = 870_000
    assert.isTrue(failedAt.some((at) => at < end) && failedAt.some((at) => at >= end))
    assert.deepStrictEqual(
      log.lines,
      failedAt.map((at) =>
        at < end
          ? "WARN Auth: Renewing the DSQL token failed; the old one serves until 1970-01-01T00:14:30.000Z"
          : "ERROR Auth: Renewing the DSQL token failed, and there is none to log in with"
      )
    )
  })
)

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("a client at work", (it) => {
  const work = Effect.gen(function* () {
    const local = yield* DsqlLocal
    const sql = yield* SqlClient.SqlClient
    yield* local.failNext("COMMIT", DsqlTesting.conflict())
    yield* DsqlTransaction.withRetry(sql`SELECT 1`)
  }).pipe(Effect.provide(DsqlLocal.layerClient({ retry: quick })))

  it.effect("says nothing by default, also when it loses conflicts", () =>
    Effect.gen(function* () {
      const log = yield* makeLog
      yield* work.pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines, [])
    })
  )

  it.effect("tells of connections and retries to whoever looks closer", () =>
    Effect.gen(function* () {
      const log = yield* makeLog
      yield* work.pipe(Effect.provide(log.layer), Logger.withMinimumLogLevel(LogLevel.Debug))
      assert.deepStrictEqual(log.lines, [
        "DEBUG Connection: Connection opened",
        "DEBUG Transaction: Attempt 1 failed and is repeated",
        "DEBUG Connection: Connection closed: shutdown"
      ])
    })
  )
})
