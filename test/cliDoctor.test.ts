import { Schema } from "effect"
import type { DsqlDoctor } from "effect-dsql"
import { readFileSync } from "node:fs"
import { stripVTControlCharacters } from "node:util"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { exitCodes, stepLines, verdictLine } from "../src/cli/doctorReport.js"
import { type Cluster, startCluster } from "../src/local/cluster.js"
import { names } from "./doctor/support.js"
import { isInstalled, makeCommands, shell } from "./support/cli.js"
import { formsOf } from "./support/leaks.js"

let cluster: Cluster
let commands: ReturnType<typeof makeCommands>
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())
beforeEach(() => {
  commands = makeCommands()
})
afterEach(() => commands.cleanUp())

/** The cluster and its credentials, and nothing else that the AWS SDK or this package would find. */
const environment = () => ({
  ...Object.fromEntries(
    Object.keys(process.env).flatMap((key) => (/^(?:AWS|DSQL)_/.test(key) ? [[key, undefined]] : []))
  ),
  HOME: commands.folder,
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  DSQL_HOST: cluster.endpoint,
  DSQL_HOSTADDR: cluster.hostaddr,
  DSQL_PORT: String(cluster.port),
  DSQL_SSLROOTCERT: cluster.caFile,
  AWS_ACCESS_KEY_ID: cluster.accessKeyId,
  AWS_SECRET_ACCESS_KEY: cluster.secretAccessKey
})

const doctor = async (variables: Readonly<Record<string, string | undefined>>, ...args: ReadonlyArray<string>) => {
  const program = commands.cliIn({ ...environment(), ...variables }, "doctor", ...args)
  const { code } = await program.exited
  return { code, output: program.output(), errors: program.errors() }
}

const StepName = Schema.Literal(...names)
const Common = { name: StepName, duration: Schema.NonNegative, summary: Schema.NonEmptyString }
const Facts = Schema.Record({ key: Schema.String, value: Schema.Union(Schema.String, Schema.Number, Schema.Boolean) })
const Cure = Schema.Struct({
  kind: Schema.Literal("command", "sql", "policy", "change"),
  text: Schema.NonEmptyString
})
const Report = Schema.Struct({
  version: Schema.Literal(1),
  outcome: Schema.Literal("ok", "warning", "failed"),
  steps: Schema.Array(
    Schema.Union(
      Schema.Struct({
        ...Common,
        outcome: Schema.Literal("ok"),
        facts: Facts,
        cures: Schema.Tuple()
      }),
      Schema.Struct({
        ...Common,
        outcome: Schema.Literal("skipped"),
        facts: Schema.Struct({}),
        cures: Schema.Tuple(),
        waitsFor: StepName
      }),
      Schema.Struct({
        ...Common,
        outcome: Schema.Literal("warning", "failed"),
        facts: Facts,
        cause: Schema.NonEmptyString,
        cures: Schema.NonEmptyArray(Cure)
      })
    )
  ).pipe(Schema.itemsCount(StepName.literals.length))
})

/** One line of JSON that is what the documentation says, and no more. */
const parsed = (output: string): typeof Report.Type => {
  assert.match(output, /^\{.*\}\n$/)
  return Schema.decodeUnknownSync(Report, { onExcessProperty: "error" })(JSON.parse(output))
}

describe("effect-dsql doctor", () => {
  it("finds a healthy cluster healthy, in plain lines where there is no terminal", async () => {
    const { code, errors, output } = await doctor({})
    assert.deepStrictEqual([code, errors], [0, ""])
    const lines = output.trimEnd().split("\n")
    assert.deepStrictEqual(
      lines.slice(0, -1).map((line) => line.split(/\s+/).slice(0, 2)),
      StepName.literals.map((name) => ["ok", name])
    )
    assert.strictEqual(lines.at(-1), "All is well.")
    assert.notInclude(output, "\u001b")
  })

  it("prints JSON of the documented form, whatever it finds, and exits by the worst step", async () => {
    const found = [
      [{}, [], 0, "ok"],
      [{ DSQL_POOL_MAX: "5000" }, [], 2, "warning"],
      [{ AWS_SECRET_ACCESS_KEY: "not the secret", DSQL_POOL_MAX: "5000" }, [], 1, "failed"],
      [{ DSQL_HOST: undefined }, [], 1, "failed"],
      [{ DSQL_HOST: "localhost", DSQL_USER: "nobody" }, ["--host", "cluster", "--user", "admin"], 0, "ok"]
    ] as const
    for (const [variables, args, exit, outcome] of found) {
      const given = args.map((arg) => (arg === "cluster" ? cluster.endpoint : arg))
      const { code, errors, output } = await doctor(variables, "--json", ...given)
      assert.deepStrictEqual([code, errors], [exit, ""])
      assert.strictEqual(parsed(output).outcome, outcome)
    }
  }, 60_000)

  it("prints cause and cure, and no secret", async () => {
    const secret = "wrong/secret+key=of-enough-length"
    const session = "a/session+token=of-enough-length"
    const { code, errors, output } = await doctor({ AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: session })
    assert.deepStrictEqual([code, errors], [1, ""])
    assert.match(output, /^failed   login {10}.*\n {9}cause: {4}.*\n {9}run: {6}aws sts get-caller-identity\n/m)
    assert.match(output, /^skipped  statement {6}waits for login$/m)
    assert.match(output, /^It does not work: login failed\.$/m)
    assert.notMatch(output, /X-Amz-/)
    for (const form of [secret, session].flatMap(formsOf)) assert.notInclude(output, form)
  })

  it("is coloured on a terminal, unless NO_COLOR is set", async (context) => {
    if (!isInstalled("script")) {
      context.annotate("there is no script of util-linux, which gives a program a terminal: it was not tried")
      return
    }
    const line = `script -qec '"${process.execPath}" --import tsx src/cli/main.ts doctor' /dev/null`
    const variables = { ...environment(), NO_COLOR: undefined }
    const [coloured] = await shell(line, variables)
    const [plain] = await shell(line, { ...variables, NO_COLOR: "1" })
    assert.match(coloured, /\[32mok {5}.*\[1mconfiguration/)
    assert.match(plain, /^ok {7}configuration/m)
    assert.notMatch(plain, /\[3\dm/)
    assert.strictEqual(
      stripVTControlCharacters(coloured).replaceAll(/ \([\d.]+ ms\)/g, ""),
      stripVTControlCharacters(plain).replaceAll(/ \([\d.]+ ms\)/g, "")
    )
  })

  it("ends without a word when its reader has read enough", async () => {
    const line = `"${process.execPath}" --import tsx src/cli/main.ts doctor | head -n 1`
    const [output, errors] = await shell(line, environment())
    assert.match(output, /^ok {7}configuration.*\n$/)
    assert.strictEqual(errors, "")
  })

  it("examines a local cluster of its own", async () => {
    const { code, errors, output } = await doctor({ DSQL_HOST: undefined }, "--local", "--json")
    assert.deepStrictEqual([code, errors], [0, ""])
    assert.strictEqual(parsed(output).outcome, "ok")
  })
})

describe("what a person reads", () => {
  const step: DsqlDoctor.Step = {
    name: "role",
    outcome: "failed",
    duration: 12.3,
    summary: "there is no role orders",
    facts: {},
    cause: "the server said\nno\u001b[2J",
    cures: [
      { kind: "sql", text: "CREATE ROLE orders WITH LOGIN" },
      { kind: "policy", text: '{\n  "Version": "2012-10-17"\n}' },
      { kind: "command", text: "npx effect-dsql roles orders" },
      { kind: "change", text: "or another user" }
    ]
  }

  it("is aligned, with each cure under what is to be done with it", () => {
    assert.strictEqual(
      stepLines(step, { colours: false }),
      `failed   role           there is no role orders  (12 ms)
         cause:    the server said no [2J
         as admin: CREATE ROLE orders WITH LOGIN;
         allow:    {
                     "Version": "2012-10-17"
                   }
         run:      npx effect-dsql roles orders
         change:   or another user`
    )
  })

  it("has the colour of its outcome on a terminal, and is the same text", () => {
    const colours = { ok: 32, warning: 33, failed: 31, skipped: 90 } as const
    for (const outcome of ["ok", "warning", "failed", "skipped"] as const) {
      const [plain, coloured] = [false, true].map((colours) => stepLines({ ...step, outcome }, { colours }))
      assert.isTrue(coloured!.startsWith(`\u001b[${colours[outcome]}m${outcome}`))
      assert.strictEqual(stripVTControlCharacters(coloured!), plain)
      assert.notInclude(stepLines({ ...step, outcome, duration: 0 }, { colours: true }), "\u001b[2m")
    }
  })

  it("ends with the whole in one line", () => {
    const report = (outcome: DsqlDoctor.Report["outcome"]): DsqlDoctor.Report => ({
      version: 1,
      outcome,
      steps: [step, { ...step, name: "limits", outcome: "warning" }]
    })
    assert.deepStrictEqual(
      (["ok", "warning", "failed"] as const).map((outcome) => verdictLine(report(outcome), { colours: false })),
      ["All is well.", "It works; look at limits.", "It does not work: role failed."]
    )
    assert.strictEqual(verdictLine(report("failed"), { colours: true }).slice(0, 5), "\u001b[31m")
  })
})

describe("docs/doctor.md", () => {
  const text = readFileSync(new URL("../docs/doctor.md", import.meta.url), "utf8")
  const rows = (heading: string): ReadonlyArray<string> => {
    const [, chapter = ""] = text.split(`\n## ${heading}\n`)
    return [...chapter.split("\n## ")[0]!.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!)
  }

  it("has a row for every field of the JSON, every step and every exit code", () => {
    assert.includeMembers([...rows("JSON")], Object.keys(Report.fields))
    assert.includeMembers(
      [...rows("JSON")],
      [...Object.keys(Common), "outcome", "facts", "cause", "cures", "waitsFor"].map((field) => `steps[].${field}`)
    )
    assert.includeMembers([...rows("JSON")], ["steps[].cures[].kind", "steps[].cures[].text"])
    assert.deepStrictEqual(rows("Steps"), [...StepName.literals])
    assert.sameMembers([...rows("Exit codes")], Object.values(exitCodes).map(String))
  })

  it("shows what a healthy cluster looks like", () => {
    const lines = /```text\n([^]*?)```/.exec(text)?.[1] ?? ""
    assert.deepStrictEqual(
      [...lines.matchAll(/^ok +(\w+)/gm)].map(([, name]) => name),
      [...StepName.literals]
    )
  })
})
