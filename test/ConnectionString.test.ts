import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, FastCheck as fc } from "effect"
import { DsqlConfig, DsqlErrors } from "effect-dsql"

const id = "abcdefghijklmnopqrstuvwxyz"
const endpoint = `${id}.dsql.eu-west-1.on.aws`
const uri = (rest: string) => `postgresql://${endpoint}/postgres?${rest}`

const read = (text: string) => Either.getOrThrow(DsqlConfig.fromString(text))

const refusedAs = (text: string) =>
  Effect.map(Effect.flip(Effect.asVoid(DsqlConfig.make(text))), (error) => {
    assert(error._tag === "DsqlConfigError", String(error))
    return error
  })

describe("a connection string", () => {
  it("may be just a host or a cluster id", () => {
    assert.deepStrictEqual(read(` ${endpoint} `), { host: endpoint })
    assert.deepStrictEqual(read(id), { host: id })
  })

  it.each([
    `postgres://${endpoint}`,
    `postgresql://${endpoint}/`,
    `POSTGRESQL://${endpoint}`,
    `postgresql://${endpoint}?`
  ])("needs no more than the host: %s", (text) => assert.strictEqual(read(text).host, endpoint))

  it.effect("says user, port, database and all the parameters", () =>
    Effect.gen(function* () {
      const config = yield* DsqlConfig.make(
        `postgres://orders@${id}:15432/other?region=eu-west-1&profile=my%20team&token_duration_secs=60` +
          "&hostaddr=127.0.0.1&application_name=a%26b&sslmode=verify-full&sslrootcert=%2Fca.pem&sslnegotiation=postgres" +
          "&connect_timeout=5&keepalives_idle=7&options=-c%20search_path%3Dorders%2Cpublic%20--enable-hashjoin=off"
      )
      const { applicationName, clusterId, keepAlive, pool, tokenDuration, ...rest } = config
      assert.match(applicationName, /^a&b:effect-dsql/)
      assert.deepStrictEqual([tokenDuration, pool.connectTimeout, keepAlive].map(Duration.toSeconds), [60, 5, 7])
      assert.strictEqual(clusterId, id)
      assert.deepInclude(rest, {
        host: endpoint,
        address: "127.0.0.1",
        port: 15432,
        user: "orders",
        database: "other",
        region: "eu-west-1",
        profile: "my team",
        tls: { negotiation: "postgres", ca: undefined, caFile: "/ca.pem" },
        session: { search_path: "orders,public", enable_hashjoin: "off" }
      })
    })
  )

  it("takes user, host, port and database as parameters as well", () => {
    assert.deepInclude(read(`postgresql:///?user=orders&host=${id}&port=15432&dbname=other`), {
      user: "orders",
      host: id,
      port: 15432,
      database: "other"
    })
  })

  it("takes the token's duration as AWS's connectors for Node spell it", () => {
    assert.deepStrictEqual(read(uri("tokenDurationSecs=15")).tokenDuration, Duration.seconds(15))
  })

  it("decodes percent-encoding as libpq does, and leaves a plus as it is", () => {
    assert.strictEqual(read(uri("application_name=a+b%2Bc%20d")).applicationName, "a+b+c d")
    assert.strictEqual(read(`postgresql://or%40ders@${endpoint}`).user, "or@ders")
  })

  it.each(["require", "verify-ca", "verify-full"])("with sslmode=%s is verified as without it", (mode) => {
    assert.deepStrictEqual(read(uri(`sslmode=${mode}`)).tls, {})
  })

  it("trusts the system's authorities with sslrootcert=system", () => {
    assert.deepStrictEqual(read(uri("sslrootcert=system")).tls, {})
  })

  const refused: ReadonlyArray<readonly [text: string, option: string, message: RegExp]> = [
    [uri("sslmode=disable"), "sslmode", /TLS is always on and always verified/],
    [uri("sslmode=prefer"), "sslmode", /must be require, verify-ca or verify-full.*not "prefer"/],
    [uri("sslmode=allow"), "sslmode", /not "allow"/],
    [uri("sslnegotiation=maybe"), "sslnegotiation", /direct or postgres/],
    [uri("connect_timeout=soon"), "connect_timeout", /whole number of seconds, not "soon"/],
    [uri("connect_timeout=0"), "connect_timeout", /must be a duration from 1ms to 1h.* not 0/],
    [uri("token_duration_secs=0"), "token_duration_secs", /from 1s to 7d/],
    [uri("token_duration_secs=604801"), "token_duration_secs", /from 1s to 7d/],
    [uri("tokenDurationSecs=0"), "tokenDurationSecs", /from 1s to 7d/],
    [
      uri("token_duration_secs=15&tokenDurationSecs=15"),
      "tokenDurationSecs",
      /says again what token_duration_secs says/
    ],
    [uri("port=70000"), "port", /from 1 to 65535/],
    [uri("port=a"), "port", /must be a whole number, not "a"/],
    [`postgresql://${endpoint}/?dbname=`, "dbname", /must not be empty/],
    [uri("user=a&user=b"), "connection string", /says user twice/],
    [`postgresql://a@${endpoint}/?user=b`, "connection string", /says user twice/],
    [`postgresql://${endpoint}/?host=${id}`, "connection string", /says host twice/],
    [uri("user=%zz"), "connection string", /% without two hexadecimal digits/],
    [uri("aplication_name=x"), "aplication_name", /is no parameter.* Did you mean application_name\?/],
    [uri("applicationName=x"), "applicationName", /Did you mean application_name\?/],
    [uri("colour=blue"), "colour", /is no parameter of a connection string\. \(/],
    [uri("constructor=x"), "constructor", /is no parameter/],
    [uri("statement_timeout=5s"), "statement_timeout", /Effect\.timeout/],
    [uri("options=-c%20statement_timeout%3D5s"), "options", /statement_timeout cannot be set.*Effect\.timeout/],
    [uri("options=-c%20lock_timeout%3D5s"), "options", /lock_timeout cannot be set/],
    [uri("options=-c%20serch_path%3Dx"), "options", /serch_path.*Did you mean search_path\?/],
    [uri("options=-c%20role%3Dx"), "options", /role can only be set with SET LOCAL/],
    [uri("options=-c%20amzn-cluster-id%3Dx"), "options", /amzn_cluster_id.*no certificate can be verified/],
    [uri("options=search_path%3Dx"), "options", /-c name=value/],
    [`mysql://${endpoint}`, "connection string", /must begin with postgresql:\/\/ or postgres:\/\//],
    [`host=${endpoint} user=admin`, "connection string", /keyword=value; write it as postgresql:/],
    [`postgresql://${endpoint}:5432:5432/`, "connection string", /cannot be read/],
    [`postgresql://${endpoint},${endpoint}/`, "host", /is not a cluster/],
    ["postgresql:///postgres", "host", /is not set/],
    ["postgresql://localhost:5432/postgres", "host", /"localhost" is not a cluster.*hostaddr/],
    ["localhost", "host", /"localhost" is not a cluster.*hostaddr/]
  ]
  it.effect.each(refused)("%s is refused under the name %s", ([text, option, message]) =>
    Effect.gen(function* () {
      const error = yield* refusedAs(text)
      assert.strictEqual(error.option, option)
      assert.match(error.message, message)
      assert.match(error.message, new RegExp(`^${option}: `))
    })
  )

  it.effect("whose region contradicts its host is a DsqlRegionError, as with options", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(DsqlConfig.make(uri("region=us-east-1")))
      assert.deepStrictEqual(
        error,
        new DsqlErrors.DsqlRegionError({
          reason: "Mismatch",
          host: endpoint,
          region: "us-east-1",
          hostRegion: "eu-west-1"
        })
      )
    })
  )

  const secret = "sesame-open"
  const passwords = [
    `postgresql://admin:${secret}@${endpoint}/postgres`,
    `postgresql://:${secret}@${endpoint}/postgres`,
    `postgresql://admin:@${endpoint}/postgres`,
    uri(`password=${secret}`),
    uri(`p%61ssword=${secret}`),
    uri(`passfile=${secret}`)
  ]
  it.effect.each(passwords)("with a password is refused with the reason: %s", (text) =>
    Effect.gen(function* () {
      const error = yield* refusedAs(text)
      assert.strictEqual(error.reason, "InvalidConnectionString")
      assert.match(error.message, /every login carries a token signed with AWS credentials/)
    })
  )

  const leaks = [
    ...passwords,
    `postgresql://admin:${secret}#1@${endpoint}/postgres`,
    `postgresql://admin:${secret}?1@${endpoint}/postgres`,
    `postgresql://admin:a/${secret}@${endpoint}/postgres`,
    `mysql://admin:${secret}@${endpoint}`,
    `host=${endpoint} password=${secret}`,
    `${endpoint}?password=${secret}`,
    uri(`user=a&password=${secret}&nonsense=1`)
  ]
  it.effect.each(leaks)("is never quoted, since it may hold a password: %s", (text) =>
    Effect.gen(function* () {
      assert.notInclude(JSON.stringify(yield* refusedAs(text)), secret)
      const asHost = yield* Effect.flip(Effect.asVoid(DsqlConfig.make({ host: text })))
      assert.notInclude(JSON.stringify(asHost) + String(asHost), secret)
    })
  )

  it("of any kind is read or refused, and never throws", () => {
    const word = fc.string({ unit: fc.constantFrom(..."abc09.-_%:/?#@&=[]+ \\\0é".split("")), maxLength: 20 })
    fc.assert(
      fc.property(fc.constantFrom("", "postgresql://", "postgres://", "x://"), word, word, word, (scheme, ...parts) => {
        DsqlConfig.fromString(scheme + parts.join(""))
      }),
      { numRuns: 2000 }
    )
  })

  it("says any value back that is percent-encoded", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 40 }), (value) => {
        assert.strictEqual(read(uri(`profile=${encodeURIComponent(value)}`)).profile, value)
      })
    )
  })
})
