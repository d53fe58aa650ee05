/** How a client's transactions lose, and what becomes of them. */
import { Effect } from "effect"
import { conflict, unavailable } from "effect-dsql/Testing"
import { assert, beforeEach, describe, it } from "vitest"
import { type Client, type Driver, failure, type Query, type Surroundings, using } from "./driver.js"

const countOf = async (query: Query, id = 1): Promise<number> => {
  const [row] = await query("SELECT n FROM tally WHERE id = $1", [id])
  return Number(row!["n"])
}

const increment = async (query: Query, id = 1): Promise<void> => {
  await query("UPDATE tally SET n = $1 WHERE id = $2", [(await countOf(query, id)) + 1, id])
}

/** As the retry option: does not make a test wait. */
const quick = { retry: { base: "1 millis", cap: "5 millis" } } as const

export const conflictSuite = (driver: Driver, { local, options }: Surroundings): void => {
  const withClient = <A>(f: (client: Client) => Promise<A>) => using(driver, { ...options(), ...quick }, f)

  describe(`a transaction of ${driver.name}`, () => {
    beforeEach(() =>
      withClient(async ({ query }) => {
        await query("DROP TABLE IF EXISTS tally")
        await query("CREATE TABLE tally (id int PRIMARY KEY, n int NOT NULL)")
        await query("INSERT INTO tally VALUES (1, 0), (2, 0)")
      })
    )

    it(
      "of 32 callers that increment a row 5 times each has counted every one",
      () =>
        withClient(async ({ query, transaction }) => {
          let attempts = 0
          await Promise.all(
            Array.from({ length: 32 }, async () => {
              for (let round = 0; round < 5; round++) {
                await transaction((query) => {
                  attempts++
                  return increment(query)
                })
              }
            })
          )
          assert.strictEqual(await countOf(query), 160)
          // There was something to retry.
          assert.isAbove(attempts, 160)
        }),
      120_000
    )

    it("that loses every time is told of it after all attempts", () =>
      withClient(async ({ query, transaction }) => {
        let attempts = 0
        const losing = transaction(
          async (own) => {
            attempts++
            await increment(own)
            await increment(query)
          },
          { times: 2 }
        )
        const error = await failure(losing)
        assert(error._tag === "DsqlConflictError", String(error))
        assert.deepStrictEqual([error.reason, error.attempts, error.server.sqlState], ["Data", 3, "40001"])
        assert.strictEqual(attempts, 3)
        assert.strictEqual(await countOf(query), 3)
      }))

    it.each([
      ["COMMIT", conflict("Schema")],
      ["statement", conflict()],
      ["BEGIN", unavailable()]
    ] as const)("whose %s fails in passing runs again as a whole", (step, error) =>
      withClient(async ({ query, transaction }) => {
        await Effect.runPromise(local().failNext(step, error))
        let attempts = 0
        const body = async (query: Query) => {
          attempts++
          await query("UPDATE tally SET n = n + 1 WHERE id = 2")
          return "done"
        }
        assert.strictEqual(await transaction(body), "done")
        assert.strictEqual(attempts, step === "BEGIN" ? 1 : 2)
        assert.strictEqual(await countOf(query, 2), 1)
      })
    )

    it.each([
      ["before", 0],
      ["after", 1]
    ] as const)("whose connection breaks %s it commits is not run again", (moment, left) =>
      withClient(async ({ query, transaction }) => {
        await Effect.runPromise(local().dropAtCommit(moment))
        let attempts = 0
        const lost = transaction(async (query) => {
          attempts++
          await increment(query)
        })
        const error = await failure(lost)
        assert.strictEqual(error._tag, "DsqlCommitOutcomeUnknownError")
        assert.strictEqual(attempts, 1)
        assert.strictEqual(await countOf(query), left)
      })
    )

    it.each([
      ["before", "done", 2],
      ["after", "found there", 1]
    ] as const)("whose connection breaks %s it commits is verified", (moment, result, runs) =>
      withClient(async ({ query, transaction }) => {
        await Effect.runPromise(local().dropAtCommit(moment))
        let attempts = 0
        const verify = async () => ((await countOf(query)) === 1 ? { result: "found there" } : undefined)
        const verified = transaction(
          async (query) => {
            attempts++
            await increment(query)
            return "done"
          },
          { verify }
        )
        assert.strictEqual(await verified, result)
        assert.deepStrictEqual([attempts, await countOf(query)], [runs, 1])
      })
    )

    it("whose body throws is rolled back and gives the very error", () =>
      withClient(async ({ query, transaction }) => {
        const mine = new Error("mine")
        let raised: unknown
        try {
          await transaction(async (query) => {
            await increment(query)
            throw mine
          })
        } catch (error) {
          raised = error
        }
        assert.strictEqual(raised, mine)
        assert.strictEqual(await countOf(query), 0)
      }))

    it("that goes on after a failed statement has not committed", () =>
      withClient(async ({ query, transaction }) => {
        const careless = transaction(async (query) => {
          await increment(query)
          await query("INSERT INTO tally VALUES (1, 9)").catch(() => {})
        })
        const error = await failure(careless)
        assert(error._tag === "DsqlTransactionError", String(error))
        assert.strictEqual(error.reason, "Aborted")
        assert.strictEqual((error.cause as { readonly _tag?: string })._tag, "DsqlConstraintError")
        assert.strictEqual(await countOf(query), 0)
      }))

    it("takes statements that are asked for together one by one", () =>
      withClient(async ({ query, transaction }) => {
        await transaction(async (query) => {
          await Promise.all([1, 2, 1, 2].map((id) => query("UPDATE tally SET n = n + 1 WHERE id = $1", [id])))
        })
        assert.deepStrictEqual([await countOf(query), await countOf(query, 2)], [2, 2])
      }))
  })
}
