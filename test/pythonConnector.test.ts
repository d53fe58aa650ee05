/** Every option of the Aurora DSQL Connector for Python 0.2.x, as docs/aws-python-connector.md promises it. */
import { SqlClient } from "@effect/sql"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Either, Redacted } from "effect"
import { DsqlAuth, DsqlConfig, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { readFileSync } from "node:fs"
import { home } from "./support/aws.js"

const document = readFileSync(new URL("../docs/aws-python-connector.md", import.meta.url), "utf8")

const whoAmI = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ who: string; db: string; app: string }>`
    SELECT current_user AS who, current_database() AS db, current_setting('application_name') AS app`
  return row!
})

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("on a cluster", (it) => {
  /** As a string the way Python's samples write it, with where the local cluster is dialled. */
  const url = Effect.map(
    DsqlLocal,
    ({ caFile, endpoint, hostaddr, port }) =>
      (user: string, more: string) =>
        `postgresql://${endpoint}:${port}/postgres?user=${user}&hostaddr=${hostaddr}&sslrootcert=${encodeURIComponent(caFile)}&${more}`
  )

  it.effect("host, user, dbname, region, port and driver options, in a connection string and as options", () =>
    Effect.gen(function* () {
      const { credentials, options, region } = yield* DsqlLocal
      const swaps = { credentials: DsqlAuth.layerStatic(credentials) }
      const text = (yield* url)("admin", `region=${region}&application_name=py&connect_timeout=9&sslmode=verify-full`)
      const row = yield* Effect.provide(whoAmI, DsqlLayer.layer(text, swaps))
      assert.deepInclude(row, { who: "admin", db: "postgres" })
      assert.match(row.app, /^py:effect-dsql/)
      const same = { ...options, user: "admin", database: "postgres", region, applicationName: "py" }
      assert.deepStrictEqual(yield* Effect.provide(whoAmI, DsqlLayer.layer(same, swaps)), row)
    })
  )

  it.effect("a user other than admin logs in by DbConnect", () =>
    Effect.gen(function* () {
      const { arn, credentials } = yield* DsqlLocal
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE ROLE python WITH LOGIN`
        yield* sql.unsafe(`AWS IAM GRANT python TO '${arn}'`)
      }).pipe(Effect.provide(DsqlLocal.layerClient()))
      const text = (yield* url)("python", "")
      const client = DsqlLayer.layer(text, { credentials: DsqlAuth.layerStatic(credentials) })
      assert.strictEqual((yield* Effect.provide(whoAmI, client)).who, "python")
    })
  )

  it.effect("custom_credentials_provider, and token_duration_secs in both spellings", () =>
    Effect.gen(function* () {
      const { credentials } = yield* DsqlLocal
      let asked = 0
      const provider = DsqlAuth.layerProvider(async () => {
        asked += 1
        return { accessKeyId: credentials.accessKeyId, secretAccessKey: Redacted.value(credentials.secretAccessKey) }
      })
      for (const name of ["token_duration_secs", "tokenDurationSecs"]) {
        const lives: Array<string | null> = []
        const token = DsqlAuth.layerTokenFrom((request) =>
          Effect.tap(DsqlAuth.sign(request), (token) =>
            Effect.sync(() => lives.push(new URL(`https://${Redacted.value(token)}`).searchParams.get("X-Amz-Expires")))
          )
        )
        const text = (yield* url)("admin", `${name}=15`)
        yield* Effect.provide(whoAmI, DsqlLayer.layer(text, { credentials: provider, token }))
        assert.deepStrictEqual(lives, ["15"])
      }
      assert.strictEqual(asked, 2)
    })
  )

  it.scoped("profile", () =>
    Effect.gen(function* () {
      const { credentials } = yield* DsqlLocal
      yield* home({
        credentials: `[python]
aws_access_key_id = ${credentials.accessKeyId}
aws_secret_access_key = ${Redacted.value(credentials.secretAccessKey)}
`
      })
      const text = (yield* url)("admin", "profile=python")
      assert.strictEqual((yield* Effect.provide(whoAmI, DsqlLayer.layer(text))).who, "admin")
    })
  )
})

/** PostgreSQL 17 documentation, "Parameter Key Words": all there are. */
const keywords = {
  accepted: {
    host: "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws",
    hostaddr: "127.0.0.1",
    port: "5432",
    dbname: "postgres",
    user: "admin",
    connect_timeout: "5",
    options: "-c search_path=public",
    application_name: "py",
    keepalives_idle: "5",
    sslmode: "require",
    sslnegotiation: "direct",
    sslrootcert: "system"
  },
  refused: `password passfile require_auth channel_binding client_encoding fallback_application_name
    keepalives keepalives_interval keepalives_count tcp_user_timeout replication gssencmode requiressl sslcompression
    sslcert sslkey sslpassword sslcertmode sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version
    ssl_max_protocol_version krbsrvname gsslib gssdelegation service servicefile target_session_attrs
    load_balance_hosts`.split(/\s+/)
}

describe("the driver options of libpq", () => {
  it.each(Object.entries(keywords.accepted))("%s=%s is taken", (name, value) => {
    const host = name === "host" ? "" : keywords.accepted.host
    const read = DsqlConfig.fromString(`postgresql://${host}/?${name}=${encodeURIComponent(value)}`)
    assert(Either.isRight(read), String(read))
    assert.include(document, `\`${name}\``)
  })

  it.each(keywords.refused)("%s is refused with a reason", (name) => {
    const read = DsqlConfig.fromString(`postgresql://${keywords.accepted.host}/?${name}=x`)
    assert(Either.isLeft(read))
    assert.notMatch(read.left.message, /is no parameter/)
    assert.include(document, `\`${name}\``)
  })
})
