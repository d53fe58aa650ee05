import { SqlClient } from "@effect/sql"
import { ConfigProvider, Effect, Layer } from "effect"
import { DsqlConfig, DsqlLive } from "effect-dsql"
import { execFile, spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it, vi } from "vitest"
import { type Cluster, startCluster } from "../src/local/cluster.js"
import { connect } from "./local/support.js"
import { type Program, startProgram } from "./support/program.js"

const programs: Array<Program> = []

const cliIn = (environment: Readonly<Record<string, string | undefined>>, ...args: ReadonlyArray<string>): Program => {
  const program = startProgram(["src/cli/main.ts", ...args], environment)
  programs.push(program)
  return program
}

const cli = (...args: ReadonlyArray<string>): Program => cliIn({}, ...args)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dsql cli "))
  chmodSync(folder, 0o755)
})

afterEach(() => {
  vi.unstubAllEnvs()
  for (const program of programs.splice(0)) program.cleanUp()
  rmSync(folder, { recursive: true, force: true })
})

const isInstalled = (command: string): boolean => spawnSync(command, ["--version"]).status === 0

/** Runs a line in a shell; gives what it prints and what it complains about. */
const shell = async (
  line: string,
  environment: Readonly<Record<string, string | undefined>> = {}
): Promise<readonly [string, string]> => {
  const { stderr, stdout } = await promisify(execFile)("sh", ["-c", line], { env: { ...process.env, ...environment } })
  return [stdout, stderr]
}

/** Logs in with DsqlLive and nothing but these variables. */
const whoAmI = (variables: ReadonlyMap<string, string>) => {
  for (const [name, value] of variables) if (name.startsWith("AWS_")) vi.stubEnv(name, value)
  return Effect.runPromise(
    Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT current_user AS who`).pipe(
      Effect.provide(DsqlLive),
      Effect.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(variables), { pathDelim: "_" })))
    )
  )
}

const jsonLine = /^\{.*\}\n/

describe("effect-dsql local --json", () => {
  it("prints one line that leads to the cluster, and ends with its standard input", async () => {
    const program = cli("local", "--json")
    const [line] = await program.printed(jsonLine)
    const ready = JSON.parse(line) as Record<string, string>
    assert.sameMembers(Object.keys(ready), [
      "endpoint",
      "clusterId",
      "region",
      "hostaddr",
      "port",
      "user",
      "database",
      "ca",
      "accessKeyId",
      "secretAccessKey"
    ])
    assert.isTrue(existsSync(ready["ca"]!))
    const rows = await whoAmI(
      new Map([
        ["DSQL_HOST", ready["clusterId"]!],
        ["DSQL_REGION", ready["region"]!],
        ["DSQL_HOSTADDR", ready["hostaddr"]!],
        ["DSQL_PORT", String(ready["port"])],
        ["DSQL_SSLROOTCERT", ready["ca"]!],
        ["AWS_ACCESS_KEY_ID", ready["accessKeyId"]!],
        ["AWS_SECRET_ACCESS_KEY", ready["secretAccessKey"]!]
      ])
    )
    assert.deepStrictEqual(rows, [{ who: "admin" }])
    program.endInput()
    assert.deepStrictEqual(await program.exited, { code: 0, signal: null })
    assert.strictEqual(program.output(), line)
    assert.strictEqual(program.errors(), "")
    assert.deepStrictEqual(program.leftovers(), [])
  })

  it.each(["SIGINT", "SIGTERM"] as const)("ends at %s and leaves nothing behind", async (signal) => {
    const program = cli("local", "--json")
    await program.printed(jsonLine)
    assert.isNotEmpty(program.leftovers())
    program.signal(signal)
    assert.deepStrictEqual(await program.exited, { code: 0, signal: null })
    assert.deepStrictEqual(program.leftovers(), [])
  })

  it("serves on the port it is given, and says when that is taken", async () => {
    const first = cli("local", "--json")
    const [line] = await first.printed(jsonLine)
    const { port } = JSON.parse(line) as { readonly port: number }
    const second = cli("local", "--json", "--port", String(port))
    const { code } = await second.exited
    assert.strictEqual(code, 1)
    assert.match(second.errors(), new RegExp(String(port)))
    assert.notMatch(second.errors(), /\n.*\n/)
    assert.deepStrictEqual(second.leftovers(), [])
    first.endInput()
    await first.exited
    const third = cli("local", "--json", "--port", String(port))
    await third.printed(jsonLine)
    assert.include(third.output(), `"port":${port}`)
  })
})

describe("effect-dsql local", () => {
  it("prints exports for DsqlLive and a line for psql that work as pasted", async (context) => {
    const program = cli("local")
    const [text] = await program.printed(/^[^]*\n(PGPASSWORD=.*)\n/)
    const variables = new Map(Array.from(text.matchAll(/^export (\w+)='(.*)'$/gm), (match) => [match[1]!, match[2]!]))
    assert.deepStrictEqual(await whoAmI(variables), [{ who: "admin" }])
    const psql = /^PGPASSWORD=.*$/m.exec(text)![0]
    if (isInstalled("psql")) {
      assert.deepStrictEqual(await shell(`${psql} -Atc 'SELECT current_user'`), ["admin\n", ""])
    } else {
      context.annotate("psql is not installed: its line was not run")
    }
    program.signal("SIGINT")
    await program.exited
    assert.deepStrictEqual(program.leftovers(), [])
  })
})

describe("effect-dsql local --data", () => {
  it("keeps the data, and what was exported stays right, whatever the folder is called", async (context) => {
    const data = join(folder, `it's kept "here"`)
    const texts: Array<string> = []
    for (const statement of ["CREATE TABLE kept (n int)", "TABLE kept"]) {
      const program = cli("local", "--data", data)
      const [text] = await program.printed(/^[^]*\nunset DSQL_HOST .*\n/)
      assert.include(text, `its data stay in ${data}.`)
      const exported = text.split("\n").filter((line) => line.startsWith("export "))
      texts.push(exported.join("\n"))
      const [caFile] = await shell(`${exported.join("; ")}; printf %s "$DSQL_SSLROOTCERT"`)
      assert.strictEqual(caFile, join(data, "ca.pem"))
      if (isInstalled("psql")) {
        const [, complaint] = await shell(`${/^PGPASSWORD=.*$/m.exec(text)![0]} -Atc '${statement}'`)
        assert.strictEqual(complaint, "")
      } else {
        context.annotate("psql is not installed: that the table is there was not looked at")
      }
      program.signal("SIGINT")
      await program.exited
      assert.strictEqual(program.errors(), "")
      assert.deepStrictEqual(program.leftovers(), [])
    }
    assert.strictEqual(texts[1], texts[0])
  })

  it("is refused with one line when the folder is in use, or somebody else's", async () => {
    const data = join(folder, "kept")
    const first = cli("local", "--json", "--data", data)
    const [line] = await first.printed(jsonLine)
    assert.strictEqual(JSON.parse(line).ca, join(data, "ca.pem"))
    for (const [taken, complaint] of [
      [data, / is in use by a local cluster that runs\. .*\n$/],
      [folder, / is not empty and was not made by a local cluster, .*\n$/]
    ] as const) {
      const second = cli("local", "--json", "--data", taken)
      assert.deepStrictEqual(await second.exited, { code: 1, signal: null })
      assert.match(second.errors(), complaint)
      assert.notMatch(second.errors(), /\n./)
      assert.strictEqual(second.output(), "")
      assert.deepStrictEqual(second.leftovers(), [])
    }
    assert.deepStrictEqual(readdirSync(folder), ["kept"])
  })
})

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
    HOME: folder,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_ACCESS_KEY_ID: cluster.accessKeyId,
    AWS_SECRET_ACCESS_KEY: cluster.secretAccessKey
  })

  const token = async (variables: Readonly<Record<string, string | undefined>>, ...args: ReadonlyArray<string>) => {
    const program = cliIn({ ...environment(), ...variables }, "token", ...args)
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
    const messageOf = (options: DsqlConfig.Options) =>
      Effect.runSync(
        Effect.flip(Effect.withConfigProvider(DsqlConfig.make(options), ConfigProvider.fromMap(new Map())))
      ).message
    const { clusterId, endpoint } = cluster
    const failures = [
      [{}, ["--host", clusterId], messageOf({ host: clusterId })],
      [{}, ["--host", "localhost"], messageOf({ host: "localhost" })],
      [{}, ["--host", endpoint, "--region", "eu-west-1"], messageOf({ host: endpoint, region: "eu-west-1" })],
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
    const coverage = join(folder, "coverage")
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

describe("effect-dsql --completions", () => {
  it("completes commands and options in bash", async (context) => {
    if (!isInstalled("bash")) {
      context.annotate("bash is not installed: it was not tried")
      return
    }
    const program = cli("--completions", "bash")
    assert.strictEqual((await program.exited).code, 0)
    const complete = (...words: ReadonlyArray<string>): ReadonlyArray<string> => {
      const line = `${program.output()}
        COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
        "$(complete -p effect-dsql | sed 's/.* -F \\([^ ]*\\) .*/\\1/')" effect-dsql
        printf '%s\\n' "\${COMPREPLY[@]}"`
      const { stderr, stdout } = spawnSync("bash", ["-c", line], { encoding: "utf8", cwd: folder })
      assert.strictEqual(stderr, "")
      return stdout.trimEnd().split("\n")
    }
    assert.deepStrictEqual(complete("effect-dsql", "to"), ["token"])
    assert.deepStrictEqual(complete("effect-dsql", "token", "--ho"), ["--host"])
    assert.deepStrictEqual(complete("effect-dsql", "local", "--da"), ["--data"])
  })

  it.each(["zsh", "fish"])("prints a script for %s", async (name) => {
    const program = cli("--completions", name)
    assert.strictEqual((await program.exited).code, 0)
    for (const word of ["effect-dsql", "token", "expires-in", "local", "data"]) assert.include(program.output(), word)
  })
})

describe("effect-dsql", () => {
  it("explains itself, and refuses what it does not know", async () => {
    const help = cli("local", "--help")
    assert.strictEqual((await help.exited).code, 0)
    for (const text of ["--json", "--data", "Exit codes: 0"]) assert.include(help.output(), text)
    const unknown = cli("locla")
    assert.strictEqual((await unknown.exited).code, 1)
    assert.match(unknown.output() + unknown.errors(), /local/)
  })
})
