/** Things that go wrong in a local cluster by lines on the standard input of its command. */
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { readFileSync } from "node:fs"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { makeCommands } from "./support/cli.js"
import type { Program } from "./support/program.js"
import { told } from "./support/transactions.js"

let commands: ReturnType<typeof makeCommands>
beforeEach(() => {
  commands = makeCommands()
})
afterEach(() => commands.cleanUp())

/** The command with `--json`, and how to ask it. */
const started = async () => {
  const program = commands.cli("local", "--json")
  await program.printed(/^\{.*\}\n/)
  const lines = () => program.output().split("\n").slice(0, -1)
  const { ca, endpoint, ...access } = JSON.parse(lines()[0]!) as Record<"ca" | "endpoint" | "hostaddr", string> & {
    port: number
    accessKeyId: string
    secretAccessKey: string
  }
  const ask = async (line: string): Promise<Record<string, unknown>> => {
    const count = lines().length
    program.tell(line)
    await program.printed(new RegExp(`^(?:.*\n){${count + 1}}`))
    return JSON.parse(lines()[count]!) as Record<string, unknown>
  }
  const client = DsqlLocal.layerFrom({ ...access, host: endpoint, ca: readFileSync(ca, "utf8") })
  return { program, ask, client }
}

const transaction = Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(sql`SELECT 1`))

const end = async (program: Program): Promise<void> => {
  program.endInput()
  assert.deepStrictEqual(await program.exited, { code: 0, signal: null })
  assert.strictEqual(program.errors(), "")
}

describe("effect-dsql local --json", () => {
  it("does what lines say, and answers each with a line", async () => {
    const { ask, client, program } = await started()
    const attempt = () => Effect.runPromiseExit(Effect.provide(transaction, client)).then(told)
    assert.deepStrictEqual(await ask("fail-commits"), { ok: true })
    assert.strictEqual(await attempt(), "fails with SqlError(DsqlConflictError Data after 1)")
    assert.deepStrictEqual(await ask("  fail-statements   XX000 1 "), { ok: true })
    assert.strictEqual(await attempt(), "fails with SqlError(DsqlUnavailableError)")
    await ask("fail-statements")
    assert.strictEqual(await attempt(), "fails with SqlError(DsqlConflictError Schema after 1)")
    await ask("drop-at-commit before")
    assert.match(await attempt(), /^fails with SqlError\(DsqlCommitOutcomeUnknownError /)
    for (const [name, reason] of [
      ["53300", "TooManyConnections 53300"],
      ["53400", "RateExceeded 53400"],
      ["waking-up", "ClusterWaking XX000"]
    ]) {
      await ask(`refuse-logins ${name}`)
      assert.strictEqual(await attempt(), `fails with DsqlConnectionError ${reason}`)
    }
    await ask("inactivate")
    assert.strictEqual(await attempt(), "fails with DsqlConnectionError ClusterWaking XX000")
    await ask("clock +5s")
    await ask("delay 1ms")
    await ask("delay 1ms 2")
    await ask("fail-commits 50%")
    const { clock, ...status } = await ask("status")
    assert.isAbove(Date.parse(String(clock)), Date.now())
    assert.deepStrictEqual(status, {
      ok: true,
      connections: 0,
      logins: 4,
      faults: [
        { step: "statement", fault: "wait 1ms", times: "all", probability: 1 },
        { step: "statement", fault: "wait 1ms", times: 2, probability: 1 },
        {
          step: "COMMIT",
          fault: "40001 change conflicts with another transaction (OC000)",
          times: "all",
          probability: 0.5
        }
      ]
    })
    await ask("clear")
    for (const line of ["pause", "resume", "drop-connections", "restart"]) {
      assert.deepStrictEqual(await ask(line), { ok: true })
    }
    assert.match(await attempt(), /^gives /)
    assert.deepInclude(await ask("status"), { faults: [] })
    await end(program)
  })

  it("says what is wrong with a line, and lists what is right", async () => {
    const { ask, program } = await started()
    const usage = "Usage: fail-commits [COUNT | PERCENT% | all] [OC000 | OC001 | XX000]"
    const wrong = {
      "fail-commits many": `fail-commits does not take "many". ${usage}`,
      "fail-commits 1 2": `fail-commits does not take "2". ${usage}`,
      clock: "clock wants more. Usage: clock +DURATION",
      "status now": 'status does not take "now". Usage: status',
      constructor: 'There is no command "constructor"; help lists them.'
    }
    for (const [line, error] of Object.entries(wrong)) assert.deepStrictEqual(await ask(line), { ok: false, error })
    const { help } = (await ask("help")) as { help: ReadonlyArray<string> }
    assert.include(help, "clear: forgets what has not gone wrong yet, delays too")
    await end(program)
  })
})

describe("effect-dsql local", () => {
  it("takes the same lines from a person", async () => {
    const program = commands.cli("local")
    await program.printed(/\n\(?To leave it again/)
    program.tell("fail-commits 2")
    await program.printed(/\nok\n/)
    program.tell("")
    program.tell("no")
    program.tell("status")
    await program.printed(/\nconnections: 0\n[^]*"times":2\}\n/)
    assert.strictEqual(program.errors(), 'There is no command "no"; help lists them.\n')
    program.endInput()
    program.signal("SIGINT")
    assert.deepStrictEqual(await program.exited, { code: 0, signal: null })
    assert.deepStrictEqual(program.leftovers(), [])
  })
})
