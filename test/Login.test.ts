import { assert, describe, layer } from "@effect/vitest"
import { SqlClient } from "@effect/sql"
import { Effect, Layer, Redacted } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlErrors, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { readFileSync } from "node:fs"
import { Socket } from "node:net"
import { connect as connectTls } from "node:tls"

/** Builds a layer for the cluster of the context and gives its error. */
const refusal = (options: Partial<DsqlConfig.Options>, swaps?: DsqlLayer.Swaps) =>
  Effect.flatMap(DsqlLocal, (cluster) =>
    Effect.flip(
      Effect.scoped(
        Layer.build(
          DsqlLayer.layer(
            { ...cluster.options, ...options },
            { credentials: DsqlAuth.layerStatic(cluster.credentials), ...swaps }
          )
        )
      )
    )
  )

/** A token for this cluster, signed with something changed. */
const tokenFor = (change: Partial<DsqlAuth.SignRequest>) =>
  DsqlAuth.layerTokenFrom((request) => DsqlAuth.sign({ ...request, ...change }))

const otherHost = "zzzzzzzzzzzzzzzzzzzzzzzzzz.dsql.us-east-1.on.aws"

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("login", (it) => {
  it.effect("succeeds with a token signed by the cluster's credentials, with either TLS negotiation", () =>
    Effect.gen(function* () {
      const { ca } = yield* DsqlLocal
      for (const negotiation of ["direct", "postgres"] as const) {
        const rows = yield* Effect.flatMap(
          SqlClient.SqlClient,
          (sql) => sql`SELECT current_user AS who, current_setting('application_name') AS app`
        ).pipe(Effect.provide(DsqlLocal.layerClient({ tls: { ca, negotiation }, applicationName: "orders" })))
        assert.strictEqual(rows[0]!["who"], "admin")
        assert.match(String(rows[0]!["app"]), /^orders:effect-dsql\//)
      }
    })
  )

  it.effect("takes the CA from a file as well", () =>
    Effect.gen(function* () {
      const { caFile, options } = yield* DsqlLocal
      const { credentials } = yield* DsqlLocal
      yield* Layer.build(
        DsqlLayer.layer({ ...options, tls: { caFile } }, { credentials: DsqlAuth.layerStatic(credentials) })
      ).pipe(Effect.scoped)
      const error = yield* refusal({ tls: { caFile: "/no/such/ca.pem" } })
      assert(error._tag === "DsqlConfigError")
      assert.match(error.message, /tls\.caFile \(DSQL_SSLROOTCERT\).*no\/such\/ca\.pem/)
    })
  )

  const denied = [
    ["a wrong secret", { secretAccessKey: Redacted.make("wrong") }],
    ["an unknown key", { accessKeyId: "AKIAUNKNOWN000000000" }],
    ["a session token that does not belong to the key", { sessionToken: Redacted.make("stolen") }]
  ] as const
  describe.each(denied)("with %s", (_, change) => {
    it.effect("is denied", () =>
      Effect.gen(function* () {
        const { credentials, endpoint } = yield* DsqlLocal
        const error = yield* refusal({}, { credentials: DsqlAuth.layerStatic({ ...credentials, ...change }) })
        assert(error._tag === "DsqlAuthenticationError")
        assert.strictEqual(error.reason, "AccessDenied")
        assert.strictEqual(error.sqlState, "08006")
        assert.strictEqual(error.host, endpoint)
        assert.strictEqual(error.user, "admin")
        assert.notInclude(error.message, Redacted.value(credentials.secretAccessKey))
      })
    )
  })

  it.effect("with a token for another region or another host is denied", () =>
    Effect.gen(function* () {
      for (const change of [{ region: "eu-west-1" }, { host: otherHost }]) {
        const error = yield* refusal({}, { token: tokenFor(change) })
        assert(error._tag === "DsqlAuthenticationError")
        assert.strictEqual(error.reason, "AccessDenied")
      }
    })
  )

  it.effect("with an action that is not for the user says so", () =>
    Effect.gen(function* () {
      const error = yield* refusal({}, { token: tokenFor({ action: "DbConnect" }) })
      assert(error._tag === "DsqlAuthenticationError")
      assert.strictEqual(error.reason, "WrongUserForAction")
      assert.include(error.hint, "user: admin, action: DbConnect")
    })
  )

  it.effect("as a role that is not there says so", () =>
    Effect.gen(function* () {
      const error = yield* refusal({ user: "nobody_knows" })
      assert(error._tag === "DsqlAuthenticationError")
      assert.strictEqual(error.reason, "UnknownRole")
    })
  )

  it.effect("with an expired token says so, and may be tried again", () =>
    Effect.gen(function* () {
      const { setTokenSkew } = yield* DsqlLocal
      yield* setTokenSkew("16 minutes")
      const error = yield* Effect.ensuring(refusal({}), setTokenSkew(0))
      assert(error._tag === "DsqlAuthenticationError")
      assert.strictEqual(error.reason, "SignatureExpired")
      assert.isTrue(error.isRetryable)
    })
  )

  it.effect("with a plain password is denied", () =>
    Effect.gen(function* () {
      const error = yield* refusal(
        {},
        { token: Layer.succeed(DsqlAuth.DsqlToken, { get: Effect.succeed(Redacted.make("hunter2")) }) }
      )
      assert(error._tag === "DsqlAuthenticationError")
      assert.strictEqual(error.reason, "AccessDenied")
      assert.notInclude(JSON.stringify(error) + String(error.cause), "hunter2")
    })
  )

  it.effect("to a cluster with a foreign certificate authority does not get as far as the token", () =>
    Effect.gen(function* () {
      const { loginCount } = yield* DsqlLocal
      const before = yield* loginCount
      const foreign = readFileSync(new URL("fixtures/foreign-ca.pem", import.meta.url), "utf8")
      for (const tls of [undefined, { ca: foreign }, { ca: foreign, negotiation: "postgres" as const }]) {
        const error = yield* refusal({ tls })
        assert(error._tag === "DsqlConnectionError")
        assert.strictEqual(error.reason, "Tls")
      }
      assert.strictEqual(yield* loginCount, before)
    })
  )

  it.effect("under a name that the certificate does not cover fails at TLS", () =>
    Effect.gen(function* () {
      const error = yield* refusal({ host: otherHost.replace("us-east-1", "eu-west-1") })
      assert(error._tag === "DsqlConnectionError")
      assert.strictEqual(error.reason, "Tls")
    })
  )

  it.effect("to another cluster's name behind the same certificate is denied", () =>
    Effect.gen(function* () {
      const error = yield* refusal({ host: otherHost })
      assert(error._tag === "DsqlAuthenticationError")
    })
  )

  it.effect("without TLS, or with TLS but without SNI, is refused with what our client makes of it", () =>
    Effect.gen(function* () {
      const cluster = yield* DsqlLocal
      const peer = { host: cluster.endpoint, address: `${cluster.hostaddr}:${cluster.port}`, user: "admin" }
      const plain = new Socket().connect(cluster.port, cluster.hostaddr)
      const unnamed = connectTls({
        port: cluster.port,
        host: cluster.hostaddr,
        ca: cluster.ca,
        ALPNProtocols: ["postgresql"],
        // No servername: Node then sends no SNI for an IP address, and nothing is left to check the name against.
        checkServerIdentity: () => undefined
      })
      for (const socket of [plain, unnamed]) {
        const server = yield* Effect.promise(() => firstError(socket))
        const error = DsqlErrors.fromServerError(server, peer)
        assert(error._tag === "DsqlConnectionError", JSON.stringify(server))
        assert.strictEqual(server.severity, "FATAL")
        assert.match(server.message, socket === plain ? /TLS|SSL/i : /sni was not received/)
        assert.strictEqual(error.reason, "Tls")
      }
    })
  )

  it.effect("names unresolvable and refused addresses", () =>
    Effect.gen(function* () {
      const reasonOf = (options: Partial<DsqlConfig.Options>) =>
        Effect.map(refusal(options), (error) => (error._tag === "DsqlConnectionError" ? error.reason : error._tag))
      assert.strictEqual(yield* reasonOf({ hostaddr: "no-such-host.invalid" }), "Dns")
      assert.strictEqual(yield* reasonOf({ port: 1 }), "Refused")
    })
  )
})

/** Sends a start-up packet and reads the ErrorResponse that comes back. */
const firstError = (socket: Socket): Promise<DsqlErrors.ServerError> =>
  new Promise((resolve, reject) => {
    const parameters = Buffer.from("user\0admin\0database\0postgres\0\0")
    const head = Buffer.alloc(8)
    head.writeInt32BE(8 + parameters.length, 0)
    head.writeInt32BE(196608, 4)
    const chunks: Array<Buffer> = []
    socket.on("data", (chunk: Buffer) => chunks.push(chunk))
    socket.on("error", reject)
    socket.on("close", () => {
      const fields = new Map(
        Buffer.concat(chunks)
          .subarray(5)
          .toString("utf8")
          .split("\0")
          .filter((field) => field.length > 1)
          .map((field) => [field[0], field.slice(1)])
      )
      resolve({ severity: fields.get("S"), sqlState: fields.get("C") ?? "", message: fields.get("M") ?? "" })
    })
    socket.write(Buffer.concat([head, parameters]))
  })
