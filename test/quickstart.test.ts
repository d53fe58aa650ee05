import { assert, it } from "vitest"
import { startProgram } from "./support/program.js"

it("npm run quickstart does what it says, ends by itself and leaves nothing behind", async () => {
  const program = startProgram(["examples/quickstart.ts"], { DSQL_HOST: undefined })
  try {
    const { code } = await program.exited
    assert.strictEqual(program.errors(), "")
    assert.deepStrictEqual(
      program
        .output()
        .split("\n")
        .map((line) => line.split(" ")[0]),
      ["cluster", "inserted", "inserted", "inserted", "queried", "streamed", "token", "renewed", "refused", ""]
    )
    assert.match(program.output(), /^refused +DsqlAuthenticationError/m)
    assert.strictEqual(code, 0)
    assert.deepStrictEqual(program.leftovers(), [])
  } finally {
    program.cleanUp()
  }
})
