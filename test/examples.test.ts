/** Every example is run as a person runs it, against a local cluster that it takes for the service. */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { readdirSync, readFileSync } from "node:fs"
import { assumedRole, home, server } from "./support/aws.js"
import { clusterEnvironment } from "./support/onCluster.js"
import { startProgram } from "./support/program.js"

const folder = new URL("../examples/", import.meta.url)
const programs = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))

const withTestsOfTheirOwn = ["quickstart.ts", "httpApi.ts", "lambda.ts"]

/** What each of the others prints. */
const printed: Readonly<Record<string, RegExp>> = {
  "host.ts": /^connected as admin\n$/,
  "clusterId.ts": /^connected as admin\n$/,
  "connectionString.ts": /^connected as reports:effect-dsql\/\S+\n$/,
  "environment.ts": /^connected as nightly:effect-dsql\/\S+\n$/,
  "options.ts": /^connected as admin\n$/,
  "profile.ts": /^connected as admin\n$/,
  "customCredentials.ts": /^20 statements over 5 connections, the vault was asked 1 time\n$/,
  "assumedRole.ts": /^connected as admin\n$/,
  "role.ts": /^connected as orders, working in orders\nand no more than that: 42501\n$/,
  "singleConnection.ts": /^the session that was lent works in archive\nthe next one does not: "\$user", public\n$/,
  "pool.ts": /^served\nserved\nDsqlConnectionError: .*pool\.acquireTimeout.*\n$/,
  "concurrent.ts": /^500 statements by 100 fibers over 10 connections: 41541750\n$/,
  "layers.ts": /^two pools, one token\n$/,
  "counter.ts": /^100 increments by 10 fibers: 100\n$/,
  "transfer.ts": /^not enough on the account of ana\nana 900, bo 1100, cy 1000\n$/,
  "idempotent.ts": /^5 requests, 1 answer, 1 payment\n$/,
  "migrate.ts":
    /^INDEX_BUILD done\nVALIDATE_CONSTRAINT done\n1_add_owners, 2_add_cities\nnothing to do\n\[ \{ name: 'Ana', city: 'Lisbon' \} \]\n$/,
  "fromPgMigrator.ts": /^\[ \{ migration_id: 1, name: 'add_users' \} \]\n$/,
  "bulkLoad.ts": /^100000 rows in 40 transactions\n$/,
  "backfill.ts": /^10000 rows filled in 10 transactions\nno row is without a name, .*\n$/,
  "observability.ts":
    /^(?=[^]*name: 'DsqlConnection\.open')(?=[^]*name: 'sql\.transaction')(?=[^]*'server\.address': ')(?=[^]*'dsql\.name': 'visit')(?=[^]*name: 'dsql_pool_connections')[^]*name: 'dsql_attempts_per_commit'/,
  "model.ts":
    /^one statement for 3 owners\nAna from Lisbon, since [\d-]{10}\nBo from somewhere, since .*\nCy from Lisbon, .*\nin Lisbon: Ana, Cy\n$/,
  "worker.ts": /^12000 events of together 120 MB\nstarted again, it finds 0 left to do\n$/,
  "pgPool.ts": /^sold 20 cups, 80 are left\n$/,
  "pgClient.ts": /^connected as admin\nDsqlUnsupportedError: .*LISTEN.*\n$/i,
  "drizzle.ts": /^ana 750, bo 250\n$/,
  "kysely.ts": /^ana 750, bo 250\n$/,
  "report.ts": /^Lisbon 60000, Porto 19800, largest 399\na report changes nothing: 25006\n$/
}

/** What goes through the hands of the worker is many times as much. */
const memory: Readonly<Record<string, string>> = { "worker.ts": "--max-old-space-size=80" }

const roleCredentials = { accessKeyId: "ASIAREPORTS000000000", secretAccessKey: "reports", sessionToken: "a-session" }

/** What a person would have in the environment, the shared files and the account. */
const surroundings = Effect.gen(function* () {
  const { addIdentity, arn, clusterId, credentials, endpoint, region } = yield* DsqlLocal
  const keys = { id: credentials.accessKeyId, secret: Redacted.value(credentials.secretAccessKey) }
  const { folder } = yield* home({
    credentials: `[team]\naws_access_key_id = ${keys.id}\naws_secret_access_key = ${keys.secret}\n`
  })
  const sts = yield* server(() => assumedRole({ ...roleCredentials, expiration: Date.now() + 3_600_000 }))
  yield* addIdentity({
    accessKeyId: roleCredentials.accessKeyId,
    secretAccessKey: Redacted.make(roleCredentials.secretAccessKey),
    sessionToken: Redacted.make(roleCredentials.sessionToken)
  })
  yield* Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE ROLE orders WITH LOGIN`
    yield* sql.unsafe(`AWS IAM GRANT orders TO '${arn}'`)
    yield* sql`CREATE SCHEMA orders`
    yield* sql`GRANT USAGE, CREATE ON SCHEMA orders TO orders`
  }).pipe(Effect.provide(DsqlLocal.layerClient()))
  return {
    ...(yield* clusterEnvironment),
    AWS_ENDPOINT_URL_STS: sts.url,
    AWS_SHARED_CREDENTIALS_FILE: `${folder}/credentials`,
    AWS_REGION: region,
    CLUSTER_ENDPOINT: endpoint,
    CLUSTER_ID: clusterId,
    DSQL_HOST: endpoint,
    DSQL_APPLICATION_NAME: "nightly",
    DB_PROFILE: "team",
    ROLE_ARN: "arn:aws:iam::111122223333:role/reports",
    DB_USER: "orders",
    VAULT_KEY_ID: keys.id,
    VAULT_SECRET: keys.secret
  }
})

const run = (name: string, environment: Readonly<Record<string, string>>) =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      startProgram(["--import", "./test/support/redirect.ts", `examples/${name}`], {
        ...environment,
        NODE_OPTIONS: memory[name] ?? ""
      })
    ),
    (program) =>
      Effect.map(
        Effect.promise(() => program.exited),
        ({ code }) => {
          assert.strictEqual(program.errors(), "", name)
          assert.match(program.output(), printed[name]!, name)
          assert.strictEqual(code, 0, name)
          assert.deepStrictEqual(program.leftovers(), [], name)
        }
      ),
    (program) => Effect.sync(program.cleanUp)
  )

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("the examples", (it) => {
  it.scoped(
    "print what they say and leave nothing behind",
    () =>
      Effect.gen(function* () {
        assert.sameMembers([...Object.keys(printed), ...withTestsOfTheirOwn], programs)
        const environment = yield* surroundings
        yield* Effect.forEach(Object.keys(printed), (name) => run(name, environment), { concurrency: 3 })
        const { connectionCount } = yield* DsqlLocal
        yield* Effect.repeat(connectionCount, { until: (count) => count === 0 })
      }),
    300_000
  )

  it.effect("are all in their README, and what they read is in .env.example", () =>
    Effect.sync(() => {
      const readme = readFileSync(new URL("README.md", folder), "utf8")
      const environment = readFileSync(new URL(".env.example", folder), "utf8")
      for (const name of readdirSync(folder).filter((name) => name.endsWith(".ts"))) {
        assert.include(readme, `[${name}](${name})`)
        const text = readFileSync(new URL(name, folder), "utf8")
        for (const [, variable] of text.matchAll(/(?:Config\.string\(|process\.env\[)"(\w+)"/g)) {
          assert.match(environment, new RegExp(`^(?:# )?${variable}=`, "m"), `${name} reads ${variable}`)
        }
      }
    })
  )
})
