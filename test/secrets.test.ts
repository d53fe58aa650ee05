import { PgClient } from "@effect/sql-pg"
import { SqlClient } from "@effect/sql"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, Redacted, type Tracer } from "effect"
import { DsqlAuth, DsqlConfig, DsqlConnection, DsqlClient, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { inspect } from "node:util"

const show = (value: unknown) => {
  const seen = inspect(value, {
    depth: Infinity,
    showHidden: false,
    maxStringLength: Infinity,
    maxArrayLength: Infinity
  })
  try {
    return `${seen}\n${JSON.stringify(value)}\n${String(value)}`
  } catch {
    return seen
  }
}

it.live("no secret or token is in anything that is handed out, logged, traced or raised", () =>
  Effect.gen(function* () {
    const { credentials, endpoint, options } = yield* DsqlLocal
    const sessionToken = "a-very-secret-session-token"
    const local = yield* DsqlLocal
    const stolen = { ...credentials, accessKeyId: "AKIAOTHER00000000000", sessionToken: Redacted.make(sessionToken) }
    yield* local.addIdentity(stolen)

    const output: Array<string> = []
    const logger = Logger.make((entry) => void output.push(show(entry)))
    const spans: Array<Tracer.Span> = []
    const signatures: Array<string> = []
    const sign: DsqlAuth.Sign = (request) =>
      Effect.tap(DsqlAuth.sign(request), (token) =>
        Effect.sync(() => {
          const signature = new URL(`https://${Redacted.value(token)}`).searchParams.get("X-Amz-Signature")
          signatures.push(signature ?? "no signature")
        })
      )
    const layers = (credentials: DsqlAuth.Credentials) =>
      DsqlClient.layer.pipe(
        Layer.provideMerge(DsqlConnection.layer),
        Layer.provideMerge(DsqlAuth.layerTokenFrom(sign)),
        Layer.provideMerge(DsqlAuth.layerStatic(credentials)),
        Layer.provideMerge(DsqlConfig.layer(options))
      )

    const run = (credentials: DsqlAuth.Credentials) =>
      Effect.gen(function* () {
        const context = yield* Effect.context<
          PgClient.PgClient | DsqlAuth.DsqlToken | DsqlAuth.DsqlCredentials | DsqlConfig.DsqlConfig
        >()
        const sql = yield* SqlClient.SqlClient
        const failed = yield* Effect.flip(sql`SELECT * FROM no_such_table`)
        const connection = yield* Effect.scoped(sql.reserve)
        const tokens = Context.get(context, DsqlAuth.DsqlToken)
        output.push(
          ...[sql, failed, connection, tokens, yield* tokens.get, Context.get(context, PgClient.PgClient)].map(show)
        )
        output.push(
          show(Context.get(context, DsqlConfig.DsqlConfig)),
          show(Context.get(context, DsqlAuth.DsqlCredentials))
        )
        yield* Effect.scoped(
          Effect.flatMap(
            Context.get(yield* Effect.context<DsqlConnection.DsqlConnection>(), DsqlConnection.DsqlConnection).reserve,
            (open) => Effect.sync(() => output.push(show(open), inspect(open.client, { showHidden: true, depth: 4 })))
          )
        )
      }).pipe(
        Effect.provide(layers(credentials)),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.All),
        Effect.withTracerTiming(true),
        Effect.tapError((error) => Effect.sync(() => output.push(show(error)))),
        Effect.exit
      )

    const tracer = yield* Effect.tracer
    const recording: Tracer.Tracer = {
      ...tracer,
      span: (...args) => {
        const span = tracer.span(...args)
        spans.push(span)
        return span
      }
    }
    const good = yield* Effect.withTracer(run(credentials), recording)
    assert.strictEqual(good._tag, "Success", show(good))
    const withSession = yield* Effect.withTracer(run(stolen), recording)
    assert.strictEqual(withSession._tag, "Success", show(withSession))
    const refused = yield* Effect.withTracer(
      run({ ...credentials, secretAccessKey: Redacted.make("wrong-secret") }),
      recording
    )
    assert.strictEqual(refused._tag, "Failure")
    output.push(show(refused), show(local), show(DsqlLayer.layer({ host: endpoint })))
    output.push(...spans.map((span) => show([span.name, span.attributes, span.status, span.links])))

    assert.isAbove(spans.length, 5)
    assert.isAtLeast(signatures.length, 3)
    const secrets = [Redacted.value(credentials.secretAccessKey), "wrong-secret", sessionToken, ...signatures]
    const text = output.join("\n")
    assert.include(text, endpoint)
    for (const secret of secrets) {
      assert.notInclude(text, secret)
      assert.notInclude(text, encodeURIComponent(secret))
    }
  }).pipe(Effect.provide(DsqlLocal.layer()))
)
