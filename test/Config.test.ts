import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Layer } from "effect"
import { DsqlConfig, DsqlErrors } from "effect-dsql"
import { expectTypeOf } from "vitest"
import { home } from "./support/aws.js"

const id = "abcdefghijklmnopqrstuvwxyz"
const endpoint = `${id}.dsql.eu-west-1.on.aws`

const inEnvironment = (variables: Record<string, string>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_", seqDelim: "," }))

const make = (options: string | DsqlConfig.Options, variables: Record<string, string> = {}) =>
  DsqlConfig.make(options).pipe(Effect.provide(inEnvironment(variables)))

/** Without the value, which vitest would take minutes to print if there were one. */
const failing = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(Effect.asVoid(effect))

const fromEnvironment = (variables: Record<string, string>) =>
  DsqlConfig.DsqlConfig.pipe(Effect.provide(DsqlConfig.layerEnvironment), Effect.provide(inEnvironment(variables)))

/** Every option that is plain data: as option, as variable, and as parameter of a connection string where there is one. */
const everyWay = [
  ["hostaddr", "127.0.0.1", "DSQL_HOSTADDR", "127.0.0.1", "hostaddr=127.0.0.1"],
  ["port", 15432, "DSQL_PORT", "15432", "port=15432"],
  ["user", "orders", "DSQL_USER", "orders", "user=orders"],
  ["database", "other", "DSQL_DATABASE", "other", "dbname=other"],
  ["region", "eu-west-1", "DSQL_REGION", "eu-west-1", "region=eu-west-1"],
  ["profile", "work", "DSQL_PROFILE", "work", "profile=work"],
  ["tokenDuration", "5 minutes", "DSQL_TOKEN_DURATION", "5 minutes", "token_duration_secs=300"],
  ["applicationName", "shop", "DSQL_APPLICATION_NAME", "shop", "application_name=shop"],
  ["tls.caFile", "/ca.pem", "DSQL_SSLROOTCERT", "/ca.pem", "sslrootcert=/ca.pem"],
  ["tls.negotiation", "postgres", "DSQL_SSLNEGOTIATION", "postgres", "sslnegotiation=postgres"],
  ["pool.max", 3, "DSQL_POOL_MAX", "3", undefined],
  ["pool.min", 2, "DSQL_POOL_MIN", "2", undefined],
  ["pool.idleTimeout", "1 minute", "DSQL_POOL_IDLE_TIMEOUT", "1 minute", undefined],
  ["pool.maxLifetime", "20 minutes", "DSQL_POOL_MAX_LIFETIME", "20 minutes", undefined],
  ["pool.lifetimeJitter", 0.25, "DSQL_POOL_LIFETIME_JITTER", "0.25", undefined],
  ["pool.acquireTimeout", "3 seconds", "DSQL_POOL_ACQUIRE_TIMEOUT", "3 seconds", undefined],
  ["pool.connectTimeout", "4 seconds", "DSQL_POOL_CONNECT_TIMEOUT", "4 seconds", "connect_timeout=4"],
  ["pool.connectRate", 7, "DSQL_POOL_CONNECT_RATE", "7", undefined],
  ["keepAlive", "9 seconds", "DSQL_KEEP_ALIVE", "9 seconds", "keepalives_idle=9"],
  ["session", { search_path: "shop" }, "DSQL_OPTIONS", "-c search_path=shop", "options=-c%20search_path=shop"],
  ["retry.deadline", "10 seconds", "DSQL_RETRY_DEADLINE", "10 seconds", undefined],
  ["retry.times", 0, "DSQL_RETRY_TIMES", "0", undefined],
  ["retry.base", "2 millis", "DSQL_RETRY_BASE", "2 millis", undefined],
  ["retry.cap", "1 second", "DSQL_RETRY_CAP", "1 second", undefined],
  ["retry.maxAge", "1 minute", "DSQL_RETRY_MAX_AGE", "1 minute", undefined],
  ["unsafeRetryTransactions", true, "DSQL_UNSAFE_RETRY_TRANSACTIONS", "true", undefined],
  ["lazy", true, "DSQL_LAZY", "true", undefined]
] as const

type Path = (typeof everyWay)[number][0]
type Plain = Exclude<keyof DsqlConfig.DataOptions, "host" | "tls" | "pool" | "retry">
type Grouped =
  | `pool.${keyof DsqlConfig.PoolOptions}`
  | `tls.${Exclude<keyof DsqlConfig.TlsOptions, "ca">}`
  | `retry.${keyof DsqlConfig.RetryOptions}`

const nested = (path: string, value: unknown): object => {
  const [first, second] = path.split(".")
  return { [first!]: second === undefined ? value : { [second]: value } }
}

describe("DsqlConfig", () => {
  it("has a row below for every option of plain data but the host, and the CA as text", () => {
    expectTypeOf<Path>().toEqualTypeOf<Plain | Grouped>()
  })

  it.effect.each(everyWay)(
    "takes %s as option, Config, variable and parameter, with one result",
    ([path, value, variable, text, parameter]) =>
      Effect.gen(function* () {
        const here = inEnvironment({ AWS_REGION: "us-east-1" })
        const config = yield* make({ host: id, ...nested(path, value) }, { AWS_REGION: "us-east-1" })
        assert.notDeepEqual(config, yield* make(id, { AWS_REGION: "us-east-1" }), "it is the default")
        const fromConfig = (config: Parameters<typeof DsqlConfig.layerConfig>[0]) =>
          DsqlConfig.DsqlConfig.pipe(Effect.provide(DsqlConfig.layerConfig(config)), Effect.provide(here))
        const wrapped = nested(path, Config.succeed(value)) as Config.Config.Wrap<DsqlConfig.DataOptions>
        assert.deepStrictEqual(yield* fromConfig({ ...wrapped, host: Config.succeed(id) }), config)
        const variables = { AWS_REGION: "us-east-1", [variable]: text }
        assert.deepStrictEqual(yield* fromEnvironment({ ...variables, DSQL_HOST: id }), config)
        if (parameter === undefined) return
        const url = `postgresql://${id}?${parameter}`
        assert.deepStrictEqual(yield* make(url, { AWS_REGION: "us-east-1" }), config)
        assert.deepStrictEqual(yield* fromConfig(Config.succeed(url)), config)
        assert.deepStrictEqual(yield* fromEnvironment({ AWS_REGION: "us-east-1", DSQL_URL: url }), config)
      })
  )

  it.effect("lets a variable go before what DSQL_URL says, group by group", () =>
    Effect.gen(function* () {
      const DSQL_URL = `postgresql://a@${id}:1/?region=us-east-1&sslrootcert=/ca.pem&options=-c%20search_path=a`
      const config = yield* fromEnvironment({
        DSQL_URL,
        DSQL_HOST: endpoint,
        DSQL_REGION: "eu-west-1",
        DSQL_USER: "b",
        DSQL_SSLNEGOTIATION: "postgres",
        DSQL_OPTIONS: "-c enable_hashjoin=off",
        CLUSTER_ENDPOINT: "ignored"
      })
      assert.deepInclude(config, {
        host: endpoint,
        user: "b",
        port: 1,
        tls: { negotiation: "postgres", ca: undefined, caFile: "/ca.pem" },
        session: { search_path: "a", enable_hashjoin: "off" }
      })
    })
  )

  const places: ReadonlyArray<readonly [variables: Record<string, string>, message: RegExp]> = [
    [{ DSQL_URL: "postgresql://admin@localhost/postgres" }, /^DSQL_URL \(host\): "localhost" is not a cluster/],
    [{ DSQL_URL: `postgresql://${endpoint}?connect_timeout=0` }, /^DSQL_URL \(connect_timeout\): must be a duration/],
    [{ DSQL_URL: `postgresql://${endpoint}:1`, DSQL_PORT: "0" }, /^DSQL_PORT: must be/],
    [{ CLUSTER_ENDPOINT: "localhost" }, /^CLUSTER_ENDPOINT: "localhost" is not a cluster/],
    [{ DSQL_HOST: "localhost", CLUSTER_ENDPOINT: endpoint }, /^DSQL_HOST: "localhost" is not a cluster/]
  ]
  it.effect.each(places)("says where what is wrong stands: %j", ([variables, message]) =>
    Effect.gen(function* () {
      assert.match((yield* failing(fromEnvironment(variables))).message, message)
    })
  )

  it.effect("takes the host from CLUSTER_ENDPOINT, as AWS's samples call it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* fromEnvironment({ CLUSTER_ENDPOINT: endpoint }), yield* make(endpoint))
    })
  )

  it.effect("fills in the documented defaults for just a host", () =>
    Effect.gen(function* () {
      const config = yield* make(endpoint)
      assert.strictEqual(config.host, endpoint)
      assert.strictEqual(config.address, endpoint)
      assert.strictEqual(config.clusterId, id)
      assert.strictEqual(config.region, "eu-west-1")
      assert.strictEqual(config.port, 5432)
      assert.strictEqual(config.user, "admin")
      assert.strictEqual(config.database, "postgres")
      assert.strictEqual(config.tls.negotiation, "direct")
      assert.strictEqual(config.pool.max, 10)
      assert.strictEqual(config.lazy, false)
      assert.strictEqual(config.unsafeRetryTransactions, false)
      assert.deepStrictEqual(config.retry, {
        deadline: Duration.seconds(60),
        times: undefined,
        base: Duration.millis(5),
        cap: Duration.millis(100),
        maxAge: Duration.seconds(290)
      })
      assert.match(config.applicationName, /^effect-dsql\/\d/)
      assert.deepStrictEqual(
        [
          config.tokenDuration,
          config.pool.idleTimeout,
          config.pool.maxLifetime,
          config.pool.acquireTimeout,
          config.pool.connectTimeout
        ].map(Duration.toSeconds),
        [900, 600, 3300, 30, 10]
      )
    })
  )

  it.effect(
    "expands a bare cluster id with the region of the option, AWS_REGION or AWS_DEFAULT_REGION, in this order",
    () =>
      Effect.gen(function* () {
        const both = { AWS_REGION: "us-west-2", AWS_DEFAULT_REGION: "us-east-2" }
        const host = (options: DsqlConfig.Options, variables: Record<string, string>) =>
          Effect.map(make(options, variables), (config) => config.host)
        assert.strictEqual(yield* host({ host: id, region: "eu-west-1" }, both), endpoint)
        assert.strictEqual(yield* host({ host: id }, both), `${id}.dsql.us-west-2.on.aws`)
        assert.strictEqual(
          yield* host({ host: id }, { AWS_DEFAULT_REGION: "us-east-2" }),
          `${id}.dsql.us-east-2.on.aws`
        )
      })
  )

  it.effect("does not let AWS_REGION contradict an endpoint", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* make(endpoint, { AWS_REGION: "us-west-2" })).region, "eu-west-1")
    })
  )

  it.effect("fails typed when the region is missing or contradicts the host", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failing(make(id)), new DsqlErrors.DsqlRegionError({ reason: "Missing", host: id }))
      assert.deepStrictEqual(
        yield* failing(make({ host: endpoint, region: "us-east-1" })),
        new DsqlErrors.DsqlRegionError({
          reason: "Mismatch",
          host: endpoint,
          region: "us-east-1",
          hostRegion: "eu-west-1"
        })
      )
    })
  )

  it.effect("lets a longest wait below the usual first one bound that, too", () =>
    Effect.gen(function* () {
      const { retry } = yield* make({ host: endpoint, retry: { cap: "2 millis" } })
      assert.deepStrictEqual([retry.base, retry.cap].map(Duration.toMillis), [2, 2])
    })
  )

  const invalid: ReadonlyArray<readonly [option: string, options: Partial<DsqlConfig.Options>]> = [
    ["port", { port: 0 }],
    ["port", { port: 5432.5 }],
    ["region", { host: id, region: "Frankfurt" }],
    ["user", { user: "" }],
    ["database", { database: "a\0b" }],
    ["hostaddr", { hostaddr: "" }],
    ["tokenDuration", { tokenDuration: "500 millis" }],
    ["tokenDuration", { tokenDuration: "8 days" }],
    ["tokenDuration", { tokenDuration: "1500 millis" }],
    ["tokenDuration", { tokenDuration: 3600.5 }],
    ["tokenDuration", { tokenDuration: NaN }],
    ["hostaddr", { hostaddr: "127.0.0.1:5432" }],
    ["user", { user: "  " }],
    ["applicationName", { applicationName: "" }],
    ["applicationName", { applicationName: "a\0search_path\0evil" }],
    ["tls", { tls: { ca: "PEM", caFile: "/ca.pem" } }],
    ["tokenDuration", { tokenDuration: "soon" as "1 second" }],
    ["applicationName", { applicationName: "é".repeat(30) }],
    ["pool.max", { pool: { max: 0 } }],
    ["pool.maxLifetime", { pool: { maxLifetime: "60 minutes" } }],
    ["pool.idleTimeout", { pool: { idleTimeout: 0 } }],
    ["pool.acquireTimeout", { pool: { acquireTimeout: 0 } }],
    ["pool.connectTimeout", { pool: { connectTimeout: Infinity } }],
    ["pool.min", { pool: { max: 2, min: 3 } }],
    ["pool.lifetimeJitter", { pool: { lifetimeJitter: 0.6 } }],
    ["pool.lifetimeJitter", { pool: { lifetimeJitter: NaN } }],
    ["pool.connectRate", { pool: { connectRate: 0 } }],
    ["keepAlive", { keepAlive: 0 }],
    ["retry.deadline", { retry: { deadline: 0 } }],
    ["retry.deadline", { retry: { deadline: NaN } }],
    ["retry.deadline", { retry: { deadline: "-1 seconds" } }],
    ["retry.deadline", { retry: { deadline: Infinity } }],
    ["retry.times", { retry: { times: -1 } }],
    ["retry.times", { retry: { times: NaN } }],
    ["retry.times", { retry: { times: 2.5 } }],
    ["retry.times", { retry: { times: Infinity } }],
    ["retry.base", { retry: { base: NaN } }],
    ["retry.base", { retry: { base: "101 millis" } }],
    ["retry.base", { retry: { base: "3 millis", cap: "2 millis" } }],
    ["retry.cap", { retry: { cap: -1 } }],
    ["retry.cap", { retry: { cap: "2 minutes" } }],
    ["retry.maxAge", { retry: { maxAge: NaN } }],
    ["retry.maxAge", { retry: { maxAge: "301 seconds" } }],
    ["profile", { profile: "" }],
    ["session", { session: { search_path: "a\0b" } }],
    ["session", { session: { search_path: 1 as unknown as string } }]
  ]
  it.effect.each(invalid)("refuses a wrong %s: %j", ([option, options]) =>
    Effect.gen(function* () {
      const error = yield* failing(make({ host: endpoint, ...options }))
      assert(error._tag === "DsqlConfigError")
      assert.strictEqual(error.reason, "InvalidOption")
      assert.strictEqual(error.option, option)
      assert.include(error.message, option)
    })
  )

  it.effect("points from localhost to hostaddr", () =>
    Effect.gen(function* () {
      const error = yield* failing(make("localhost"))
      assert(error._tag === "DsqlConfigError")
      assert.strictEqual(error.reason, "InvalidHost")
      assert.match(error.message, /"localhost".*hostaddr/)
    })
  )

  const notOptions: ReadonlyArray<readonly [option: string, options: object, message: RegExp]> = [
    ["applicatonName", { applicatonName: "x" }, /is no option\. Did you mean applicationName\?/],
    ["application_name", { application_name: "x" }, /Did you mean applicationName\?/],
    ["pool.maximum", { pool: { maximum: 5 } }, /pool\.maximum: is no option\./],
    ["tls.cafile", { tls: { cafile: "x" } }, /Did you mean caFile\?/],
    ["retry.deadlin", { retry: { deadlin: 1 } }, /Did you mean deadline\?/],
    ["retryTransactions", { retryTransactions: true }, /is no option\./],
    ["password", { password: "sesame-open" }, /takes no password/],
    ["ssl", { ssl: false }, /always on and always verified/],
    ["tls.rejectUnauthorized", { tls: { rejectUnauthorized: false } }, /always on and always verified/],
    ["statementTimeout", { statementTimeout: 5000 }, /Effect\.timeout/],
    ["statement_timeout", { statement_timeout: 5000 }, /Effect\.timeout/],
    ["constructor", Object.fromEntries([["constructor", 1]]), /is no option/]
  ]
  it.effect.each(notOptions)(
    "refuses %s, which is no option, and says why or which one is meant",
    ([option, options, message]) =>
      Effect.gen(function* () {
        const error = yield* failing(make({ host: endpoint, ...options }))
        assert(error._tag === "DsqlConfigError")
        assert.strictEqual(error.option, option)
        assert.match(error.message, message)
        assert.notInclude(error.message, "sesame-open")
      })
  )

  const refusedSettings: ReadonlyArray<readonly [name: string, value: string, message: RegExp]> = [
    ["statement_timeout", "5s", /session: statement_timeout cannot be set.*Effect\.timeout/],
    ["LOCK_TIMEOUT", "5s", /lock_timeout cannot be set/],
    ["idle_in_transaction_session_timeout", "5s", /cannot be set/],
    ["work_mem", "64MB", /no setting that the service lets a session set/],
    ["serch_path", "x", /Did you mean search_path\?/],
    ["application_name", "x", /has an option of its own, applicationName/],
    ["client_encoding", "LATIN1", /always UTF8/],
    ["role", "x", /SET LOCAL/],
    ["datestyle", "German", /must begin with ISO/],
    ["IntervalStyle", "sql_standard", /must be postgres/]
  ]
  it.effect.each(refusedSettings)("refuses sessions that start with %s=%s, and says why", ([name, value, message]) =>
    Effect.gen(function* () {
      const error = yield* failing(make({ host: endpoint, session: { [name]: value } }))
      assert(error._tag === "DsqlConfigError")
      assert.match(error.message, message)
    })
  )

  it.effect("puts the program's name in front of its own", () =>
    Effect.gen(function* () {
      const config = yield* make({ host: endpoint, applicationName: "orders" })
      assert.match(config.applicationName, /^orders:effect-dsql\//)
    })
  )

  it.effect("takes an empty variable for one that is not set, and trims the others", () =>
    Effect.gen(function* () {
      const empty = Object.fromEntries(everyWay.map(([, , variable]) => [variable, " "]).concat([["DSQL_URL", " "]]))
      assert.deepStrictEqual(
        yield* fromEnvironment({ ...empty, DSQL_HOST: ` ${endpoint} `, AWS_REGION: "", CLUSTER_ENDPOINT: "" }),
        yield* make(endpoint)
      )
      const config = yield* fromEnvironment({ DSQL_HOST: id, AWS_REGION: "", AWS_DEFAULT_REGION: "eu-west-1" })
      assert.strictEqual(config.host, endpoint)
    })
  )

  it.effect("takes an IPv6 address with or without brackets", () =>
    Effect.gen(function* () {
      for (const hostaddr of ["::1", "[::1]"]) {
        assert.strictEqual((yield* make({ host: endpoint, hostaddr })).address, "::1")
      }
    })
  )

  it.effect("fails typed without a host, also where the types were told otherwise", () =>
    Effect.gen(function* () {
      for (const host of [undefined as unknown as string, "", " "]) {
        const error = yield* failing(make({ host }))
        assert(error._tag === "DsqlConfigError")
        assert.strictEqual(error.reason, "Missing")
      }
    })
  )

  const wrong = [
    ["DSQL_PORT", "0", /DSQL_PORT: must be a whole number from 1 to 65535, not 0/],
    ["DSQL_POOL_MAX_LIFETIME", "2 hours", /DSQL_POOL_MAX_LIFETIME: must be a duration from 1s to 59m/],
    ["DSQL_POOL_LIFETIME_JITTER", "1", /DSQL_POOL_LIFETIME_JITTER: must be a number from 0 to 0\.5, not 1/],
    ["DSQL_POOL_LIFETIME_JITTER", "-1", /DSQL_POOL_LIFETIME_JITTER: must be a number, not "-1"/],
    ["DSQL_LAZY", "maybe", /DSQL_LAZY: must be true or false, not "maybe"/],
    ["DSQL_UNSAFE_RETRY_TRANSACTIONS", "yes", /DSQL_UNSAFE_RETRY_TRANSACTIONS: must be true or false, not "yes"/],
    ["DSQL_RETRY_MAX_AGE", "1 hour", /DSQL_RETRY_MAX_AGE: must be a duration from 1ms to 5m/],
    ["DSQL_RETRY_BASE", "1 second", /DSQL_RETRY_BASE: must not be longer than cap, which is 100ms here, but is 1s/],
    ["DSQL_OPTIONS", "search_path=x", /DSQL_OPTIONS: must be settings/],
    ["DSQL_OPTIONS", "-c statement_timeout=1", /DSQL_OPTIONS: statement_timeout cannot be set/],
    ["DSQL_PORT", "many", /DSQL_PORT: must be a whole number, not "many"/],
    ["DSQL_TOKEN_DURATION", "900", /DSQL_TOKEN_DURATION: must be a duration such as "15 minutes", not "900"/],
    ["DSQL_SSLNEGOTIATION", "maybe", /DSQL_SSLNEGOTIATION: must be direct or postgres/],
    ["DSQL_POOL_MAX", "-1", /DSQL_POOL_MAX/]
  ] as const
  it.effect.each(wrong)("says what is wrong with %s=%s", ([name, value, message]) =>
    Effect.gen(function* () {
      const error = yield* failing(fromEnvironment({ DSQL_HOST: endpoint, [name]: value }))
      assert(error._tag === "DsqlConfigError")
      assert.strictEqual(error.reason, "InvalidOption")
      assert.match(error.message, message)
    })
  )

  it.effect("says which variable is missing or wrong", () =>
    Effect.gen(function* () {
      const missing = yield* failing(fromEnvironment({}))
      assert(missing._tag === "DsqlConfigError")
      assert.strictEqual(missing.reason, "Missing")
      assert.match(missing.message, /DSQL_HOST/)
      const wrong = yield* failing(fromEnvironment({ DSQL_HOST: endpoint, DSQL_PORT: "many" }))
      assert(wrong._tag === "DsqlConfigError")
      assert.strictEqual(wrong.reason, "InvalidOption")
      assert.match(wrong.message, /DSQL_PORT/)
    })
  )

  it.effect("says so when what layerConfig is given is no Config", () =>
    Effect.gen(function* () {
      for (const wrong of [{ setup: () => Effect.void }, { port: 5432 }, { pool: { max: 4 } }]) {
        const config = { host: Config.succeed(endpoint), ...wrong } as unknown as Config.Config<string>
        const error = yield* Effect.flip(
          DsqlConfig.DsqlConfig.pipe(Effect.provide(DsqlConfig.layerConfig(config)), Effect.sandbox)
        )
        assert(error._tag === "Fail", String(error))
        assert.match(error.error.message, /layerConfig: takes a Config for each option/)
      }
    })
  )

  it.effect("takes an Effect Config for each option, and functions beside it", () =>
    Effect.gen(function* () {
      const transformQueryNames = (name: string) => name
      const config = yield* DsqlConfig.DsqlConfig.pipe(
        Effect.provide(
          DsqlConfig.layerConfig(
            { host: Config.string("CLUSTER"), pool: { max: Config.integer("MAX") } },
            { transformQueryNames }
          )
        ),
        Effect.provide(inEnvironment({ CLUSTER: endpoint, MAX: "4" }))
      )
      assert.strictEqual(config.host, endpoint)
      assert.strictEqual(config.pool.max, 4)
      assert.strictEqual(config.transformQueryNames, transformQueryNames)
    })
  )
})

describe("the region of a bare cluster id", () => {
  const config = `
[default]
region = us-east-1
[profile work]
region = eu-west-1
[profile odd]
region = Frankfurt
[profile none]
`
  const files = Effect.map(home({ config }), ({ folder }) => ({
    AWS_CONFIG_FILE: `${folder}/config`,
    AWS_SHARED_CREDENTIALS_FILE: `${folder}/credentials`
  }))

  it.scoped("comes last from the profile: of the option, AWS_PROFILE, or default", () =>
    Effect.gen(function* () {
      const variables = yield* files
      const regionOf = (options: Partial<DsqlConfig.Options>, more: Record<string, string> = {}) =>
        Effect.map(make({ host: id, ...options }, { ...variables, ...more }), ({ region }) => region)
      assert.strictEqual(yield* regionOf({}), "us-east-1")
      assert.strictEqual(yield* regionOf({ profile: "work" }), "eu-west-1")
      assert.strictEqual(yield* regionOf({}, { AWS_PROFILE: "work" }), "eu-west-1")
      assert.strictEqual(yield* regionOf({ profile: "work" }, { AWS_PROFILE: "default" }), "eu-west-1")
      assert.strictEqual(yield* regionOf({ profile: "work" }, { AWS_DEFAULT_REGION: "us-west-2" }), "us-west-2")
      assert.strictEqual(yield* regionOf({ region: "us-east-2" }, { AWS_REGION: "not looked at" }), "us-east-2")
    })
  )

  it.scoped(
    "of ~/.aws/credentials goes before that of ~/.aws/config, as in the AWS SDK, and is read anew each time",
    () =>
      Effect.gen(function* () {
        const { folder, write } = yield* home({ config, credentials: "[work]\nregion = ap-south-1\n" })
        const variables = { AWS_CONFIG_FILE: `${folder}/config`, AWS_SHARED_CREDENTIALS_FILE: `${folder}/credentials` }
        const region = Effect.map(make({ host: id, profile: "work" }, variables), ({ region }) => region)
        assert.strictEqual(yield* region, "ap-south-1")
        yield* write("credentials", "")
        assert.strictEqual(yield* region, "eu-west-1")
      })
  )

  it.scoped("is missing, typed, where neither profile nor file is there, and wrong under the name of its place", () =>
    Effect.gen(function* () {
      const variables = yield* files
      for (const profile of ["none", "nobody"]) {
        assert.deepStrictEqual(
          yield* failing(make({ host: id, profile }, variables)),
          new DsqlErrors.DsqlRegionError({ reason: "Missing", host: id })
        )
      }
      assert.strictEqual((yield* failing(make(id, { AWS_CONFIG_FILE: "/nowhere" })))._tag, "DsqlRegionError")
      const odd = yield* failing(make({ host: id, profile: "odd" }, variables))
      assert.match(odd.message, /^region \(of the AWS profile odd\): "Frankfurt" is not an AWS region/)
      const wrong = yield* failing(fromEnvironment({ ...variables, DSQL_HOST: id, AWS_REGION: "Frankfurt" }))
      assert.match(wrong.message, /^AWS_REGION: "Frankfurt" is not an AWS region/)
    })
  )
})
