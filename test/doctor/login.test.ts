/** The doctor on set-ups that get as far as the server: what it refuses, and what is wrong behind the login. */
import { SqlClient } from "@effect/sql"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlDoctor, DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import type { IncomingMessage } from "node:http"
import { createServer as createHttpServer } from "node:http"
import type { AddressInfo } from "node:net"
import { until } from "../support/sockets.js"
import { type Refusals, serviceSaying } from "../support/service.js"
import { examined, examinedWith, obeying, outcomes, stepOf, withoutDefects } from "./support.js"

const credentials = { accessKeyId: "AKIAORDERS0000000000", secretAccessKey: Redacted.make("a secret of some length") }
const roleArn = "arn:aws:iam::123456789012:role/orders"
const session = {
  ...credentials,
  sessionToken: Redacted.make("a token of the session"),
  arn: "arn:aws:sts::123456789012:assumed-role/orders/i-0abc"
}

/** A server whose `Date` is wrong by so many milliseconds. */
const dateServer = (ahead: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<ReturnType<typeof createHttpServer>>((resume) => {
        const server = createHttpServer((_: IncomingMessage, answer) => {
          answer
            .setHeader("Date", new Date(Date.now() + ahead).toUTCString())
            .writeHead(403)
            .end()
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  )

/** A cluster that says what the local one never does. */
const examinedSaying = (refusals: Refusals, options: Partial<DsqlConfig.Options> = {}) =>
  Effect.flatMap(serviceSaying(refusals), (service) =>
    withoutDefects(DsqlDoctor.examine({ ...service, ...options }, { credentials: DsqlAuth.layerStatic(credentials) }))
  )

const behindLogin = { settings: "login", statement: "login" }

/** What comes behind a login that was refused for the role. */
const forRole = { login: "role", role: "failed", settings: "role", statement: "role" }

const admin = <A, E>(work: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
  Effect.orDie(Effect.provide(Effect.flatMap(SqlClient.SqlClient, work), DsqlLocal.layerClient()))

/** Does what the cures in SQL say, in their order. */
const run = (cures: ReadonlyArray<DsqlDoctor.Cure>) =>
  admin((sql) =>
    Effect.forEach(
      cures.filter(({ kind }) => kind === "sql"),
      ({ text }) => sql.unsafe(text)
    )
  )

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("the doctor", (it) => {
  describe("names the clock", () => {
    const refused = { clock: "failed", login: "clock", role: "clock", settings: "clock", statement: "clock" }

    it.effect("when the token is refused by its date, by as much as the refusal tells", () =>
      Effect.gen(function* () {
        const { setTokenSkew } = yield* DsqlLocal
        yield* setTokenSkew("20 minutes")
        const report = yield* Effect.ensuring(examined(), setTokenSkew(0))
        const { cause, cures, summary } = stepOf(report, "clock")
        assert.deepStrictEqual(outcomes(report), refused)
        assert.match(summary, /^(?:20m|19m 59s|20m 1s) behind that of the cluster$/)
        assert.match(cause ?? "", /Signature expired.*this machine's clock is wrong/)
        assert.deepStrictEqual(cures[0], { kind: "command", text: "sudo timedatectl set-ntp true" })
      })
    )

    it.scoped("when the token is not valid yet, by the server's own time behind its tolerance", () =>
      Effect.gen(function* () {
        const amz = (time: number) => new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, "")
        const now = Date.now()
        const [ahead, own] = [amz(now), amz(now - 600_000)]
        const H = `Signature not yet current: ${ahead} is still later than ${amz(now - 300_000)} (${own} + 5 min.)`
        const report = yield* examinedSaying({
          login: { C: "08006", M: "unable to accept connection, access denied", H }
        })
        assert.deepStrictEqual(outcomes(report), refused)
        assert.match(stepOf(report, "clock").summary, /^(?:10m|10m \ds) ahead of that of the cluster$/)
      })
    )

    it.scoped("by the Date of a server, before the cluster says a word", () =>
      Effect.gen(function* () {
        const { setTokenSkew } = yield* DsqlLocal
        const timeSource = yield* dateServer(600_000)
        const works = yield* examined({}, { timeSource })
        assert.deepStrictEqual(outcomes(works), { clock: "warning" })
        assert.match(stepOf(works, "clock").cause ?? "", /(?:10m|9m 5\ds) behind that of 127\.0\.0\.1/)
        assert.approximately(Number(stepOf(works, "clock").facts["aheadMillis"]), -600_000, 5000)
        yield* setTokenSkew("16 minutes")
        const report = yield* Effect.ensuring(examined({}, { timeSource }), setTokenSkew(0))
        assert.deepStrictEqual(outcomes(report), refused)
        assert.match(stepOf(report, "clock").facts["source"] as string, /^127\.0\.0\.1/)
      })
    )

    it.scoped("not at all where the time source does not answer", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(outcomes(yield* examined({}, { timeSource: "http://127.0.0.1:1" })), {})
      })
    )
  })

  describe("names the token", () => {
    it.effect("when it cannot be signed", () =>
      Effect.gen(function* () {
        const { endpoint } = yield* DsqlLocal
        const token = DsqlAuth.layerTokenFrom(() =>
          Effect.fail(
            new DsqlErrors.DsqlTokenError({ reason: "SigningFailed", host: endpoint, cause: new Error("no") })
          )
        )
        const report = yield* examined({}, { token })
        assert.deepStrictEqual(outcomes(report), {
          clock: "login",
          token: "failed",
          login: "token",
          role: "token",
          settings: "token",
          statement: "token"
        })
        assert.match(
          stepOf(report, "token").cause ?? "",
          /^Signing a token for .* failed.*: no \(effect-dsql\/docs\/errors\/DsqlTokenError\.md\)$/
        )
        assert.deepStrictEqual(stepOf(report, "token").cures[0], {
          kind: "command",
          text: "npm install @aws-sdk/dsql-signer"
        })
      })
    )

    it.scoped("when it had expired although the clocks agree", () =>
      Effect.gen(function* () {
        const { setTokenSkew } = yield* DsqlLocal
        const timeSource = yield* dateServer(0)
        yield* setTokenSkew("30 seconds")
        const report = yield* Effect.ensuring(examined({ tokenDuration: "2 seconds" }, { timeSource }), setTokenSkew(0))
        assert.deepStrictEqual(outcomes(report), {
          token: "failed",
          login: "token",
          role: "token",
          settings: "token",
          statement: "token",
          limits: "warning"
        })
        assert.match(stepOf(report, "token").cause ?? "", /Signature expired.*2s \(tokenDuration\) is shorter/)
        assert.deepStrictEqual(stepOf(report, "token").cures[0], { kind: "command", text: "unset DSQL_TOKEN_DURATION" })
      })
    )
  })

  describe("names the login", () => {
    const failed = { clock: "login", login: "failed", role: "login", ...behindLogin }

    it.effect("when the credentials are wrong", () =>
      Effect.gen(function* () {
        const known = (yield* DsqlLocal).credentials
        for (const change of [
          { secretAccessKey: Redacted.make("not the secret at all") },
          { accessKeyId: "AKIAUNKNOWN000000000" },
          { sessionToken: Redacted.make("a stolen session token") }
        ]) {
          const wrong = DsqlAuth.layerStatic({ ...known, ...change })
          const report = yield* examined({}, { credentials: wrong })
          const { credentials, ...rest } = outcomes(report)
          assert.deepStrictEqual(rest, failed)
          assert.strictEqual(credentials, "sessionToken" in change ? "warning" : undefined)
          assert.match(stepOf(report, "login").cause ?? "", /refused the login of admin.*check the cluster's name/)
          assert.deepStrictEqual(stepOf(report, "login").cures[0], {
            kind: "command",
            text: "aws sts get-caller-identity"
          })
        }
      })
    )

    it.effect("when there is no such cluster", () =>
      Effect.gen(function* () {
        const { endpoint } = yield* DsqlLocal
        const other = endpoint.replace(/^[^.]+/, "abcdefghijklmnopqrstuvwxyz")
        const { cures, summary } = stepOf(yield* examined({ host: other }), "login")
        assert.strictEqual(summary, "there is no such cluster")
        assert.deepStrictEqual(cures[0], {
          kind: "command",
          text: "aws dsql get-cluster --identifier abcdefghijklmnopqrstuvwxyz --region us-east-1"
        })
      })
    )

    it.effect("when there is no such database, and works once it is left out", () =>
      Effect.gen(function* () {
        const variables = { DSQL_DATABASE: "shop" }
        const report = yield* examinedWith(variables)
        assert.deepStrictEqual(outcomes(report), failed)
        assert.match(stepOf(report, "login").cause ?? "", /database "shop" does not exist/)
        const [cure] = stepOf(report, "login").cures
        assert.deepStrictEqual(outcomes(yield* examinedWith(obeying(variables, cure!.text))), {})
      })
    )

    const service: ReadonlyArray<readonly [string, Refusals["login"] & {}, RegExp, string]> = [
      [
        "the server name is lost on the way",
        { C: "08006", M: "unable to accept connection, sni was not received" },
        /sni was not received/,
        "unset DSQL_HOSTADDR DSQL_PORT"
      ],
      [
        "the cluster is waking up",
        { C: "08006", M: "unable to accept connection, waking up cluster, please retry later" },
        /is waking up/,
        "npx effect-dsql doctor"
      ],
      [
        "there are too many connections",
        { C: "53300", M: "Unable to accept connection, too many open connections." },
        /too many open connections/,
        "export DSQL_POOL_MAX=<fewer>"
      ],
      [
        "the connect rate is exceeded",
        { C: "53400", M: "Unable to accept connection, rate exceeded." },
        /connect rate is exceeded/,
        "export DSQL_POOL_CONNECT_RATE=<fewer>"
      ]
    ]
    for (const [why, refusal, cause, cure] of service) {
      it.scoped(`when ${why}`, () =>
        Effect.gen(function* () {
          const report = yield* examinedSaying({ login: refusal })
          assert.deepStrictEqual(outcomes(report), failed)
          assert.match(stepOf(report, "login").cause ?? "", cause)
          assert.deepStrictEqual(stepOf(report, "login").cures[0], { kind: "command", text: cure })
        })
      )
    }
  })

  describe("names the role", () => {
    it.effect("that is not there, not mapped or may not log in, and its cures in SQL make it work", () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        yield* local.addIdentity(session)
        const asOrders = examined(
          { user: `or"ders` },
          { credentials: DsqlAuth.layerStatic({ ...session, expiration: 9e12 }) }
        )

        const missing = yield* asOrders
        assert.deepStrictEqual(outcomes(missing), { clock: "login", ...forRole })
        assert.match(stepOf(missing, "role").cause ?? "", /Role or"ders does not exist/)
        const [create, map, print] = stepOf(missing, "role").cures
        assert.deepStrictEqual(create, { kind: "sql", text: `CREATE ROLE "or""ders" WITH LOGIN` })
        assert.match(map!.text, /^AWS IAM GRANT "or""ders" TO 'arn:aws:iam::<account>:role\/<IAM role>'$/)
        assert.match(print!.text, /^npx effect-dsql roles 'or"ders' --arn /)
        yield* run([create!])

        const unmapped = yield* asOrders
        assert.deepStrictEqual(outcomes(unmapped), { clock: "login", ...forRole })
        assert.match(stepOf(unmapped, "role").cause ?? "", /is not authorized to access this resource/)
        assert.deepStrictEqual(stepOf(unmapped, "role").cures[0], {
          kind: "sql",
          text: `AWS IAM GRANT "or""ders" TO '${roleArn}'`
        })
        yield* run(stepOf(unmapped, "role").cures)

        yield* admin((sql) => sql.unsafe(`ALTER ROLE "or""ders" WITH NOLOGIN`))
        const locked = yield* asOrders
        assert.deepStrictEqual(outcomes(locked), { clock: "login", ...forRole })
        assert.match(stepOf(locked, "role").cause ?? "", /must have the LOGIN attribute/)
        yield* run(stepOf(locked, "role").cures)

        const report = yield* asOrders
        assert.deepStrictEqual(outcomes(report), {})
        assert.deepStrictEqual(stepOf(report, "role").facts, { user: `or"ders`, action: "dsql:DbConnect" })
      })
    )

    it.effect("whose action IAM does not allow, with the policy statement that does", () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        yield* local.addIdentity({ ...credentials, allowedActions: ["dsql:DbConnect"] })
        const report = yield* examined({}, { credentials: DsqlAuth.layerStatic(credentials) })
        assert.deepStrictEqual(outcomes(report), { clock: "login", ...forRole })
        const [cure] = stepOf(report, "role").cures
        assert.strictEqual(cure!.kind, "policy")
        assert.deepStrictEqual(JSON.parse(cure!.text), {
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Action: "dsql:DbConnectAdmin",
              Resource: `arn:aws:dsql:${local.region}:123456789012:cluster/${local.clusterId}`
            }
          ]
        })
      })
    )

    it.effect("when the token is for the other kind of user", () =>
      Effect.gen(function* () {
        const token = DsqlAuth.layerTokenFrom((request) => DsqlAuth.sign({ ...request, action: "DbConnect" }))
        const report = yield* examined({}, { token })
        assert.deepStrictEqual(outcomes(report), { clock: "login", ...forRole })
        assert.match(stepOf(report, "role").cause ?? "", /Wrong user to action mapping. user: admin, action: DbConnect/)
        assert.match(stepOf(report, "role").cures[0]!.text, /^sign for DbConnectAdmin/)
      })
    )
  })

  describe("names the settings", () => {
    it.effect("that the server refuses, and goes on without them", () =>
      Effect.gen(function* () {
        const variables = { DSQL_OPTIONS: "-c timezone=Atlantis" }
        const report = yield* examinedWith(variables)
        assert.deepStrictEqual(outcomes(report), { settings: "failed" })
        assert.match(stepOf(report, "settings").cause ?? "", /invalid value for parameter "TimeZone": "Atlantis"/)
        const [cure] = stepOf(report, "settings").cures
        assert.deepStrictEqual(outcomes(yield* examinedWith(obeying(variables, cure!.text))), {})
      })
    )

    it.effect("when setup fails", () =>
      Effect.gen(function* () {
        const report = yield* examined({ setup: (sql) => sql`SELECT * FROM nowhere` })
        assert.deepStrictEqual(outcomes(report), { settings: "failed" })
        assert.match(stepOf(report, "settings").cause ?? "", /relation "nowhere" does not exist/)
        assert.strictEqual(stepOf(report, "settings").cures[0]!.kind, "change")
      })
    )

    it.effect("when setup does not end in the time that the pool would give it", () =>
      Effect.gen(function* () {
        const report = yield* examined({ pool: { connectTimeout: "1 second" }, setup: () => Effect.never })
        assert.deepStrictEqual(outcomes(report), { settings: "failed" })
        const { cause, cures } = stepOf(report, "settings")
        assert.match(cause ?? "", /^setup did not end within 1s \(pool.connectTimeout\)/)
        assert.match(cures[0]!.text, /setup option/)
      })
    )

    it.effect("with a warning when no schema of the search path is there, until it is created", () =>
      Effect.gen(function* () {
        const options = { session: { search_path: "Archive" } }
        const report = yield* examined(options)
        assert.deepStrictEqual(outcomes(report), { settings: "warning" })
        assert.match(stepOf(report, "settings").cause ?? "", /no schema of the search_path Archive is there/)
        const [create] = stepOf(report, "settings").cures
        assert.deepStrictEqual(create, { kind: "sql", text: "CREATE SCHEMA archive" })
        yield* run([create!])
        const after = yield* examined(options)
        assert.deepStrictEqual(outcomes(after), {})
        assert.deepStrictEqual(stepOf(after, "settings").facts, { search_path: "Archive" })
      })
    )
  })

  it.scoped("names the statement when the service is unavailable", () =>
    Effect.gen(function* () {
      const report = yield* examinedSaying({ SELECT: { C: "XX000", M: "server unavailable" } })
      assert.deepStrictEqual(outcomes(report), { clock: "login", statement: "failed" })
      assert.match(stepOf(report, "statement").cause ?? "", /server unavailable/)
      assert.deepStrictEqual(stepOf(report, "statement").cures[0], { kind: "command", text: "npx effect-dsql doctor" })
    })
  )

  it.scoped("names the statement when the connection is lost over it", () =>
    Effect.gen(function* () {
      const report = yield* examinedSaying({ SELECT: "hangUp" })
      assert.deepStrictEqual(outcomes(report), { clock: "login", statement: "failed" })
      assert.match(stepOf(report, "statement").cause ?? "", /the connection was lost/)
    })
  )

  it.effect("warns of options that the limits of the service stand against, until all cures are taken", () =>
    Effect.gen(function* () {
      const variables = {
        DSQL_POOL_MAX: "2000",
        DSQL_POOL_CONNECT_RATE: "500",
        DSQL_POOL_MAX_LIFETIME: "59 minutes",
        DSQL_POOL_ACQUIRE_TIMEOUT: "1 second",
        DSQL_TOKEN_DURATION: "5 seconds"
      }
      const report = yield* examinedWith(variables)
      assert.deepStrictEqual(outcomes(report), { limits: "warning" })
      assert.strictEqual(report.outcome, "warning")
      const { cause = "", cures } = stepOf(report, "limits")
      assert.lengthOf(cures, 5)
      for (const said of ["2000 connections", "500 new", "59m is cut", "gives up after 1s", "token of 5s"]) {
        assert.include(cause, said)
      }
      const mended = cures.reduce(
        (variables, { text }) => obeying(variables, text),
        variables as Record<string, string>
      )
      assert.deepStrictEqual(outcomes(yield* examinedWith(mended)), {})
    })
  )

  it.effect("leaves no connection behind, whatever it finds", () =>
    Effect.gen(function* () {
      const { connectionCount } = yield* DsqlLocal
      yield* examined()
      yield* examined({ setup: (sql) => sql`SELECT * FROM nowhere` })
      yield* until(() => Effect.runSync(connectionCount) === 0)
    })
  )
})
