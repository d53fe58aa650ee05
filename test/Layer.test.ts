import { assert, describe, it, layer } from "@effect/vitest"
import { SqlClient } from "@effect/sql"
import { Cause, ConfigProvider, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { DsqlAuth, DsqlErrors, DsqlLayer, DsqlLive } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, vi } from "vitest"
import { environment, home } from "./support/aws.js"
import { withInstruments } from "./support/instruments.js"
import { startProgram } from "./support/program.js"
import { listen, until } from "./support/sockets.js"

const live = { excludeTestServices: true, timeout: "60 seconds" } as const

afterEach(() => {
  vi.unstubAllEnvs()
})

const inEnvironment = (variables: Record<string, string>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_", seqDelim: "," }))

const one = Effect.flatMap(SqlClient.SqlClient, (sql) => sql<{ one: number }>`SELECT 1 AS one`)

const noConnections = Effect.flatMap(DsqlLocal, ({ connectionCount }) =>
  connectionCount.pipe(
    Effect.delay("5 millis"),
    Effect.repeat({ until: (count) => count === 0 }),
    Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => "connections were left open" })
  )
)

layer(DsqlLocal.layer(withInstruments), live)("on one cluster", (it) => {
  it.effect("1,000 queries over 10 connections cause 1 provider call and 1 signature", () =>
    Effect.gen(function* () {
      const { credentials, loginCount, options } = yield* DsqlLocal
      const loginsBefore = yield* loginCount
      const calls = { provider: 0, sign: 0 }
      const provider = DsqlAuth.layerProvider(async () => {
        calls.provider += 1
        return {
          accessKeyId: credentials.accessKeyId,
          secretAccessKey: Redacted.value(credentials.secretAccessKey)
        }
      })
      const token = DsqlAuth.layerTokenFrom((request) => {
        calls.sign += 1
        return DsqlAuth.sign(request)
      })
      const client = DsqlLayer.layer({ ...options, pool: { max: 10 } }, { credentials: provider, token })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const rows = yield* Effect.all(
          Array.from({ length: 1000 }, (_, n) => sql<{ n: number }>`SELECT ${n}::int AS n`),
          { concurrency: 50 }
        )
        assert.deepStrictEqual(
          rows.map(([row]) => row!.n),
          Array.from({ length: 1000 }, (_, n) => n)
        )
      }).pipe(Effect.provide(client))
      assert.deepStrictEqual(calls, { provider: 1, sign: 1 })
      assert.strictEqual((yield* loginCount) - loginsBefore, 10)
      yield* noConnections
    })
  )

  it.effect("DsqlLive connects with nothing but the environment", () =>
    Effect.gen(function* () {
      const { caFile, credentials, endpoint, hostaddr, port } = yield* DsqlLocal
      vi.stubEnv("AWS_ACCESS_KEY_ID", credentials.accessKeyId)
      vi.stubEnv("AWS_SECRET_ACCESS_KEY", Redacted.value(credentials.secretAccessKey))
      const rows = yield* one.pipe(
        Effect.provide(DsqlLive),
        Effect.provide(
          inEnvironment({
            DSQL_HOST: endpoint,
            DSQL_HOSTADDR: hostaddr,
            DSQL_PORT: String(port),
            DSQL_SSLROOTCERT: caFile
          })
        )
      )
      assert.deepStrictEqual(rows, [{ one: 1 }])
    })
  )

  it.scoped("no PG variable of the environment has an effect, nor a password file", () =>
    Effect.gen(function* () {
      const { folder } = yield* home()
      const passwords = join(folder, ".pgpass")
      writeFileSync(passwords, "*:*:*:*:evil\n", { mode: 0o600 })
      yield* environment({
        PGHOST: "evil.example",
        PGHOSTADDR: "192.0.2.1",
        PGPORT: "1",
        PGUSER: "evil",
        PGDATABASE: "evil",
        PGPASSWORD: "evil",
        PGPASSFILE: passwords,
        PGSERVICE: "evil",
        PGOPTIONS: "-c search_path=evil",
        PGAPPNAME: "evil",
        PGSSLMODE: "disable",
        PGSSLNEGOTIATION: "evil",
        PGSSLROOTCERT: "/no/such/evil.pem",
        PGSSLCERT: "/no/such/evil.pem",
        PGSSLKEY: "/no/such/evil.pem",
        PGTARGETSESSIONATTRS: "standby",
        PGCLIENT_ENCODING: "LATIN1",
        PGREPLICATION: "true",
        PGBINARY: "true",
        PGCONNECT_TIMEOUT: "1",
        PGSTATEMENT_TIMEOUT: "1",
        PGQUERY_TIMEOUT: "1"
      })
      const sql = Effect.flatMap(
        SqlClient.SqlClient,
        (sql) =>
          sql`SELECT current_user AS who, current_database() AS db, current_setting('search_path') AS path, current_setting('application_name') AS app, current_setting('client_encoding') AS encoding, pg_sleep(0.01)::text AS slept`
      )
      const [row] = yield* sql.pipe(Effect.provide(DsqlLocal.layerClient()))
      assert.notInclude(JSON.stringify(row), "evil")
      assert.deepInclude(row, { who: "admin", db: "postgres", encoding: "UTF8" })
    })
  )

  it.effect("another client that `pg` would take on a word of the environment is not taken", () =>
    Effect.gen(function* () {
      const access = yield* Effect.flatMap(DsqlLocal, ({ access }) => access)
      const program = startProgram(["test/fixtures/selectOne.ts"], {
        CLUSTER: JSON.stringify(access),
        NODE_PG_FORCE_NATIVE: "1",
        NODE_PATH: fileURLToPath(new URL("fixtures/driver", import.meta.url))
      })
      yield* Effect.promise(() => program.exited)
      const [output, errors] = [program.output(), program.errors()]
      program.cleanUp()
      assert.strictEqual(output, `${JSON.stringify([{ one: 1 }])}\n`, errors)
    })
  )

  it.effect("a lazy layer is built without a connection and fails at the first statement, typed", () =>
    Effect.gen(function* () {
      const error = yield* one.pipe(
        DsqlErrors.refine,
        Effect.flip,
        Effect.provide(DsqlLocal.layerClient({ port: 1, lazy: true }))
      )
      assert(error._tag === "DsqlConnectionError")
      assert.strictEqual(error.reason, "Refused")
    })
  )

  it.effect("after all connections were dropped every statement fails typed or succeeds, and the pool heals", () =>
    Effect.gen(function* () {
      const { dropConnections } = yield* DsqlLocal
      yield* Effect.gen(function* () {
        const sleepers = yield* Effect.all(
          Array.from({ length: 5 }, () =>
            Effect.fork(
              Effect.flatMap(SqlClient.SqlClient, (sql) => DsqlErrors.refine(sql`SELECT pg_sleep(60) /* dropped */`))
            )
          )
        )
        const sql = yield* SqlClient.SqlClient
        yield* sql<{
          n: number
        }>`SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE ${"SELECT pg_sleep%dropped */"} AND state = 'active'`.pipe(
          Effect.repeat({ until: ([row]) => row!.n === 5 })
        )
        yield* dropConnections
        for (const sleeper of sleepers) {
          const exit = yield* Fiber.await(sleeper)
          assert(Exit.isFailure(exit) && Cause.isFailType(exit.cause))
          assert(exit.cause.error._tag === "DsqlConnectionError")
          assert.strictEqual(exit.cause.error.reason, "Closed")
        }
        const results = yield* Effect.replicateEffect(Effect.either(DsqlErrors.refine(one)), 20)
        const failures = results.flatMap((result) => (result._tag === "Left" ? [result.left] : []))
        assert.isTrue(failures.every((error) => error._tag === "DsqlConnectionError"))
        assert.deepStrictEqual(yield* one, [{ one: 1 }])
      }).pipe(Effect.provide(DsqlLocal.layerClient()))
      yield* noConnections
    })
  )

  it.effect("twice at once is two pools, each closed with its scope", () =>
    Effect.gen(function* () {
      const rows = yield* Effect.all(
        [one.pipe(Effect.provide(DsqlLocal.layerClient())), one.pipe(Effect.provide(DsqlLocal.layerClient()))],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(rows, [[{ one: 1 }], [{ one: 1 }]])
      yield* noConnections
    })
  )
})

describe("without a cluster", () => {
  const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
  const credentials = DsqlAuth.layerStatic({ accessKeyId: "id", secretAccessKey: Redacted.make("secret") })
  const building = (layer: Layer.Layer<SqlClient.SqlClient, DsqlErrors.DsqlLayerError>) =>
    Effect.flip(Effect.scoped(Layer.build(layer)))

  it.live("a server that accepts and never answers is given up after the connect timeout", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.resume())
      const { port } = server
      const error = yield* building(
        DsqlLayer.layer({ host, hostaddr: "127.0.0.1", port, pool: { connectTimeout: "100 millis" } }, { credentials })
      )
      assert(error._tag === "DsqlConnectionError")
      assert.strictEqual(error.reason, "ConnectTimeout")
      yield* until(() => server.present() === 0)
    }).pipe(Effect.scoped)
  )

  it.effect("wrong settings fail in the layer, with our errors", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* building(DsqlLayer.layer("localhost")))._tag, "DsqlConfigError")
      assert.strictEqual((yield* building(DsqlLayer.layer({ host, region: "eu-west-1" })))._tag, "DsqlRegionError")
      assert.strictEqual(
        (yield* building(DsqlLayer.layer({ host, profile: "no-such-profile" })))._tag,
        "DsqlCredentialsError"
      )
      const unreadable = yield* building(DsqlLayer.layer({ host, tls: { ca: "-----BEGIN CERTIFICATE-----\nno" } }))
      assert(unreadable._tag === "DsqlConfigError")
      assert.strictEqual(unreadable.option, "tls.ca")
      const missing = yield* Effect.flip(Effect.scoped(Layer.build(DsqlLive)).pipe(Effect.provide(inEnvironment({}))))
      assert.strictEqual(missing._tag, "DsqlConfigError")
    })
  )
})
