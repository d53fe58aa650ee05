import { assert, describe, it, layer } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { crashUnderLoad, type Hanging } from "./support/crash.js"
import { withInstruments } from "./support/instruments.js"
import { startProgram } from "./support/program.js"

const live = { excludeTestServices: true, timeout: "60 seconds" } as const

/** The error of this package that an effect failed with, and with nothing else. */
const errorOf = (exit: Exit.Exit<unknown, unknown>): DsqlErrors.DsqlError => {
  assert(Exit.isFailure(exit), "it did not fail")
  assert(Cause.isFailType(exit.cause), Cause.pretty(exit.cause))
  const error = DsqlErrors.unwrap(exit.cause.error)
  assert(error !== undefined, Cause.pretty(exit.cause))
  return error
}

layer(DsqlLocal.layer(withInstruments), live)("a server that is killed under load and restarted", (it) => {
  it.effect("fails all that is in flight, typed, and nothing that comes later", () =>
    Effect.gen(function* () {
      const result = yield* crashUnderLoad

      const lost = { _tag: "DsqlConnectionError", reason: "Closed" }
      const expected: Record<Hanging, object> = {
        statement: { ...lost, outcomeUnknown: true, isRetryable: false },
        transaction: { ...lost, outcomeUnknown: undefined, isRetryable: true },
        stream: { ...lost, outcomeUnknown: true, isRetryable: false },
        commit: { _tag: "DsqlCommitOutcomeUnknownError" }
      }
      assert.lengthOf(result.hung, 8)
      for (const [kind, exit] of result.hung) assert.deepInclude(factsOf(errorOf(exit)), expected[kind], kind)

      assert.lengthOf(result.worked, 42)
      const worked = result.worked.map(errorOf)
      let unknown = 0
      for (const error of worked) {
        if (error._tag === "DsqlCommitOutcomeUnknownError") unknown++
        else {
          assert(error._tag === "DsqlConnectionError", error._tag)
          assert.include(["Closed", "Refused"], error.reason)
        }
      }
      const refused = errorOf(result.whileDown)
      assert(refused._tag === "DsqlConnectionError")
      assert.deepStrictEqual([refused.reason, refused.isRetryable], ["Refused", true])

      assert.deepStrictEqual(
        result.after,
        Array.from(result.after, () => 300)
      )
      assert.lengthOf(result.after, 50)
      // A round that lost its answer behind the COMMIT is stored, but was not counted.
      assert.isAtLeast(result.stored, result.committed)
      assert.isAtMost(result.stored, result.committed + worked.length)
      assert.isAtMost(unknown, 2)

      assert.strictEqual(result.connectionsWhileDown, 0)
      assert.deepStrictEqual([result.connections, result.backends], [10, 10])
      assert.strictEqual(result.connectionsInTheEnd, 0)
    })
  )
})

describe("a program whose server is killed under load and restarted", () => {
  it("ends by itself when its scope closes, and leaves nothing behind", async () => {
    const program = startProgram(["test/support/crashProgram.ts"])
    try {
      assert.deepStrictEqual(await program.exited, { code: 0, signal: null })
      assert.strictEqual(program.errors(), "")
      assert.deepStrictEqual(JSON.parse(program.output()), { after: 50, connectionsInTheEnd: 0 })
      assert.deepStrictEqual(program.leftovers(), [])
    } finally {
      program.cleanUp()
    }
  })
})

const factsOf = (error: DsqlErrors.DsqlError): object =>
  error._tag === "DsqlConnectionError"
    ? {
        _tag: error._tag,
        reason: error.reason,
        outcomeUnknown: error.outcomeUnknown,
        isRetryable: error.isRetryable
      }
    : { _tag: error._tag }
