import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Layer } from "effect"
import { DsqlConfig, DsqlErrors } from "effect-dsql"

const id = "abcdefghijklmnopqrstuvwxyz"
const endpoint = `${id}.dsql.eu-west-1.on.aws`

const inEnvironment = (variables: Record<string, string>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_", seqDelim: "," }))

const make = (options: string | DsqlConfig.Options, variables: Record<string, string> = {}) =>
  DsqlConfig.make(options).pipe(Effect.provide(inEnvironment(variables)))

const fromEnvironment = (variables: Record<string, string>) =>
  DsqlConfig.DsqlConfig.pipe(Effect.provide(DsqlConfig.layerEnvironment), Effect.provide(inEnvironment(variables)))

describe("DsqlConfig", () => {
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
      assert.deepStrictEqual(
        yield* Effect.flip(make(id)),
        new DsqlErrors.DsqlRegionError({ reason: "Missing", host: id })
      )
      assert.deepStrictEqual(
        yield* Effect.flip(make({ host: endpoint, region: "us-east-1" })),
        new DsqlErrors.DsqlRegionError({
          reason: "Mismatch",
          host: endpoint,
          region: "us-east-1",
          hostRegion: "eu-west-1"
        })
      )
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
    ["pool.connectTimeout", { pool: { connectTimeout: Infinity } }]
  ]
  it.effect.each(invalid)("refuses a wrong %s: %j", ([option, options]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(make({ host: endpoint, ...options }))
      assert(error._tag === "DsqlConfigError")
      assert.strictEqual(error.reason, "InvalidOption")
      assert.strictEqual(error.option, option)
      assert.include(error.message, option)
    })
  )

  it.effect("points from localhost to hostaddr", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(make("localhost"))
      assert(error._tag === "DsqlConfigError")
      assert.strictEqual(error.reason, "InvalidHost")
      assert.match(error.message, /"localhost".*hostaddr/)
    })
  )

  it.effect("puts the program's name in front of its own", () =>
    Effect.gen(function* () {
      const config = yield* make({ host: endpoint, applicationName: "orders" })
      assert.match(config.applicationName, /^orders:effect-dsql\//)
    })
  )

  it.effect("reads the environment", () =>
    Effect.gen(function* () {
      const config = yield* fromEnvironment({
        DSQL_HOST: id,
        DSQL_REGION: "eu-west-1",
        DSQL_HOSTADDR: "127.0.0.1",
        DSQL_PORT: "15432",
        DSQL_USER: "orders",
        DSQL_DATABASE: "other",
        DSQL_PROFILE: "work",
        DSQL_TOKEN_DURATION: "5 minutes",
        DSQL_APPLICATION_NAME: "orders",
        DSQL_SSLROOTCERT: "/tmp/ca.pem",
        DSQL_SSLNEGOTIATION: "postgres",
        DSQL_POOL_MAX: "3"
      })
      assert.strictEqual(config.host, endpoint)
      assert.strictEqual(config.address, "127.0.0.1")
      assert.strictEqual(config.port, 15432)
      assert.strictEqual(config.user, "orders")
      assert.strictEqual(config.database, "other")
      assert.strictEqual(config.profile, "work")
      assert.strictEqual(Duration.toMinutes(config.tokenDuration), 5)
      assert.match(config.applicationName, /^orders:/)
      assert.deepStrictEqual(config.tls, { negotiation: "postgres", ca: undefined, caFile: "/tmp/ca.pem" })
      assert.strictEqual(config.pool.max, 3)
    })
  )

  it.effect("takes an empty variable for one that is not set, and trims the others", () =>
    Effect.gen(function* () {
      const empty = Object.fromEntries(
        ["HOSTADDR", "PORT", "USER", "DATABASE", "REGION", "PROFILE", "TOKEN_DURATION", "APPLICATION_NAME"]
          .concat(["SSLROOTCERT", "SSLNEGOTIATION", "POOL_MAX"])
          .map((name) => [`DSQL_${name}`, " "])
      )
      assert.deepStrictEqual(
        yield* fromEnvironment({ ...empty, DSQL_HOST: ` ${endpoint} `, AWS_REGION: "" }),
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
        const error = yield* Effect.flip(make({ host }))
        assert(error._tag === "DsqlConfigError")
        assert.strictEqual(error.reason, "Missing")
      }
    })
  )

  const wrong = [
    ["DSQL_PORT", "many", /DSQL_PORT: must be a whole number, not "many"/],
    ["DSQL_TOKEN_DURATION", "900", /DSQL_TOKEN_DURATION: must be a duration such as "15 minutes", not "900"/],
    ["DSQL_SSLNEGOTIATION", "maybe", /DSQL_SSLNEGOTIATION: must be direct or postgres/],
    ["DSQL_POOL_MAX", "-1", /DSQL_POOL_MAX/]
  ] as const
  it.effect.each(wrong)("says what is wrong with %s=%s", ([name, value, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fromEnvironment({ DSQL_HOST: endpoint, [name]: value }))
      assert(error._tag === "DsqlConfigError")
      assert.strictEqual(error.reason, "InvalidOption")
      assert.match(error.message, message)
    })
  )

  it.effect("says which variable is missing or wrong", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(fromEnvironment({}))
      assert(missing._tag === "DsqlConfigError")
      assert.strictEqual(missing.reason, "Missing")
      assert.match(missing.message, /DSQL_HOST/)
      const wrong = yield* Effect.flip(fromEnvironment({ DSQL_HOST: endpoint, DSQL_PORT: "many" }))
      assert(wrong._tag === "DsqlConfigError")
      assert.strictEqual(wrong.reason, "InvalidOption")
      assert.match(wrong.message, /DSQL_PORT/)
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
