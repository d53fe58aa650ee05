import { SqlClient } from "@effect/sql"
import { ConfigProvider, Effect, Layer } from "effect"
import { DsqlLive } from "effect-dsql"
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { afterEach, assert, describe, it, vi } from "vitest"
import { type Program, startProgram } from "./support/program.js"

const programs: Array<Program> = []

const cli = (...args: ReadonlyArray<string>): Program => {
  const program = startProgram(["src/cli/main.ts", ...args])
  programs.push(program)
  return program
}

afterEach(() => {
  vi.unstubAllEnvs()
  for (const program of programs.splice(0)) program.cleanUp()
})

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
    await program.exited
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
    if (spawnSync("psql", ["--version"]).status === 0) {
      const { stderr, stdout } = spawnSync("sh", ["-c", `${psql} -Atc 'SELECT current_user'`], { encoding: "utf8" })
      assert.deepStrictEqual([stdout, stderr], ["admin\n", ""])
    } else {
      context.annotate("psql is not installed: its line was not run")
    }
    program.signal("SIGINT")
    await program.exited
    assert.deepStrictEqual(program.leftovers(), [])
  })
})

describe("effect-dsql", () => {
  it("explains itself, and refuses what it does not know", async () => {
    const help = cli("local", "--help")
    assert.strictEqual((await help.exited).code, 0)
    assert.include(help.output(), "--json")
    const unknown = cli("locla")
    assert.strictEqual((await unknown.exited).code, 1)
    assert.match(unknown.output() + unknown.errors(), /local/)
  })
})
