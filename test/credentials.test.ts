import { assert, describe, it, layer } from "@effect/vitest"
import { SqlClient } from "@effect/sql"
import { fromTemporaryCredentials } from "@aws-sdk/credential-providers"
import { Clock, Context, Duration, Effect, Layer, Redacted, TestClock } from "effect"
import { DsqlAuth, DsqlConfig, DsqlErrors, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import dns from "node:dns"
import { join } from "node:path"
import { assumedRole, environment, home, refused, server, type Answer } from "./support/aws.js"

const host = "abcdefghijklmnopqrstuvwxyz.dsql.eu-west-1.on.aws"
const roleArn = "arn:aws:iam::111122223333:role/orders"
const baseKey = "AKIABASE000000000000"
const base = DsqlAuth.layerStatic({ accessKeyId: baseKey, secretAccessKey: Redacted.make("base-secret") })
const trustedUser = { aws_access_key_id: baseKey, aws_secret_access_key: "base-secret" }

const section = (name: string, keys: Readonly<Record<string, string>>) =>
  `[${name}]\n${Object.entries(keys)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join("")}`

/** Credentials of a layer, for a cluster in eu-west-1. */
const service = <E>(credentials: Layer.Layer<DsqlAuth.DsqlCredentials, E, DsqlConfig.DsqlConfig>) =>
  credentials.pipe(
    Layer.provide(DsqlConfig.layer({ host })),
    Layer.build,
    Effect.map(Context.get(DsqlAuth.DsqlCredentials))
  )

/** An STS that is asked by everything in this process, and gives credentials for an hour by the clock of the test. */
const makeSts = Effect.gen(function* () {
  const clock = yield* Effect.clock
  const state: { answer: Answer | undefined } = { answer: undefined }
  let given = 0
  const sts = yield* server(
    () =>
      state.answer ??
      assumedRole({
        accessKeyId: `ASIA${++given}`,
        secretAccessKey: "role-secret",
        sessionToken: `session token ${given}`,
        expiration: clock.unsafeCurrentTimeMillis() + Duration.toMillis("1 hour")
      })
  )
  yield* environment({ AWS_ENDPOINT_URL_STS: sts.url })
  return { ...sts, state }
})

const errorOf = <E>(credentials: Layer.Layer<DsqlAuth.DsqlCredentials, E, DsqlConfig.DsqlConfig>) =>
  Effect.flatMap(Effect.orDie(service(credentials)), ({ get }) => Effect.flip(get))

const sessionTokenOf = (credentials: DsqlAuth.Credentials) => Redacted.value(credentials.sessionToken!)

describe("an assumed role", () => {
  it.scoped("is asked of STS in the cluster's region, signed by the base, with what was given and no more", () =>
    Effect.gen(function* () {
      yield* home()
      const sts = yield* makeSts
      const plain = yield* service(DsqlAuth.layerAssumedRole({ roleArn, base }))
      const credentials = yield* plain.get
      assert.strictEqual(credentials.accessKeyId, "ASIA1")
      assert.strictEqual(Redacted.value(credentials.secretAccessKey), "role-secret")
      assert.strictEqual(sessionTokenOf(credentials), "session token 1")
      assert.strictEqual(credentials.expiration, Duration.toMillis("1 hour"))
      const given = { roleArn, base, roleSessionName: "nightly", externalId: "shop-7", duration: "15 minutes" } as const
      yield* (yield* service(DsqlAuth.layerAssumedRole(given))).get
      assert.deepStrictEqual(
        sts.requests.map(({ parameters }) => Object.fromEntries(parameters)),
        [
          {
            Action: "AssumeRole",
            Version: "2011-06-15",
            RoleArn: roleArn,
            RoleSessionName: "effect-dsql",
            DurationSeconds: "3600"
          },
          {
            Action: "AssumeRole",
            Version: "2011-06-15",
            RoleArn: roleArn,
            RoleSessionName: "nightly",
            ExternalId: "shop-7",
            DurationSeconds: "900"
          }
        ]
      )
      for (const { headers } of sts.requests) {
        assert.match(String(headers.authorization), new RegExp(`Credential=${baseKey}/\\d{8}/eu-west-1/sts/`))
      }
    })
  )

  it.scoped("is kept, and asked for anew before it ends; a refusal then leaves what is kept in use", () =>
    Effect.gen(function* () {
      yield* home()
      const sts = yield* makeSts
      const { get } = yield* service(DsqlAuth.layerAssumedRole({ roleArn, base }))
      assert.strictEqual((yield* get).accessKeyId, "ASIA1")
      yield* TestClock.adjust("54 minutes")
      assert.strictEqual((yield* get).accessKeyId, "ASIA1")
      assert.strictEqual(sts.requests.length, 1)
      yield* TestClock.adjust("2 minutes")
      sts.state.answer = refused("AccessDenied", "not authorized")
      assert.strictEqual((yield* get).accessKeyId, "ASIA1")
      sts.state.answer = undefined
      const renewed = yield* get
      assert.strictEqual(renewed.accessKeyId, "ASIA2")
      assert.isAbove(renewed.expiration ?? 0, yield* Clock.currentTimeMillis)
      sts.state.answer = refused("AccessDenied", "not authorized")
      yield* TestClock.adjust("2 hours")
      assert.strictEqual((yield* Effect.flip(get)).reason, "AccessDenied")
      sts.state.answer = undefined
      assert.strictEqual((yield* get).accessKeyId, "ASIA3")
    })
  )

  it.scoped("that STS refuses says what to allow", () =>
    Effect.gen(function* () {
      yield* home()
      const sts = yield* makeSts
      const said = `User: arn:aws:iam::111122223333:user/ops is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`
      sts.state.answer = refused("AccessDenied", said)
      const error = yield* errorOf(DsqlAuth.layerAssumedRole({ roleArn, base }))
      assert.strictEqual(error.reason, "AccessDenied")
      assert.include(error.message, said)
      assert.match(error.message, /allow sts:AssumeRole .* trust policy .* external ID/)
      assert.notInclude(JSON.stringify(error) + error.message, "base-secret")
    })
  )

  it.scoped("whose base has nothing, or has expired, says that of the base", () =>
    Effect.gen(function* () {
      yield* home()
      const sts = yield* makeSts
      const error = yield* errorOf(DsqlAuth.layerAssumedRole({ roleArn }))
      assert.strictEqual(error.reason, "NotFound")
      sts.state.answer = refused("ExpiredToken", "The security token included in the request is expired")
      assert.strictEqual((yield* errorOf(DsqlAuth.layerAssumedRole({ roleArn, base }))).reason, "Expired")
      sts.state.answer = refused("SignatureDoesNotMatch", "Signature expired: 20261124T150000Z is now earlier than …")
      assert.strictEqual((yield* errorOf(DsqlAuth.layerAssumedRole({ roleArn, base }))).reason, "ProviderFailed")
    })
  )

  it.scoped("can be assumed from another one", () =>
    Effect.gen(function* () {
      yield* home()
      const sts = yield* makeSts
      const hub = DsqlAuth.layerAssumedRole({ roleArn: "arn:aws:iam::111122223333:role/hub", base })
      const { get } = yield* service(DsqlAuth.layerAssumedRole({ roleArn, base: hub }))
      assert.strictEqual((yield* get).accessKeyId, "ASIA2")
      const [, second] = sts.requests
      assert.include(second?.headers.authorization, "Credential=ASIA1/")
      assert.strictEqual(second?.headers["x-amz-security-token"], "session token 1")
    })
  )

  it.scoped("is refused before STS is asked when the role or the duration cannot be right", () =>
    Effect.gen(function* () {
      const wrong = [
        { roleArn: "orders" },
        { roleArn: "arn:aws:iam::111122223333:user/ops" },
        { roleArn: undefined as unknown as string },
        { roleArn, duration: "14 minutes" },
        { roleArn, duration: "13 hours" }
      ] as const
      for (const role of wrong) {
        const error = yield* Effect.flip(service(DsqlAuth.layerAssumedRole(role)))
        assert(error._tag === "DsqlConfigError")
        assert.strictEqual(error.option, "duration" in role ? "duration" : "roleArn")
      }
    })
  )

  it.scoped("may come from a provider of the SDK", () =>
    Effect.gen(function* () {
      yield* home()
      const { requests, url } = yield* makeSts
      yield* environment({ AWS_ENDPOINT_URL_STS: undefined })
      const provider = fromTemporaryCredentials({
        masterCredentials: { accessKeyId: baseKey, secretAccessKey: "base-secret" },
        params: { RoleArn: roleArn },
        clientConfig: { region: "us-west-2", endpoint: url }
      })
      const { get } = yield* Effect.provide(DsqlAuth.DsqlCredentials, DsqlAuth.layerProvider(provider))
      assert.strictEqual(sessionTokenOf(yield* get), "session token 1")
      assert.include(requests[0]?.headers.authorization, "/us-west-2/sts/")
    })
  )
})

describe("a profile", () => {
  it.scoped("with role_arn and source_profile assumes the role, in its own region or else the cluster's", () =>
    Effect.gen(function* () {
      const role = { role_arn: roleArn, source_profile: "ops", external_id: "shop-7" }
      yield* home({
        config: section("profile orders", role) + section("profile there", { ...role, region: "ap-south-1" }),
        credentials: section("ops", trustedUser)
      })
      const sts = yield* makeSts
      const orders = yield* service(DsqlAuth.layerProfile("orders"))
      assert.strictEqual(sessionTokenOf(yield* orders.get), "session token 1")
      yield* TestClock.adjust("56 minutes")
      assert.strictEqual(sessionTokenOf(yield* orders.get), "session token 2")
      yield* (yield* service(DsqlAuth.layerProfile("there"))).get
      yield* environment({ AWS_PROFILE: "orders" })
      yield* (yield* service(DsqlAuth.layerCredentials)).get
      const regions = sts.requests.map(({ headers }) => /\d{8}\/([\w-]+)\/sts/.exec(String(headers.authorization))?.[1])
      assert.deepStrictEqual(regions, ["eu-west-1", "eu-west-1", "ap-south-1", "eu-west-1"])
      for (const { parameters } of sts.requests) assert.strictEqual(parameters.get("ExternalId"), "shop-7")
    })
  )

  it.scoped("whose keys were replaced is read anew, by name and by the default chain", () =>
    Effect.gen(function* () {
      const files = yield* home({ credentials: section("default", trustedUser) })
      const services = [yield* service(DsqlAuth.layerProfile("default")), yield* service(DsqlAuth.layerCredentials)]
      for (const { get } of services) assert.strictEqual((yield* get).accessKeyId, baseKey)
      yield* files.write("credentials", section("default", { ...trustedUser, aws_access_key_id: "AKIAREPLACED" }))
      for (const { get } of services) assert.strictEqual((yield* get).accessKeyId, "AKIAREPLACED")
    })
  )

  const ssoLogin = (name: string, login: object) => {
    const folder = join(process.env["HOME"]!, ".aws", "sso", "cache")
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${createHash("sha1").update(name).digest("hex")}.json`), JSON.stringify(login))
  }
  const sso = { sso_account_id: "111122223333", sso_role_name: "orders" }
  const startUrl = "https://example.awsapps.com/start"
  const ssoFiles = {
    config:
      section("profile orders", { ...sso, sso_session: "work" }) +
      section("sso-session work", { sso_region: "us-west-2", sso_start_url: startUrl }) +
      section("profile old", { ...sso, sso_region: "us-west-2", sso_start_url: startUrl })
  }
  const inAnHour = () => new Date(Date.now() + Duration.toMillis("1 hour")).toISOString()

  it.scoped("whose SSO login has expired, was refused or never took place says how to log in", () =>
    Effect.gen(function* () {
      yield* home(ssoFiles)
      const login = (profile: string) =>
        Effect.map(errorOf(DsqlAuth.layerProfile(profile)), (error) => {
          assert.strictEqual(error.reason, "Expired", error.message)
          assert.strictEqual(error.command, `aws sso login --profile ${profile}`)
          assert.include(error.message, `run \`aws sso login --profile ${profile}\``)
        })
      yield* login("orders")
      yield* login("old")
      for (const name of ["work", startUrl]) ssoLogin(name, { accessToken: "token", expiresAt: "2020-01-01T00:00:00Z" })
      yield* login("orders")
      yield* login("old")

      for (const name of ["work", startUrl]) ssoLogin(name, { accessToken: "token", expiresAt: inAnHour() })
      const portal = yield* server(() => [
        401,
        JSON.stringify({ __type: "UnauthorizedException", message: "Session token not found or invalid" })
      ])
      yield* environment({ AWS_ENDPOINT_URL_SSO: portal.url })
      yield* login("orders")
      assert.isAbove(portal.requests.length, 0)

      yield* environment({ AWS_PROFILE: "orders" })
      const byDefault = yield* errorOf(DsqlAuth.layerCredentials)
      assert.strictEqual(byDefault.command, "aws sso login")
    })
  )

  it.scoped("that logs in by SSO asks the region of its SSO, not of the cluster", () =>
    Effect.gen(function* () {
      yield* home(ssoFiles)
      ssoLogin("work", { accessToken: "token", expiresAt: inAnHour() })
      const asked = new Set<string>()
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const lookup = dns.lookup
          const nowhere = (name: string, _: unknown, callback: (error: Error) => void) => {
            asked.add(name)
            callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: "ENOTFOUND" }))
          }
          dns.lookup = nowhere as typeof dns.lookup
          return lookup
        }),
        (lookup) => Effect.sync(() => void (dns.lookup = lookup))
      )
      const error = yield* errorOf(DsqlAuth.layerProfile("orders"))
      assert.strictEqual(error.reason, "ProviderFailed")
      assert.deepStrictEqual([...asked], ["portal.sso.us-west-2.amazonaws.com"])
    })
  )

  it.scoped("that is not there is named: the one asked for, or the one it refers to", () =>
    Effect.gen(function* () {
      yield* home({ config: section("profile orders", { role_arn: roleArn, source_profile: "ops" }) })
      for (const [asked, missing] of [
        ["nowhere", "nowhere"],
        ["orders", "ops"]
      ] as const) {
        const error = yield* errorOf(DsqlAuth.layerProfile(asked))
        assert.strictEqual(error.reason, "ProfileNotFound")
        assert.strictEqual(error.profile, missing)
        assert.match(error.message, new RegExp(`aws configure list-profiles.*\\(profile ${missing}\\)`))
      }
    })
  )
})

describe("nothing at all", () => {
  it.scoped("says how to log in, or what to set", () =>
    Effect.gen(function* () {
      yield* home()
      const error = yield* errorOf(DsqlAuth.layerCredentials)
      assert.strictEqual(error.reason, "NotFound")
      assert.match(error.message, /aws sso login.*AWS_ACCESS_KEY_ID.*AWS_PROFILE.*credentials layer/)
    })
  )
})

describe("a provider", () => {
  it.scoped("that never answers fails after 20 seconds, also where nothing can be interrupted, and is asked anew", () =>
    Effect.gen(function* () {
      let calls = 0
      let answerLate: ((accessKeyId: string) => void) | undefined
      const provider: DsqlAuth.Provider = () => {
        calls += 1
        return calls === 1
          ? new Promise((resolve) => (answerLate = (accessKeyId) => resolve({ accessKeyId, secretAccessKey: "late" })))
          : Promise.resolve({ accessKeyId: "second", secretAccessKey: "secret", expiration: new Date(1e12) })
      }
      const { get } = yield* Effect.provide(DsqlAuth.DsqlCredentials, DsqlAuth.layerProvider(provider))
      const waiting = yield* Effect.fork(Effect.uninterruptible(Effect.flip(get)))
      yield* TestClock.adjust("19 seconds")
      assert.isNull(waiting.unsafePoll())
      yield* TestClock.adjust("1 seconds")
      const error = yield* waiting
      assert.strictEqual(error.reason, "ProviderFailed")
      assert.include(error.message, "it did not answer within 20s")
      assert.strictEqual((yield* get).accessKeyId, "second")
      answerLate?.("first")
      yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      assert.strictEqual((yield* get).accessKeyId, "second")
      assert.strictEqual(calls, 2)
    })
  )

  it.scoped("whose answer cannot be read does not have it quoted", () =>
    Effect.gen(function* () {
      const answer = `{"SecretAccessKey": secret}`
      const error = yield* errorOf(DsqlAuth.layerProvider(async () => JSON.parse(answer)))
      assert.strictEqual(error.reason, "ProviderFailed")
      assert.include(error.message, "not JSON")
      assert.notInclude(error.message + String(error.cause), "secret")
    })
  )
})

layer(DsqlLocal.layer({ region: "eu-west-1" }), { excludeTestServices: true, timeout: "60 seconds" })(
  "an assumed role on a cluster",
  (it) => {
    it.scoped("logs in with a token that carries the session token of STS", () =>
      Effect.gen(function* () {
        yield* home()
        const cluster = yield* DsqlLocal
        yield* makeSts
        yield* cluster.addIdentity({
          accessKeyId: "ASIA1",
          secretAccessKey: Redacted.make("role-secret"),
          sessionToken: Redacted.make("session token 1")
        })
        const db = DsqlLayer.layer(cluster.options, { credentials: DsqlAuth.layerAssumedRole({ roleArn, base }) })
        const rows = yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT 1 AS one`).pipe(Effect.provide(db))
        assert.deepStrictEqual(rows, [{ one: 1 }])
      })
    )

    it.scoped("that may not be assumed stops the layer from being built, with our error", () =>
      Effect.gen(function* () {
        yield* home()
        const cluster = yield* DsqlLocal
        const sts = yield* makeSts
        sts.state.answer = refused("AccessDenied", "not authorized")
        const db = DsqlLayer.layer(cluster.options, { credentials: DsqlAuth.layerAssumedRole({ roleArn, base }) })
        const error = yield* Effect.flip(Effect.scoped(Layer.build(db)))
        assert(DsqlErrors.isDsqlError(error) && error._tag === "DsqlCredentialsError")
        assert.strictEqual(error.reason, "AccessDenied")
      })
    )
  }
)
