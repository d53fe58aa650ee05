/** No secret and no token is in anything that is handed out, logged, traced, counted, warned of or raised. */
import { PgClient } from "@effect/sql-pg"
import { SqlClient } from "@effect/sql"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Metric, Redacted, Stream, TestClock } from "effect"
import {
  DsqlAuth,
  DsqlClient,
  DsqlConfig,
  DsqlConnection,
  DsqlErrors,
  DsqlLayer,
  DsqlLive,
  DsqlTransaction
} from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { inspect } from "node:util"
import { type Login, Wire } from "../src/internal/wire.js"
import { type Answer, assumedRole, environment, home, refused, server } from "./support/aws.js"
import { findings, formsOf, show, sinks, type Watch, watching } from "./support/leaks.js"

/** Text that looks different in an URL, in JSON, quoted by `inspect` and in base64. */
const secretText = (name: string) => `${name}/+="\\'ü`

const secretKey = secretText("the secret access key")
const sessionToken = secretText("the session token")
const credentials = {
  accessKeyId: "AKIASECRETS000000000",
  secretAccessKey: Redacted.make(secretKey),
  sessionToken: Redacted.make(sessionToken)
}
const secrets = { secretKey, sessionToken }

const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"

/** Signs for real, and remembers what must be nowhere: the tokens, and what in them is secret. */
const makeSigner = Effect.sync(() => {
  const signed: Array<string> = []
  const sign: DsqlAuth.Sign = (request) =>
    Effect.tap(DsqlAuth.sign(request), (token) => Effect.sync(() => signed.push(Redacted.value(token))))
  const parts = (token: string) => {
    const { searchParams } = new URL(`https://${token}`)
    return [token, searchParams.get("X-Amz-Signature")!, searchParams.get("X-Amz-Security-Token")!]
  }
  return {
    sign,
    secrets: () => {
      assert.isNotEmpty(signed)
      return Object.fromEntries(signed.flatMap(parts).map((part, index) => [`part ${index} of tokens`, part]))
    }
  }
})

const assertNothing = (seen: Watch["seen"], secrets: Readonly<Record<string, string>>) => {
  assert.deepStrictEqual(findings(seen, secrets), [])
}

describe("a secret that gets out", () => {
  const leak = (text: string) =>
    watching(({ hand }) =>
      Effect.gen(function* () {
        yield* hand({ deep: { inside: [text] } })
        yield* Effect.annotateCurrentSpan("leak", text)
        yield* Metric.update(Metric.tagged(Metric.counter("leaks"), "leak", text), 1)
        process.emitWarning(text)
        globalThis.console.log({ text })
        return yield* Effect.fail(new Error("outer", { cause: new Error(text) }))
      }).pipe(Effect.withSpan("leaking"))
    )

  it.effect.each(formsOf(secretText("leaked")))("as %j is found wherever it may be", (form) =>
    Effect.gen(function* () {
      const { seen } = yield* leak(form)
      assert.deepStrictEqual(
        findings(seen, { it: secretText("leaked"), other: secretText("kept") }),
        sinks.map((sink) => `${sink}: it`)
      )
    })
  )

  it.effect("in base64 is found wherever it stands", () =>
    Effect.gen(function* () {
      for (const before of ["", "u", "us", "use", "user:"]) {
        const { seen } = yield* leak(Buffer.from(`${before}${secretText("leaked")}:and more`).toString("base64"))
        assert.include(findings(seen, { it: secretText("leaked") }), "log: it")
      }
    })
  )
})

type Services =
  | SqlClient.SqlClient
  | PgClient.PgClient
  | DsqlAuth.DsqlToken
  | DsqlAuth.DsqlCredentials
  | DsqlConfig.DsqlConfig
  | DsqlConnection.DsqlConnection

const layers = (
  options: DsqlConfig.Options,
  credentials: Layer.Layer<DsqlAuth.DsqlCredentials, DsqlErrors.DsqlConfigError, DsqlConfig.DsqlConfig>,
  sign: DsqlAuth.Sign
): Layer.Layer<Services, DsqlErrors.DsqlLayerError> =>
  DsqlClient.layer.pipe(
    Layer.provideMerge(DsqlConnection.layer),
    Layer.provideMerge(DsqlAuth.layerTokenFrom(sign)),
    Layer.provideMerge(credentials),
    Layer.provideMerge(DsqlConfig.layer(options))
  )

/** Does what programs do, and hands out whatever they get. */
const work = ({ hand }: Watch) =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Services>()
    const services: Array<unknown> = [...context.unsafeMap.values()]
    const sql = Context.get(context, PgClient.PgClient)
    const tokens = Context.get(context, DsqlAuth.DsqlToken)
    const connections = Context.get(context, DsqlConnection.DsqlConnection)
    yield* hand(context, ...services, yield* tokens.get, yield* Context.get(context, DsqlAuth.DsqlCredentials).get)
    yield* hand(sql.config, sql.withoutTransforms(), sql`SELECT 1`, yield* sql`SELECT 1 AS one`)
    yield* hand(yield* Effect.flip(sql`SELECT * FROM no_such_table`))
    yield* hand(yield* Effect.flip(DsqlErrors.refine(Stream.runDrain(sql`SELECT 1 / 0`.stream))))
    const lost = sql.unsafe("UPDATE no_such_table SET n = 1")
    yield* hand(yield* Effect.flip(DsqlTransaction.withRetry(lost, { while: () => true, times: 1, name: "work" })))
    yield* Effect.scoped(Effect.flatMap(sql.reserve, hand))
    yield* Effect.scoped(
      Effect.flatMap(connections.reserve, (connection) =>
        hand(connection, connection.driver, inspect(connection.driver, { showHidden: true, depth: 6 }))
      )
    )
  }).pipe(Effect.withSpan("work"))

/** The connections that are dialled until the scope closes; the first of them nobody gets to see before its login. */
const capturingWires = Effect.acquireRelease(
  Effect.sync(() => {
    const wires: Array<Wire> = []
    const { open } = Wire.prototype
    Wire.prototype.open = function (...args) {
      wires.push(this)
      return open.apply(this, args)
    }
    return { wires, restore: () => void (Wire.prototype.open = open) }
  }),
  ({ restore }) => Effect.sync(restore)
)

const tokenOf = (wire: Wire) => (wire as unknown as { readonly login: Login | undefined }).login?.token

describe("secrets", () => {
  it.scoped("of credentials that cannot be signed with, or were not understood, are nowhere", () =>
    Effect.gen(function* () {
      // Short enough for Node to quote all of it where it finds it to be no JSON.
      const unread = "an/+=key"
      const keys = { accessKeyId: "A", secretAccessKey: unread, sessionToken: unread, expiration: 4e12 }
      const [, answer] = assumedRole(keys) as readonly [number, string]
      const broken = `{"AccessKeyId": "A", "SecretAccessKey": ${unread}}`
      yield* home({ config: `[profile broken]\ncredential_process = echo '${broken}'\n` })
      const state: { answer: Answer } = { answer: refused("AccessDenied", "not for you") }
      const aws = yield* server(() => state.answer)
      yield* environment({ AWS_ENDPOINT_URL_STS: aws.url })
      const assumed = DsqlAuth.layerAssumedRole({
        roleArn: "arn:aws:iam::111122223333:role/orders",
        base: DsqlAuth.layerStatic(credentials)
      })
      const errorOf = (layer: Layer.Layer<DsqlAuth.DsqlCredentials, unknown, DsqlConfig.DsqlConfig>) =>
        Effect.flip(Effect.scoped(Layer.build(DsqlLayer.layer(host, { credentials: layer }))))
      const { exit, seen } = yield* watching(({ hand }) =>
        Effect.gen(function* () {
          const missing = { ...credentials, accessKeyId: undefined as unknown as string }
          const errors = [
            yield* errorOf(DsqlAuth.layerStatic(missing)),
            yield* errorOf(DsqlAuth.layerStatic({ ...credentials, expiration: 0 })),
            yield* errorOf(DsqlAuth.layerProvider(async () => JSON.parse(broken))),
            yield* errorOf(DsqlAuth.layerProfile("broken")),
            yield* errorOf(assumed)
          ]
          for (const [from, to] of [
            ["</Credentials>", "<"],
            ["</SessionToken>", ""],
            ["<Expiration>", "<Expiration>soon"],
            ["<SessionToken>", "<Nothing>"]
          ] as const) {
            state.answer = [200, answer.replace(from, to)]
            errors.push(yield* errorOf(assumed))
          }
          yield* environment({ AWS_CONTAINER_CREDENTIALS_FULL_URI: aws.url })
          state.answer = [200, broken]
          errors.push(yield* errorOf(DsqlAuth.layerCredentials))
          yield* hand(...errors)
          // What the AWS SDK hides in its errors, too.
          yield* hand(...errors.map((error) => inspect(error, { showHidden: true, depth: Infinity })))
          return errors.map((error) => (error as DsqlErrors.DsqlCredentialsError)._tag)
        })
      )
      assert.isTrue(Exit.isSuccess(exit), show(exit))
      assert.deepStrictEqual(
        Exit.getOrElse(exit, () => []),
        ["DsqlTokenError", ...Array<string>(9).fill("DsqlCredentialsError")]
      )
      assertNothing(seen, { ...secrets, unread })
    })
  )

  it.scoped("are where a provider puts them into its own error, as is said of it", () =>
    Effect.gen(function* () {
      const provider = DsqlAuth.layerProvider(() => Promise.reject(new Error(`cannot decrypt ${secretKey}`)))
      const { get } = yield* Effect.provide(DsqlAuth.DsqlCredentials, provider)
      assert.include((yield* Effect.flip(get)).message, secretKey)
    })
  )

  it.scoped("of a token that cannot be renewed are nowhere", () =>
    Effect.gen(function* () {
      let signatures = 0
      const token = secretText("the first token")
      const sign: DsqlAuth.Sign = ({ host }) =>
        ++signatures === 1
          ? Effect.succeed(Redacted.make(token))
          : Effect.fail(
              new DsqlErrors.DsqlTokenError({ reason: "SigningFailed", host, cause: new Error("no entropy") })
            )
      const { exit, seen } = yield* watching(({ hand }) =>
        Effect.gen(function* () {
          const tokens = yield* DsqlAuth.DsqlToken
          yield* hand(tokens, yield* tokens.get)
          yield* TestClock.adjust("20 minutes")
          return yield* tokens.get
        }).pipe(
          Effect.provide(DsqlAuth.layerTokenFrom(sign)),
          Effect.provide(DsqlAuth.layerStatic(credentials)),
          Effect.provide(DsqlConfig.layer(host))
        )
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.include(seen.log.join(), "Renewing the DSQL token failed")
      assert.include(seen.failure.join(), "no entropy")
      assertNothing(seen, { ...secrets, token })
    })
  )

  it.effect("of the test doubles are nowhere; parameters of statements are no secrets", () =>
    Effect.gen(function* () {
      const first = secretText("the token of a test")
      const second = secretText("its next token")
      const parameter = "a parameter of a statement"
      const doubles = Layer.mergeAll(
        DsqlTesting.layerConfig(),
        DsqlTesting.layerCredentials(credentials),
        DsqlTesting.layerToken(first),
        DsqlTesting.layerClient([DsqlTesting.answer(/./, [])])
      )
      const { exit, seen } = yield* watching(({ hand }) =>
        Effect.gen(function* () {
          const context = yield* Effect.context<Layer.Layer.Success<typeof doubles>>()
          const [sql, script, test, tokens] = [
            yield* SqlClient.SqlClient,
            yield* DsqlTesting.Script,
            yield* DsqlTesting.TestToken,
            yield* DsqlAuth.DsqlToken
          ]
          yield* hand(doubles, context, ...context.unsafeMap.values(), yield* tokens.get)
          yield* test.set(second)
          yield* hand(test, yield* tokens.get, yield* (yield* DsqlAuth.DsqlCredentials).get)
          yield* sql.withTransaction(sql`SELECT ${parameter}`)
          yield* hand(yield* script.recorded, DsqlTesting.conflict(), DsqlTesting.commitOutcomeUnknown())
        }).pipe(Effect.provide(doubles))
      )
      assert.isTrue(Exit.isSuccess(exit), show(exit))
      assertNothing(seen, { ...secrets, first, second })
      assert.include(findings(seen, { parameter }), "value: parameter")
    })
  )
})

// Last, since it puts its own tests in the place of all that come after.
layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("secrets", (it) => {
  it.effect("of a client at work are nowhere", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      yield* local.addIdentity(credentials)
      const signer = yield* makeSigner
      const all = layers(local.options, DsqlAuth.layerStatic(credentials), signer.sign)
      const { exit, seen } = yield* watching((watch) =>
        Effect.zipRight(watch.hand(all), Effect.provide(work(watch), all))
      )
      assert.isTrue(Exit.isSuccess(exit), show(exit))
      assertNothing(seen, { ...secrets, ...signer.secrets() })
      // What is harmless must be there, or the watch was asleep.
      assert.include(seen.value.join(), local.endpoint)
      assert.include(seen.log.join(), "Attempt 1 failed and is repeated")
      for (const name of [
        "DsqlToken.sign",
        "DsqlConnection.open",
        "DsqlTransaction.retry",
        "sql.transaction",
        "work"
      ]) {
        assert.include(seen.span.join(), name)
      }
      assert.include(seen.metric.join(), "dsql_retries_total")
    })
  )

  it.scoped("of a login that is under way, or was refused, are nowhere, not in the connection either", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      yield* local.addIdentity(credentials)
      const { wires } = yield* capturingWires
      const signer = yield* makeSigner
      const wrong = secretText("the wrong secret")
      const { seen } = yield* watching((watch) =>
        Effect.gen(function* () {
          const build = (credentials: DsqlAuth.Credentials) =>
            Effect.scoped(Layer.build(layers(local.options, DsqlAuth.layerStatic(credentials), signer.sign)))
          const building = yield* Effect.acquireUseRelease(
            local.pause,
            () =>
              Effect.gen(function* () {
                const building = yield* Effect.fork(build(credentials))
                const dialled = Effect.delay(
                  Effect.sync(() => wires.length),
                  "1 millis"
                )
                yield* Effect.repeat(dialled, { until: (count) => count === 1 })
                assert.match(Redacted.value(tokenOf(wires[0]!)!), /X-Amz-Signature/)
                yield* watch.hand(wires[0], inspect(wires[0], { showHidden: true, depth: 6 }), building)
                return building
              }),
            () => local.resume
          )
          yield* Fiber.join(building)
          assert.isUndefined(tokenOf(wires[0]!))
          const refused = [
            yield* Effect.flip(build({ ...credentials, secretAccessKey: Redacted.make(wrong) })),
            yield* Effect.flip(build({ ...credentials, sessionToken: Redacted.make(wrong) }))
          ]
          assert.deepStrictEqual(
            refused.map(({ _tag }) => _tag),
            ["DsqlAuthenticationError", "DsqlAuthenticationError"]
          )
          assert.strictEqual(wires.length, 3)
          yield* watch.hand(...refused, ...wires)
          return yield* build({ ...credentials, secretAccessKey: Redacted.make(wrong) })
        })
      )
      assertNothing(seen, { ...secrets, wrong, ...signer.secrets() })
      assert.include(seen.failure.join(), "refused the login of admin")
    })
  )

  it.effect("that are sent in place of a token are nowhere", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const password = secretText("the password")
      const token = Layer.succeed(DsqlAuth.DsqlToken, { get: Effect.succeed(Redacted.make(password)) })
      const db = DsqlLayer.layer(local.options, { token, credentials: DsqlAuth.layerStatic(credentials) })
      const { exit, seen } = yield* watching(({ hand }) =>
        Effect.zipRight(hand(token, db), Effect.scoped(Layer.build(db)))
      )
      assert.isTrue(Exit.isFailure(exit))
      assertNothing(seen, { password })
    })
  )

  it.scoped("of an assumed role and its base are nowhere", () =>
    Effect.gen(function* () {
      yield* home()
      const local = yield* DsqlLocal
      const role = {
        accessKeyId: "ASIAROLE000000000000",
        secretAccessKey: "role/+=secret ü",
        sessionToken: "role/+=token ü"
      }
      yield* local.addIdentity({
        accessKeyId: role.accessKeyId,
        secretAccessKey: Redacted.make(role.secretAccessKey),
        sessionToken: Redacted.make(role.sessionToken)
      })
      const sts = yield* server(() => assumedRole({ ...role, expiration: Date.now() + 3_600_000 }))
      yield* environment({ AWS_ENDPOINT_URL_STS: sts.url })
      const signer = yield* makeSigner
      const assumed = DsqlAuth.layerAssumedRole({
        roleArn: "arn:aws:iam::111122223333:role/orders",
        base: DsqlAuth.layerStatic(credentials)
      })
      const { exit, seen } = yield* watching((watch) =>
        Effect.provide(work(watch), layers(local.options, assumed, signer.sign))
      )
      assert.isTrue(Exit.isSuccess(exit), show(exit))
      assert.include(seen.value.join(), role.accessKeyId)
      assertNothing(seen, { ...secrets, ...signer.secrets(), key: role.secretAccessKey, token: role.sessionToken })
    })
  )

  it.scoped("of the environment are nowhere, and neither is the environment", () =>
    Effect.gen(function* () {
      yield* home()
      const local = yield* DsqlLocal
      yield* local.addIdentity(credentials)
      const unrelated = secretText("another program's password")
      yield* environment({
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretKey,
        AWS_SESSION_TOKEN: sessionToken,
        OTHER_PASSWORD: unrelated,
        DSQL_HOST: local.endpoint,
        DSQL_HOSTADDR: local.hostaddr,
        DSQL_PORT: String(local.port),
        DSQL_SSLROOTCERT: local.caFile
      })
      const { exit, seen } = yield* watching(({ hand }) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* hand(DsqlLive, sql, yield* sql`SELECT 1 AS one`, yield* Effect.flip(sql`SELECT nothing`))
          yield* environment({ AWS_SECRET_ACCESS_KEY: undefined, DSQL_PORT: "a port" })
          yield* hand(yield* Effect.flip(Layer.build(Layer.fresh(DsqlLive))))
        }).pipe(Effect.provide(DsqlLive), Effect.scoped)
      )
      assert.isTrue(Exit.isSuccess(exit), show(exit))
      assertNothing(seen, { ...secrets, unrelated })
    })
  )

  it.effect("of a local cluster are in what gives access to it, and nowhere else", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const own = { own: Redacted.value(local.credentials.secretAccessKey) }
      const { seen } = yield* watching(({ hand }) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`SELECT 1`
          yield* hand(local, local.options, local.credentials, yield* local.connections, yield* local.logs)
          yield* hand(DsqlLocal.layerFrom(yield* local.access), DsqlLocal.layerClient(), DsqlLocal.layer())
          yield* hand(yield* Effect.flip(local.addIdentity({ ...credentials, arn: "nobody" })))
        }).pipe(Effect.provide(DsqlLocal.layerClient()))
      )
      assertNothing(seen, { ...secrets, ...own })
      const given = yield* watching(({ hand }) => Effect.flatMap(local.access, hand))
      assert.include(findings(given.seen, own), "value: own")
    })
  )
})
