/** Money that is moved while connections break, COMMITs fail and others change the schema. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Logger, LogLevel } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { allTheMoney, business, fibers, kindsOfMishap } from "./support/bank.js"
import { conflictingCluster } from "./support/conflicting.js"
import { told } from "./support/transactions.js"

/** Some transfers of each fiber; `npm run soak` goes on for 20 seconds. */
const [seeds, goesOn] =
  process.env["DSQL_SOAK"] === undefined
    ? [[20261201], (transfers: number) => transfers < 20]
    : [[1, 2, 3], (_: number, milliseconds: number) => milliseconds < 20_000]

const lostCommit = "plain fails with DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed"
const passing = "plain fails with DsqlCommitOutcomeUnknownError because of DsqlUnavailableError"

layer(conflictingCluster(), { excludeTestServices: true, timeout: "60 seconds" })("a bank", (it) => {
  it.effect.each(seeds.map((seed) => [seed] as const))(
    "loses no money, and makes every transfer once, or says that it does not know (seed %d)",
    ([seed]) =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        yield* local.reset
        const { asked, books, happened, trouble } = yield* business(seed, goesOn).pipe(
          // A ROLLBACK on a connection that was dropped is warned of.
          Logger.withMinimumLogLevel(LogLevel.Error)
        )

        assert.strictEqual(books.total, allTheMoney)
        assert.deepStrictEqual(books.wrong, [])
        const stored = new Map(books.transfers.map((transfer) => [transfer.key, transfer]))
        const ends: Record<string, number> = {}
        for (const { exit, isVerified, transfer } of asked) {
          const end = `${isVerified ? "verified" : "plain"} ${told(exit)}`
          ends[end] = (ends[end] ?? 0) + 1
          if (Exit.isSuccess(exit)) assert.deepStrictEqual(stored.get(transfer.key), transfer, end)
        }
        const { "verified gives moved": _moved, "verified gives found moved": _found, ...others } = ends
        const { "plain gives moved": _plain, [lostCommit]: lost = 0, [passing]: passed = 0, ...unexpected } = others
        assert.deepStrictEqual(unexpected, {})
        const unknown = lost + passed
        // What is stored was asked for: there is nothing else but transfers of unknown outcome.
        const succeeded = asked.filter(({ exit }) => Exit.isSuccess(exit)).length
        assert.isAtLeast(stored.size, succeeded)
        assert.isAtMost(stored.size, succeeded + unknown)
        assert.isTrue(books.transfers.every(({ key }) => asked.some(({ transfer }) => transfer.key === key)))

        assert.strictEqual(told(trouble), "is interrupted")
        assert.sameMembers(Object.keys(happened), kindsOfMishap)
        const mishaps = Object.values(happened).reduce((sum, count) => sum + count, 0)
        console.log(`${asked.length} transfers by ${fibers} fibers with ${mishaps} mishaps`, ends)
        yield* Effect.repeat(local.connectionCount, { until: (count) => count === 0 })
      }),
    120_000
  )
})
