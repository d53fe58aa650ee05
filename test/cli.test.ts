import { SqlClient } from "@effect/sql"
import { ConfigProvider, Effect, Layer } from "effect"
import { DsqlLive } from "effect-dsql"
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it, vi } from "vitest"
import { isInstalled, makeCommands, shell } from "./support/cli.js"
import type { Program } from "./support/program.js"

let commands: ReturnType<typeof makeCommands>
beforeEach(() => {
  commands = makeCommands()
})
afterEach(() => {
  vi.unstubAllEnvs()
  commands.cleanUp()
})
const cli = (...args: ReadonlyArray<string>): Program => commands.cli(...args)

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

describe("effect-dsql local --explain-sql", () => {
  const explain = async (sql: string) => {
    const file = join(commands.folder, "schema.sql")
    writeFileSync(file, sql)
    const program = cli("local", "--explain-sql", file)
    const { code } = await program.exited
    return { code, lines: program.output().replaceAll(file, "FILE").trimEnd().split("\n"), errors: program.errors() }
  }

  it("says of each statement what becomes of it, and fails if not all of them could be run", async () => {
    assert.deepStrictEqual(
      await explain("SELECT 1;\n\nCREATE TABLE é (id serial);\nALTER STATISTICS s SET STATISTICS 5;"),
      {
        code: 1,
        lines: [
          "FILE:1  accepted    SELECT 1",
          "FILE:3  refused     CREATE TABLE é (id serial)",
          '    42704 type "serial" does not exist (rule serial, recorded)',
          "FILE:4  unjudged    ALTER STATISTICS s SET STATISTICS 5",
          "3 statements, 1 of which Aurora DSQL would not run"
        ],
        errors: ""
      }
    )
  })

  it("succeeds if they all could", async () => {
    const { code, lines } = await explain("CREATE TABLE a (id int);")
    assert.deepStrictEqual([code, lines.at(-1)], [0, "1 statements, 0 of which Aurora DSQL would not run"])
  })
})

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
    const data = join(commands.folder, `it's kept "here"`)
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
    const data = join(commands.folder, "kept")
    const first = cli("local", "--json", "--data", data)
    const [line] = await first.printed(jsonLine)
    assert.strictEqual(JSON.parse(line).ca, join(data, "ca.pem"))
    for (const [taken, complaint] of [
      [data, / is in use by a local cluster that runs\. .*\n$/],
      [commands.folder, / is not empty and was not made by a local cluster, .*\n$/]
    ] as const) {
      const second = cli("local", "--json", "--data", taken)
      assert.deepStrictEqual(await second.exited, { code: 1, signal: null })
      assert.match(second.errors(), complaint)
      assert.notMatch(second.errors(), /\n./)
      assert.strictEqual(second.output(), "")
      assert.deepStrictEqual(second.leftovers(), [])
    }
    assert.deepStrictEqual(readdirSync(commands.folder), ["kept"])
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
      const { stderr, stdout } = spawnSync("bash", ["-c", line], { encoding: "utf8", cwd: commands.folder })
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
    for (const text of ["--json", "--data", "--conflicts", "--schema-conflicts", "Exit codes: 0"])
      assert.include(help.output(), text)
    const unknown = cli("locla")
    assert.strictEqual((await unknown.exited).code, 1)
    assert.match(unknown.output() + unknown.errors(), /local/)
  })
})
