/** The doctor on set-ups that are broken before or on the way to the server. */
import { assert, describe, layer } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Redacted, TestClock, TestContext } from "effect"
import { DsqlAuth, DsqlConfig, DsqlDoctor, DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { readFileSync } from "node:fs"
import { createServer } from "node:tls"
import { tlsTrouble } from "../../src/internal/doctor/networkCures.js"
import { makeCertificates } from "../../src/local/certificates.js"
import { home } from "../support/aws.js"
import { listen, until } from "../support/sockets.js"
import { examined, examinedWith, names, outcomes, stepOf, waitingFor } from "./support.js"

const foreign = readFileSync(new URL("../fixtures/foreign-ca.pem", import.meta.url), "utf8")

const behind = (name: DsqlDoctor.StepName) => names.slice(names.indexOf(name) + 1)

/** What comes behind the network, but for the token, which needs none, and the limits. */
const session = ["login", "role", "settings", "statement"] as const

interface Expected {
  readonly step: DsqlDoctor.StepName
  readonly cause: RegExp
  readonly cure: DsqlDoctor.Cure
  readonly waiting: Readonly<Record<string, string>>
}

const assertFailed = (report: DsqlDoctor.Report, { cause, cure, step, waiting }: Expected) => {
  const { cause: said, cures } = stepOf(report, step)
  assert.deepStrictEqual(outcomes(report), { ...waiting, [step]: "failed" }, said)
  assert.strictEqual(report.outcome, "failed")
  assert.match(said ?? "", cause)
  assert.deepStrictEqual(cures[0], cure)
}

const command = (text: string): DsqlDoctor.Cure => ({ kind: "command", text })

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("the doctor", (it) => {
  it.effect("finds a healthy cluster healthy, step by step, and tells each as soon as it is known", () =>
    Effect.gen(function* () {
      const told: Array<DsqlDoctor.Step> = []
      const report = yield* examined({}, { onStep: (step) => Effect.sync(() => void told.push(step)) })
      assert.deepStrictEqual(outcomes(report), {})
      assert.strictEqual(report.outcome, "ok")
      assert.deepStrictEqual(told, [...report.steps])
      const { endpoint, hostaddr, port, region } = yield* DsqlLocal
      const { dns, tcp, tls, token } = Object.fromEntries(report.steps.map(({ facts, name }) => [name, facts]))
      assert.deepStrictEqual([dns, tcp], [{ addresses: hostaddr }, { address: hostaddr, port }])
      assert.deepInclude(tls, { protocol: "TLSv1.3", sni: endpoint, alpn: "postgresql" })
      assert.include(tls!["names"], region)
      assert.deepInclude(token, { action: "dsql:DbConnectAdmin", seconds: 900 })
      assert.deepInclude(stepOf(report, "statement").facts, { user: "admin" })
      assert.isAtMost(Math.abs(Number(stepOf(report, "clock").facts["aheadMillis"])), 1000)
      assert.isAbove(stepOf(report, "login").duration, 0)
    })
  )

  it.effect("finds it healthy when TLS is asked for first", () =>
    Effect.gen(function* () {
      const { ca } = yield* DsqlLocal
      const report = yield* examined({ tls: { ca, negotiation: "postgres" } })
      assert.deepStrictEqual(outcomes(report), {})
      assert.strictEqual(stepOf(report, "tls").facts["alpn"], "none")
    })
  )

  it.effect("names the configuration when there is no host", () =>
    Effect.gen(function* () {
      assertFailed(yield* examinedWith({ DSQL_HOST: "" }), {
        step: "configuration",
        cause: /^DSQL_HOST: is not set/,
        cure: command("export DSQL_HOST=<cluster id>.dsql.<region>.on.aws"),
        waiting: waitingFor("configuration", ...behind("configuration"))
      })
    })
  )

  it.effect("names the configuration when a variable cannot be right", () =>
    Effect.gen(function* () {
      assertFailed(yield* examinedWith({ DSQL_POOL_MAX: "many" }), {
        step: "configuration",
        cause: /^DSQL_POOL_MAX: must be a whole number, not "many"/,
        cure: command("unset DSQL_POOL_MAX"),
        waiting: waitingFor("configuration", ...behind("configuration"))
      })
    })
  )

  it.effect("names the configuration when the file of the authority is gone", () =>
    Effect.gen(function* () {
      assertFailed(yield* examined({ tls: { caFile: "/nowhere/ca.pem" } }), {
        step: "configuration",
        cause: /DSQL_SSLROOTCERT.*cannot read \/nowhere\/ca\.pem/,
        cure: command("unset DSQL_SSLROOTCERT"),
        waiting: waitingFor("configuration", ...behind("configuration"))
      })
    })
  )

  it.scoped("names the region when nothing tells it, and what contradicts the host", () =>
    Effect.gen(function* () {
      const { clusterId, region } = yield* DsqlLocal
      yield* home()
      const waiting = { credentials: "region", ...waitingFor("region", ...behind("region")) }
      assertFailed(yield* examined({ host: clusterId }), {
        step: "region",
        cause: /^No region for cluster/,
        cure: command("export DSQL_REGION=<region>"),
        waiting
      })
      assertFailed(yield* examinedWith({ DSQL_REGION: "eu-west-1" }), {
        step: "region",
        cause: /eu-west-1 contradicts the host/,
        cure: {
          kind: "change",
          text: `leave out the region where it is said (--region, DSQL_REGION, the region option), or say ${region}`
        },
        waiting
      })
    })
  )

  describe("names the credentials", () => {
    const waiting = waitingFor("credentials", "token", ...session)

    it.scoped("when there are none", () =>
      Effect.gen(function* () {
        yield* home()
        const report = yield* examined({}, { credentials: DsqlAuth.layerCredentials })
        assertFailed(report, {
          step: "credentials",
          cause: /^No AWS credentials found/,
          cure: command("aws sso login"),
          waiting: { ...waiting, clock: "login" }
        })
      })
    )

    it.scoped("when the profile is missing", () =>
      Effect.gen(function* () {
        yield* home()
        const report = yield* examined({ profile: "absent" }, { credentials: DsqlAuth.layerCredentials })
        assertFailed(report, {
          step: "credentials",
          cause: /^The AWS profile was not found.*absent/,
          cure: command("aws configure list-profiles"),
          waiting: { ...waiting, clock: "login" }
        })
      })
    )

    it.effect("when they have expired", () =>
      Effect.gen(function* () {
        const { credentials } = yield* DsqlLocal
        const expired = DsqlAuth.layerStatic({ ...credentials, expiration: 1 })
        assertFailed(yield* examined({}, { credentials: expired }), {
          step: "credentials",
          cause: /have expired/,
          cure: command("aws sso login"),
          waiting: { ...waiting, clock: "login" }
        })
      })
    )

    it.effect("when the role may not be assumed, with the policy that allows it", () =>
      Effect.gen(function* () {
        const arn = "arn:aws:iam::111122223333:role/orders"
        const refused = DsqlAuth.layerProvider(async () => {
          throw Object.assign(new Error(`User: x is not authorized to perform: sts:AssumeRole on resource: ${arn}`), {
            name: "AccessDenied"
          })
        })
        const report = yield* examined({}, { credentials: refused })
        assert.deepStrictEqual(outcomes(report)["credentials"], "failed")
        const [{ kind, text }] = stepOf(report, "credentials").cures as [DsqlDoctor.Cure]
        assert.strictEqual(kind, "policy")
        assert.deepStrictEqual(JSON.parse(text).Statement, [
          { Effect: "Allow", Action: "sts:AssumeRole", Resource: arn }
        ])
      })
    )

    it.effect("when the layer that gives them fails or dies in a way of its own", () =>
      Effect.gen(function* () {
        for (const failing of [Effect.fail(new Error("the vault is sealed")), Effect.die("the vault is sealed")]) {
          const report = yield* examined({}, { credentials: Layer.effect(DsqlAuth.DsqlCredentials, failing) })
          assertFailed(report, {
            step: "credentials",
            cause: /^the vault is sealed$/,
            cure: stepOf(report, "credentials").cures[0]!,
            waiting: { ...waiting, clock: "login" }
          })
          assert.strictEqual(stepOf(report, "credentials").cures[0]!.kind, "change")
        }
      })
    )
  })

  it.effect("names the credentials, and the token, when a layer never answers", () =>
    Effect.gen(function* () {
      const { credentials, options } = yield* DsqlLocal
      const never = { get: Effect.never }
      const layers = {
        credentials: { credentials: Layer.succeed(DsqlAuth.DsqlCredentials, never) },
        token: { token: Layer.succeed(DsqlAuth.DsqlToken, never) }
      } satisfies Partial<Record<DsqlDoctor.StepName, DsqlDoctor.ExamineOptions>>
      for (const name of ["credentials", "token"] as const) {
        const known = new Set<string>()
        const before = names[names.indexOf(name === "token" ? "tls" : "configuration")]!
        const report = yield* Effect.gen(function* () {
          const examining = yield* Effect.fork(
            DsqlDoctor.examine(
              { ...options, port: 1 },
              {
                credentials: DsqlAuth.layerStatic(credentials),
                ...layers[name],
                onStep: (step) => Effect.sync(() => void known.add(step.name))
              }
            )
          )
          yield* until(() => known.has(before))
          yield* TestClock.adjust("25 seconds")
          return yield* Fiber.join(examining)
        }).pipe(Effect.provide(TestContext.TestContext))
        assert.strictEqual(stepOf(report, name).outcome, "failed")
        assert.match(stepOf(report, name).cause ?? "", /did not answer within 25s/)
        assert.strictEqual(stepOf(report, name).cures[0]!.kind, "change")
      }
    })
  )

  it.scoped("says which provider gave the credentials, and when they expire", () =>
    Effect.gen(function* () {
      const { credentials } = yield* DsqlLocal
      const [id, secret] = [credentials.accessKeyId, Redacted.value(credentials.secretAccessKey)]
      yield* home({ credentials: `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n` })
      const report = yield* examined({}, { credentials: DsqlAuth.layerCredentials })
      assert.deepStrictEqual(outcomes(report), {})
      assert.deepStrictEqual(stepOf(report, "credentials").facts, {
        provider: "keys in the shared AWS files",
        accessKeyId: `****************${id.slice(-4)}`,
        temporary: false
      })
      const soon = Date.now() + 60_000
      const ending = yield* examined({}, { credentials: DsqlAuth.layerStatic({ ...credentials, expiration: soon }) })
      assert.deepStrictEqual(outcomes(ending), { credentials: "warning" })
      assert.strictEqual(stepOf(ending, "credentials").facts["expires"], new Date(soon).toISOString())
      assert.match(stepOf(ending, "credentials").cause ?? "", /within five minutes/)
    })
  )

  it.effect("warns of temporary credentials that nothing renews, but not in Lambda, which does", () =>
    Effect.gen(function* () {
      const { addIdentity, credentials } = yield* DsqlLocal
      const session = { ...credentials, accessKeyId: "ASIASESSION000000000", sessionToken: Redacted.make("a session") }
      yield* addIdentity(session)
      const report = examined({}, { credentials: DsqlAuth.layerStatic(session) })
      const inEnvironment = (variables: Readonly<Record<string, string>>) =>
        Effect.withConfigProvider(report, ConfigProvider.fromMap(new Map(Object.entries(variables))))
      const outside = yield* inEnvironment({})
      assert.deepStrictEqual(outcomes(outside), { credentials: "warning" })
      assert.match(stepOf(outside, "credentials").cause ?? "", /do not say when they expire/)
      assert.deepStrictEqual(outcomes(yield* inEnvironment({ AWS_EXECUTION_ENV: "AWS_Lambda_nodejs22.x" })), {})
    })
  )

  it.effect("names DNS when the address cannot be resolved", () =>
    Effect.gen(function* () {
      assertFailed(yield* examinedWith({ DSQL_HOSTADDR: "no-such-host.invalid" }), {
        step: "dns",
        cause: /the name cannot be resolved/,
        cure: command("unset DSQL_HOSTADDR"),
        waiting: { ...waitingFor("dns", "tcp", "tls", ...session), clock: "login" }
      })
    })
  )

  it.effect("names TCP when nothing answers at the port", () =>
    Effect.gen(function* () {
      assertFailed(yield* examined({ port: 1 }), {
        step: "tcp",
        cause: /nothing answers there/,
        cure: command("npx effect-dsql local"),
        waiting: { ...waitingFor("tcp", "tls", ...session), clock: "login" }
      })
    })
  )

  describe("names TLS", () => {
    const waiting = { ...waitingFor("tls", ...session), clock: "login" }

    it.effect("when the authority is not trusted, with whose certificate it is", () =>
      Effect.gen(function* () {
        const { loginCount } = yield* DsqlLocal
        const before = yield* loginCount
        assertFailed(yield* examined({ tls: { ca: foreign } }), {
          step: "tls",
          cause: /issued by "effect-dsql local cluster CA", which is not among those trusted/,
          cure: command("unset DSQL_SSLROOTCERT"),
          waiting
        })
        assertFailed(yield* examined({ tls: undefined }), {
          step: "tls",
          cause: /a local cluster, or a proxy that ends TLS, has an authority of its own/,
          cure: command("export DSQL_SSLROOTCERT=<PEM file of that authority>"),
          waiting
        })
        assert.strictEqual(yield* loginCount, before)
      })
    )

    it.effect("when the certificate is for another name", () =>
      Effect.gen(function* () {
        const { clusterId, endpoint } = yield* DsqlLocal
        assertFailed(yield* examined({ host: `${clusterId}.dsql.eu-west-1.on.aws` }), {
          step: "tls",
          cause: /not for \w+\.dsql\.eu-west-1\.on\.aws/,
          cure: command(`export DSQL_HOST=${endpoint}`),
          waiting
        })
      })
    )

    it.effect("and proposes no name of the certificate as host that is not a cluster's", () =>
      Effect.gen(function* () {
        const { clusterId, endpoint, options } = yield* DsqlLocal
        const config = yield* DsqlConfig.resolve(options)
        const code = "ERR_TLS_CERT_ALTNAME_INVALID"
        const error = new DsqlErrors.DsqlConnectionError({
          reason: "Tls",
          host: endpoint,
          address: endpoint,
          cause: Object.assign(new Error(code), { code })
        })
        const proposed = (names: string) =>
          tlsTrouble(config, error, { names }).cures.filter(({ text }) => text.startsWith("export DSQL_HOST"))
        for (const names of ["proxy.corp.example", "IP Address:10.0.0.1", "", "$(touch /tmp/x).example", "*"]) {
          assert.deepStrictEqual(proposed(names), [], names)
        }
        assert.deepStrictEqual(proposed("proxy.corp.example, *.dsql.eu-west-1.on.aws"), [
          command(`export DSQL_HOST=${clusterId}.dsql.eu-west-1.on.aws`)
        ])
      })
    )

    it.scoped("when the server has none", () =>
      Effect.gen(function* () {
        const { ca } = yield* DsqlLocal
        const plain = yield* listen((socket) => socket.once("data", () => socket.write("N")))
        assertFailed(yield* examined({ port: plain.port, tls: { ca, negotiation: "postgres" } }), {
          step: "tls",
          cause: /the server has no TLS/,
          cure: command("unset DSQL_HOSTADDR DSQL_PORT"),
          waiting
        })
      })
    )

    it.scoped("when the server does not know that it starts at once", () =>
      Effect.gen(function* () {
        const asking = yield* listen((socket) => socket.once("data", () => socket.end("E")))
        assertFailed(yield* examined({ port: asking.port }), {
          step: "tls",
          cause: /no verified TLS connection|the connection was lost/,
          cure: command("export DSQL_SSLNEGOTIATION=postgres"),
          waiting
        })
      })
    )

    it.scoped("when the handshake never ends", () =>
      Effect.gen(function* () {
        const silent = yield* listen((socket) => socket.resume())
        assertFailed(yield* examined({ port: silent.port, pool: { connectTimeout: "200 millis" } }), {
          step: "tls",
          cause: /no login within pool\.connectTimeout/,
          cure: command("export DSQL_SSLNEGOTIATION=postgres"),
          waiting
        })
      })
    )

    it.scoped("with a warning when ALPN was not agreed on", () =>
      Effect.gen(function* () {
        const { region } = yield* DsqlLocal
        const { ca, certificate, key } = yield* Effect.promise(() => makeCertificates(region))
        const server = createServer({ cert: certificate, key }, (socket) => socket.on("error", () => {}))
        const { port } = yield* listen((socket) => server.emit("connection", socket))
        const report = yield* examined({ port, tls: { ca }, pool: { connectTimeout: "1 second" } })
        const { cause, cures, outcome } = stepOf(report, "tls")
        assert.strictEqual(outcome, "warning")
        assert.match(cause ?? "", /ALPN/)
        assert.deepStrictEqual(cures, [command("export DSQL_SSLNEGOTIATION=postgres")])
        assert.strictEqual(stepOf(report, "login").outcome, "failed")
      })
    )
  })
})
