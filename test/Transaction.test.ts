import { SqlClient } from "@effect/sql"
import { assert, describe, expectTypeOf, it, layer } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Option } from "effect"
import { DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { withInstruments } from "./support/instruments.js"
import { conflict, contender, prepare, quick } from "./support/transactions.js"

/** The one failure of an exit, which must not be mixed with a defect. */
const onlyFailure = <A, E>(exit: Exit.Exit<A, E>): E => {
  assert(Exit.isFailure(exit), "it succeeded")
  assert.isTrue(Cause.isFailType(exit.cause), Cause.pretty(exit.cause))
  return Option.getOrThrow(Cause.failureOption(exit.cause))
}

it("withRetry adds our errors, the client, and what verify needs and gives", () => {
  class Vault extends Context.Tag("Vault")<Vault, { readonly key: string }>() {}
  const body = Effect.flatMap(Vault, () =>
    Effect.if(true, { onTrue: () => Effect.succeed(1), onFalse: () => Effect.fail("mine" as const) })
  )
  type Failure = "mine" | DsqlErrors.DsqlError
  expectTypeOf(DsqlTransaction.withRetry(body)).toEqualTypeOf<
    Effect.Effect<number, Failure, Vault | SqlClient.SqlClient>
  >()
  expectTypeOf(body.pipe(DsqlTransaction.withRetry({ name: "typed" }))).toEqualTypeOf<
    Effect.Effect<number, Failure, Vault | SqlClient.SqlClient>
  >()
  class Keys extends Context.Tag("Keys")<Keys, { readonly find: Effect.Effect<Option.Option<string>, Error> }>() {}
  const verify = Effect.flatMap(Keys, ({ find }) => find)
  expectTypeOf(body.pipe(DsqlTransaction.withRetry({ verify }))).toEqualTypeOf<
    Effect.Effect<number | string, Failure, Vault | Keys | SqlClient.SqlClient>
  >()
  expectTypeOf(DsqlTransaction.retryStatement(body)).toEqualTypeOf<
    Effect.Effect<number, Failure, Vault | SqlClient.SqlClient>
  >()
  // @ts-expect-error a statement has no age and no COMMIT of its own
  DsqlTransaction.retryStatement(body, { maxAge: "1 second", verify })
})

it("the guards are those of DsqlErrors", () => {
  const { isConflict, isRetryable, isTransient } = DsqlErrors
  assert.include(DsqlTransaction, { isConflict, isRetryable, isTransient })
})

layer(DsqlLocal.layerLive(withInstruments), { excludeTestServices: true, timeout: "60 seconds" })(
  "DsqlTransaction",
  (it) => {
    describe("withRetry", () => {
      it.effect("runs the whole transaction again until its COMMIT wins", () =>
        Effect.gen(function* () {
          yield* prepare
          const { attempts, body, written } = yield* contender("wins_at_third", 3)
          yield* body.pipe(DsqlTransaction.withRetry({ ...quick, name: "third" }))
          assert.deepStrictEqual([yield* attempts, yield* written], [3, 1])
        })
      )

      it.effect("gives up after so many times, typed, with the number of attempts", () =>
        Effect.gen(function* () {
          yield* prepare
          const { attempts, body, written } = yield* contender("never_wins", 100)
          const error = onlyFailure(yield* Effect.exit(DsqlTransaction.withRetry(body, { ...quick, times: 2 })))
          assert(error._tag === "DsqlConflictError")
          assert.deepStrictEqual([error.reason, error.attempts], ["Data", 3])
          assert.deepStrictEqual([yield* attempts, yield* written], [3, 0])
        })
      )

      const transient = [
        ["schema changes", "OC001", ["40001", "schema has been updated by another transaction (OC001)"]],
        ["passing conditions", "XX000", ["XX000", "server unavailable"]]
      ] as const
      it.effect.each(transient)("runs again after %s at a statement (%s)", ([, , [state, said]]) =>
        Effect.gen(function* () {
          yield* prepare
          const sql = yield* SqlClient.SqlClient
          let runs = 0
          const result = yield* Effect.suspend(() =>
            ++runs < 3 ? sql`SELECT lose(${state}, ${said})` : sql`SELECT 'won' AS result`
          ).pipe(DsqlTransaction.withRetry(quick))
          assert.deepStrictEqual([result, runs], [[{ result: "won" }], 3])
        })
      )

      it.effect("runs again also when the body made something else of the conflict, or swallowed it", () =>
        Effect.gen(function* () {
          yield* prepare
          const sql = yield* SqlClient.SqlClient
          for (const hide of [Effect.mapError(() => "mine" as const), Effect.ignore]) {
            let runs = 0
            yield* Effect.suspend(() =>
              ++runs < 3 ? Effect.asVoid(sql`SELECT lose(${conflict[0]}, ${conflict[1]})`) : Effect.void
            ).pipe(
              hide as <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A | void, E | "mine", R>,
              DsqlTransaction.withRetry(quick)
            )
            assert.strictEqual(runs, 3)
          }
        })
      )

      it.effect("leaves other failures and defects as they are, and rolls back", () =>
        Effect.gen(function* () {
          yield* prepare
          const sql = yield* SqlClient.SqlClient
          const write = sql`INSERT INTO written VALUES ('not kept')`
          const failed = yield* Effect.exit(DsqlTransaction.withRetry(Effect.zipRight(write, Effect.fail("mine"))))
          assert.deepStrictEqual(failed, Exit.fail("mine"))
          const died = yield* Effect.exit(DsqlTransaction.withRetry(Effect.zipRight(write, Effect.die("mine"))))
          assert.isTrue(Exit.isFailure(died) && Cause.isDieType(died.cause))
          const violated = onlyFailure(yield* Effect.exit(DsqlTransaction.withRetry(sql`SELECT 1 / 0`)))
          assert(violated instanceof DsqlErrors.DsqlQueryError)
          assert.deepStrictEqual(yield* sql`SELECT * FROM written WHERE name = 'not kept'`, [])
        })
      )

      it.effect("joins a transaction it is in, and leaves retrying to that", () =>
        Effect.gen(function* () {
          yield* prepare
          const sql = yield* SqlClient.SqlClient
          let inner = 0
          let outer = 0
          yield* Effect.suspend(() => {
            outer++
            return DsqlTransaction.withRetry(
              Effect.suspend(() =>
                ++inner < 3 ? Effect.asVoid(sql`SELECT lose(${conflict[0]}, ${conflict[1]})`) : Effect.void
              ),
              quick
            )
          }).pipe(DsqlTransaction.withRetry(quick))
          assert.deepStrictEqual([outer, inner], [3, 3])
        })
      )

      it.effect("can be read only", () =>
        Effect.gen(function* () {
          yield* prepare
          const sql = yield* SqlClient.SqlClient
          const error = onlyFailure(
            yield* Effect.exit(
              DsqlTransaction.withRetry(sql`INSERT INTO written VALUES ('read only')`, { readOnly: true })
            )
          )
          assert(error instanceof DsqlErrors.DsqlQueryError)
          assert.strictEqual(error.sqlState, "25006")
        })
      )

      it.effect("interrupts a body that grows too old, before the server does", () =>
        Effect.gen(function* () {
          yield* prepare
          const sql = yield* SqlClient.SqlClient
          const exit = yield* sql`INSERT INTO written VALUES ('too old')`.pipe(
            Effect.zipRight(Effect.never),
            DsqlTransaction.withRetry({ maxAge: "50 millis" }),
            Effect.exit
          )
          const error = onlyFailure(exit)
          assert(error._tag === "DsqlLimitError")
          assert.strictEqual(error.reason, "Age")
          assert.deepStrictEqual(yield* sql`SELECT * FROM written WHERE name = 'too old'`, [])
        })
      )
    })

    describe("a COMMIT whose outcome is unknown", () => {
      const unknown = ["XX000", "server unavailable"] as const

      it.effect("is raised and never repeated", () =>
        Effect.gen(function* () {
          yield* prepare
          const { attempts, body } = yield* contender("unknown", 2, unknown)
          const error = onlyFailure(yield* Effect.exit(DsqlTransaction.withRetry(body, quick)))
          assert.strictEqual(error._tag, "DsqlCommitOutcomeUnknownError")
          assert.strictEqual(yield* attempts, 1)
        })
      )

      it.effect("is decided by verify: committed gives its result, not committed runs again", () =>
        Effect.gen(function* () {
          yield* prepare
          const first = yield* contender("verified_committed", 2, unknown)
          const told = yield* DsqlTransaction.withRetry(first.body, {
            ...quick,
            verify: Effect.succeedSome("was there")
          })
          assert.deepStrictEqual([told, yield* first.attempts], ["was there", 1])
          const second = yield* contender("verified_lost", 2, unknown)
          yield* DsqlTransaction.withRetry(second.body, { ...quick, verify: Effect.succeedNone })
          assert.deepStrictEqual([yield* second.attempts, yield* second.written], [2, 1])
          const third = yield* contender("not_verified", 2, unknown)
          const error = onlyFailure(
            yield* Effect.exit(DsqlTransaction.withRetry(third.body, { ...quick, verify: Effect.fail("no idea") }))
          )
          assert.strictEqual(error._tag, "DsqlCommitOutcomeUnknownError")
          assert.strictEqual(yield* third.attempts, 1)
        })
      )
    })

    describe("retryStatement", () => {
      it.effect("runs a statement again that lost, and not one of unknown outcome", () =>
        Effect.gen(function* () {
          yield* prepare
          const sql = yield* SqlClient.SqlClient
          const losing = (state: string, said: string) => {
            let runs = 0
            const statement = Effect.suspend(() =>
              ++runs < 3 ? Effect.asVoid(sql`SELECT lose(${state}, ${said})`) : Effect.void
            )
            return Effect.map(
              Effect.exit(DsqlTransaction.retryStatement(statement, quick)),
              (exit) => [exit, runs] as const
            )
          }
          const [won, runs] = yield* losing(...conflict)
          assert.deepStrictEqual([won, runs], [Exit.void, 3])
          const [unknown, once] = yield* losing("XX000", "server unavailable")
          assert.strictEqual(onlyFailure(unknown)._tag, "DsqlUnavailableError")
          assert.strictEqual(once, 1)
        })
      )

      it.effect("refuses to work inside of a transaction", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const error = onlyFailure(
            yield* Effect.exit(sql.withTransaction(DsqlTransaction.retryStatement(sql`SELECT 1`)))
          )
          assert(error._tag === "DsqlTransactionError")
          assert.strictEqual(error.reason, "InsideTransaction")
        })
      )
    })

    it.effect("schedule: for who retries on their own", () =>
      Effect.gen(function* () {
        yield* prepare
        const sql = yield* SqlClient.SqlClient
        const { attempts, body } = yield* contender("scheduled", 3)
        yield* sql.withTransaction(body).pipe(Effect.retry(DsqlTransaction.schedule(quick)))
        assert.strictEqual(yield* attempts, 3)
        const hopeless = yield* contender("scheduled_in_vain", 100)
        yield* Effect.flip(
          Effect.retry(sql.withTransaction(hopeless.body), DsqlTransaction.schedule({ ...quick, times: 2 }))
        )
        assert.strictEqual(yield* hopeless.attempts, 3)
      })
    )
  }
)
