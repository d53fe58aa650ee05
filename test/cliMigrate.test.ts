import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { showProgress } from "../src/cli/migrateProgress.js"
import { type Cluster, startCluster } from "../src/local/cluster.js"
import { withClient } from "./local/support.js"
import { makeCommands } from "./support/cli.js"
import { Effect } from "effect"

let commands: ReturnType<typeof makeCommands>
let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ jobDuration: 20 })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  commands = makeCommands()
})
afterEach(() => commands.cleanUp())

const environment = () => ({
  ...Object.fromEntries(
    Object.keys(process.env).flatMap((key) => (/^(?:AWS|DSQL)_/.test(key) ? [[key, undefined]] : []))
  ),
  DSQL_HOST: cluster.endpoint,
  DSQL_HOSTADDR: cluster.hostaddr,
  DSQL_PORT: String(cluster.port),
  DSQL_SSLROOTCERT: cluster.caFile,
  AWS_ACCESS_KEY_ID: cluster.accessKeyId,
  AWS_SECRET_ACCESS_KEY: cluster.secretAccessKey,
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true"
})

const sqlFiles = {
  "0001_add_owners.sql": "CREATE TABLE owner (id int PRIMARY KEY, email text);\nINSERT INTO owner VALUES (1, 'a@x');\n",
  "0002_index.sql": "CREATE UNIQUE INDEX ASYNC owner_email ON owner (email);\n"
}

const write = (files: Readonly<Record<string, string>>): string => {
  const folder = join(commands.folder, "migrations")
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

const migrate = async (...args: ReadonlyArray<string>) => {
  const program = commands.cliIn(environment(), "migrate", ...args)
  const { code } = await program.exited
  return { code, output: program.output(), errors: program.errors() }
}

describe("effect-dsql migrate", () => {
  it("plans, runs and tells how far it is, on the cluster of the environment", async () => {
    const dir = write(sqlFiles)
    const before = await migrate("status", "--dir", dir)
    assert.deepStrictEqual(before, { code: 3, output: "pending  1_add_owners\npending  2_index\n", errors: "" })
    const plan = await migrate("plan", "--dir", dir)
    assert.deepStrictEqual(plan, {
      code: 0,
      output: `1_add_owners  ${dir}/0001_add_owners.sql
  1: CREATE TABLE owner (id int PRIMARY KEY, email text)
  2: INSERT INTO owner VALUES (1, 'a@x')
2_index  ${dir}/0002_index.sql
  1: CREATE UNIQUE INDEX ASYNC owner_email ON owner (email)
2 migrations to apply.
`,
      errors: ""
    })
    const run = await migrate("run", "--dir", dir)
    assert.deepStrictEqual([run.code, run.errors], [0, ""])
    assert.match(
      run.output,
      /^1_add_owners 1\/2 CREATE TABLE owner .*\n1_add_owners 2\/2 INSERT .*\n1_add_owners done\n2_index 1\/1 CREATE [^]*\n2_index 1 INDEX_BUILD completed\n2_index done\n2 migrations applied\.\n$/
    )
    assert.deepStrictEqual(await migrate("run", "--dir", dir), { code: 0, output: "Nothing to do.\n", errors: "" })
    const after = await migrate("status", "--dir", dir)
    assert.match(after.output, /^applied {2}1_add_owners {2}\d{4}-\S+Z\napplied {2}2_index {2}\S+\n$/)
    assert.strictEqual(after.code, 0)
  }, 180_000)

  it("speaks JSON to programs", async () => {
    const dir = write({ ...sqlFiles, "0003_bad.sql": "TRUNCATE owner;\nROLLBACK" })
    const plan = await migrate("plan", "--dir", dir, "--json", "--table", "history")
    assert.strictEqual(plan.code, 2)
    const { migrations, problems, refused } = JSON.parse(plan.output)
    assert.deepStrictEqual(
      [refused, ...problems],
      [
        1,
        `${dir}/0003_bad.sql:2: a migration is not rolled back, and DSQL has no savepoints; leave it out (effect-dsql/docs/errors/DsqlMigrationError.md)\nROLLBACK`
      ]
    )
    assert.deepStrictEqual(migrations[2].statements[0].refusal, {
      rule: "unsupported-truncate",
      sqlState: "0A000",
      message: "unsupported statement: Truncate"
    })
    writeFileSync(join(dir, "0003_bad.sql"), "ANALYZE owner")
    const run = await migrate("run", "--dir", dir, "--json", "--table", "history")
    const ran = ["add_owners", "index", "bad"].map((name, index) => ({ id: index + 1, name }))
    assert.deepStrictEqual([run.code, JSON.parse(run.output)], [0, { ran }])
    const status = await migrate("status", "--dir", dir, "--json", "--table", "history")
    assert.deepStrictEqual(
      JSON.parse(status.output).migrations.map(({ done, state }: Record<string, unknown>) => [state, done]),
      [
        ["applied", 2],
        ["applied", 1],
        ["applied", 1]
      ]
    )
    await withClient(cluster, async (client) => {
      const { rows } = await client.query("SELECT count(*)::int AS n FROM history_statements")
      assert.deepStrictEqual(rows, [{ n: 4 }])
    })
  }, 180_000)

  it("says in one line what was wrong and where, and goes on when it is mended", async () => {
    const dir = write({ ...sqlFiles, "0003_bad.sql": "SELECT 1;\nSELEC 2", "0004_worse.sql": "TRUNCATE a;\nROLLBACK" })
    const plan = await migrate("plan", "--dir", dir)
    assert.strictEqual(plan.code, 2)
    assert.match(plan.output, / {2}2: SELEC 2\n {4}refused \[42601\]: syntax error at or near "SELEC"\n/)
    assert.isTrue(
      plan.output.endsWith(`4_worse  ${dir}/0004_worse.sql
  1: TRUNCATE a
    refused [0A000] by unsupported-truncate: unsupported statement: Truncate
  2: ROLLBACK
${dir}/0004_worse.sql:2: a migration is not rolled back, and DSQL has no savepoints; leave it out (effect-dsql/docs/errors/DsqlMigrationError.md)
ROLLBACK
Nothing would be run: 1 problem.
2 statements would be refused.
`),
      plan.output
    )
    rmSync(join(dir, "0004_worse.sql"))
    const failed = await migrate("run", "--dir", dir)
    assert.strictEqual(failed.code, 1)
    assert.match(failed.errors, /0003_bad\.sql:2: this statement failed; .*syntax error at or near "SELEC"/)
    const status = await migrate("status", "--dir", dir)
    assert.deepStrictEqual(status.code, 3)
    assert.match(status.output, /\npartial {2}3_bad {2}1 of 2 statements\n$/)
    writeFileSync(join(dir, "0003_bad.sql"), "SELECT 1;\nSELECT 2")
    assert.match((await migrate("run", "--dir", dir)).output, /1 migration applied\.\n$/)
    writeFileSync(join(dir, "0003_bad.sql"), "SELECT 1;\nSELECT 3")
    const edited = await migrate("status", "--dir", dir)
    assert.strictEqual(edited.code, 3)
    assert.match(edited.output, /0003_bad\.sql:2: this statement was changed after it ran/)
    const nowhere = await migrate("run", "--dir", join(dir, "none"))
    assert.strictEqual(nowhere.code, 1)
  }, 180_000)

  it("tries everything on a local cluster that is gone afterwards", async () => {
    const dir = write(sqlFiles)
    const program = commands.cliIn(environment(), "migrate", "run", "--dir", dir, "--local")
    assert.strictEqual((await program.exited).code, 0, program.errors())
    assert.match(program.output(), /2 migrations applied\.\n$/)
    assert.deepStrictEqual(program.leftovers(), [])
    assert.strictEqual((await migrate("status", "--dir", dir)).code, 3)
  }, 180_000)
})

describe("progress on a terminal", () => {
  it("is one line that changes, and one that stays for each migration", () => {
    const written: Array<string> = []
    const show = showProgress({ isTTY: true, columns: 30, write: (text) => written.push(text) })
    const migration = { id: 7, name: "add" }
    Effect.runSync(show({ _tag: "Started", ...migration }))
    Effect.runSync(
      show({
        _tag: "Statement",
        state: "running",
        ...migration,
        position: 1,
        of: 2,
        statement: "CREATE TABLE\n  a_long_name ()"
      })
    )
    Effect.runSync(show({ _tag: "Finished", ...migration }))
    assert.deepStrictEqual(written, [
      "\r\u001b[K7_add",
      "\r\u001b[K7_add 1/2 CREATE TABLE a_lo …",
      "\r\u001b[K7_add done\n"
    ])
  })
})
