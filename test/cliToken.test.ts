import { ConfigProvider, Effect } from "effect"
import { DsqlConfig } from "effect-dsql"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { type Cluster, startCluster } from "../src/local/cluster.js"
import { connect } from "./local/support.js"
import { isInstalled, makeCommands, shell } from "./support/cli.js"

let commands: ReturnType<typeof makeCommands>
beforeEach(() => {
  commands = makeCommands()
})
afterEach(() => commands.cleanUp())

describe("effect-dsql token", () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  /** Credentials of the cluster, and nothing else that the AWS SDK or this package would find. */
  const environment = () => ({
    ...Object.fromEntries(
      Object.keys(process.env).flatMap((key) => (/^(?:AWS|DSQL)_/.test(key) ? [[key, undefined]] : []))
    ),
    HOME: commands.folder,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_ACCESS_KEY_ID: cluster.accessKeyId,
    AWS_SECRET_ACCESS_KEY: cluster.secretAccessKey
  })

  const token = async (variables: Readonly<Record<string, string | undefined>>, ...args: ReadonlyArray<string>) => {
    const program = commands.cliIn({ ...environment(), ...variables }, "token", ...args)
    const { code } = await program.exited
    return { code, output: program.output(), errors: program.errors() }
  }

  /** The one line of a token. */
  const printed = async (...args: Parameters<typeof token>): Promise<string> => {
    const { code, errors, output } = await token(...args)
    assert.deepStrictEqual([code, errors], [0, ""])
    assert.match(output, /^\S+\n$/)
    return output.trimEnd()
  }

  const parametersOf = (signed: string): URLSearchParams => new URL(`https://${signed}`).searchParams

  it("prints a token that logs in, and nothing else", async () => {
    const password = await printed({}, "--host", cluster.endpoint)
    const client = await connect(cluster, { password })
    assert.deepStrictEqual((await client.query("SELECT current_user AS who")).rows, [{ who: "admin" }])
    await client.end()
    assert.strictEqual(parametersOf(password).get("X-Amz-Expires"), "900")
  })

  it("takes what the command line says before the environment, and an id with a region", async () => {
    const variables = {
      DSQL_HOST: "z".repeat(26),
      DSQL_REGION: "eu-west-1",
      DSQL_USER: "nobody",
      DSQL_TOKEN_DURATION: "1 hour"
    }
    const args = ["--host", cluster.clusterId, "--region", cluster.region, "--user", "orders", "--expires-in", "60"]
    const given = await printed(variables, ...args)
    assert.isTrue(given.startsWith(`${cluster.endpoint}/?`))
    assert.deepStrictEqual(
      ["Action", "X-Amz-Expires"].map((name) => parametersOf(given).get(name)),
      ["DbConnect", "60"]
    )
    const url = `postgres://orders@${cluster.endpoint}/postgres`
    assert.strictEqual(parametersOf(await printed({ DSQL_URL: url })).get("Action"), "DbConnect")
    const fromEnvironment = await printed(variables)
    assert.isTrue(fromEnvironment.startsWith(`${variables.DSQL_HOST}.dsql.eu-west-1.on.aws/?`))
    assert.deepStrictEqual(
      ["Action", "X-Amz-Expires"].map((name) => parametersOf(fromEnvironment).get(name)),
      ["DbConnect", "3600"]
    )
  })

  it("is the password of psql", async (context) => {
    if (!isInstalled("psql")) {
      context.annotate("psql is not installed: it was not tried")
      return
    }
    const { caFile, endpoint, hostaddr, port } = cluster
    const conninfo = `host=${endpoint} hostaddr=${hostaddr} port=${port} user=admin dbname=postgres sslmode=verify-full sslrootcert=${caFile}`
    const line = `PGPASSWORD=$("${process.execPath}" --import tsx src/cli/main.ts token --host ${endpoint}) psql '${conninfo}' -Atc 'SELECT current_user'`
    assert.deepStrictEqual(await shell(line, environment()), ["admin\n", ""])
  })

  it("fails with one line on standard error, in the words of the library", async () => {
    const nothing = ConfigProvider.fromMap(
      new Map([
        ["AWS_CONFIG_FILE", "/nowhere"],
        ["AWS_SHARED_CREDENTIALS_FILE", "/nowhere"]
      ])
    )
    const messageOf = async (options: DsqlConfig.Options) =>
      (await Effect.runPromise(Effect.flip(Effect.withConfigProvider(DsqlConfig.make(options), nothing)))).message
    const { clusterId, endpoint } = cluster
    const failures = [
      [{}, ["--host", clusterId], await messageOf({ host: clusterId })],
      [{}, ["--host", "localhost"], await messageOf({ host: "localhost" })],
      [{}, ["--host", endpoint, "--region", "eu-west-1"], await messageOf({ host: endpoint, region: "eu-west-1" })],
      [{}, [], "DSQL_HOST: is not set."],
      [{}, ["--host", endpoint, "--profile", "absent"], "absent"],
      [{ AWS_ACCESS_KEY_ID: undefined }, ["--host", endpoint], "No AWS credentials found"]
    ] as const
    const outcomes = await Promise.all(failures.map(([variables, args]) => token(variables, ...args)))
    for (const [index, { code, errors, output }] of outcomes.entries()) {
      const message = failures[index]![2]
      assert.deepStrictEqual([code, output], [1, ""])
      assert.include(errors, message)
      assert.match(errors, /^.+\n$/)
      assert.notInclude(errors, cluster.secretAccessKey)
    }
  })

  it("refuses a life that no token can have", async () => {
    const refuse = async (seconds: string) => {
      const { code, errors, output } = await token({}, "--host", cluster.endpoint, "--expires-in", seconds)
      assert.deepStrictEqual([code, output], [1, ""])
      assert.include(errors, seconds)
    }
    await Promise.all(["0", "604801", "1.5"].map(refuse))
  })

  it("loads neither the local cluster nor a driver", async () => {
    const coverage = join(commands.folder, "coverage")
    await printed({ NODE_V8_COVERAGE: coverage }, "--host", cluster.endpoint)
    const loaded = readdirSync(coverage).flatMap((file) =>
      (JSON.parse(readFileSync(join(coverage, file), "utf8")).result as ReadonlyArray<{ url: string }>).map(
        ({ url }) => url
      )
    )
    const isLoaded = (part: string): boolean => loaded.some((url) => url.includes(part))
    assert.deepStrictEqual(["/src/cli/token.ts", "/src/Auth.ts"].map(isLoaded), [true, true])
    assert.deepStrictEqual(["/src/local/", "/src/Local.ts", "/src/Client.ts", "/node_modules/pg/"].map(isLoaded), [
      false,
      false,
      false,
      false
    ])
  })
})
