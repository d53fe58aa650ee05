/** When transactions are tried again, given up and cut off, on the test clock. */
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  HashMap,
  Logger,
  Option,
  Random,
  Stream,
  TestClock
} from "effect"
import { type DsqlConfig, DsqlErrors, DsqlTransaction } from "effect-dsql"
import * as DsqlTesting from "effect-dsql/Testing"
import { freezable } from "./support/clock.js"
import { told } from "./support/transactions.js"

const { answer, conflict } = DsqlTesting

const withScript = <A, E>(
  effect: Effect.Effect<A, E, SqlClient.SqlClient | DsqlTesting.Script>,
  options: Partial<DsqlConfig.Options> = {}
) =>
  Effect.provide(
    effect,
    DsqlTesting.layerClient(
      [answer(/^SELECT 1/, [{ one: 1 }]), answer(/^SELECT forever/, Effect.never), answer(/^UPDATE/, { rowCount: 1 })],
      options
    )
  )

const sent = Effect.gen(function* () {
  const script = yield* DsqlTesting.Script
  return (yield* script.recorded).map(({ sql }) => sql)
})

/** Both ways into a transaction; what fails in the first is a `SqlError` around what fails in the other. */
const both = [
  [
    "sql.withTransaction",
    <A, E>(body: Effect.Effect<A, E>) =>
      Effect.flatMap(SqlClient.SqlClient, (sql) => DsqlErrors.refine(sql.withTransaction(body)))
  ],
  ["withRetry", <A, E>(body: Effect.Effect<A, E>) => DsqlTransaction.withRetry(body)]
] as const

/** The exit, and at which second it came. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.fork(
    Effect.zip(
      Effect.map(Effect.exit(effect), told),
      Effect.map(Clock.currentTimeMillis, (ms) => ms / 1000)
    )
  )

/** What an operator is warned of. */
const warnings: Array<unknown> = []
const logger = Logger.replace(
  Logger.defaultLogger,
  Logger.make(({ annotations, logLevel, message }) => {
    if (logLevel._tag === "Warning") warnings.push([message, HashMap.toEntries(annotations)])
  })
)

describe("attempts", () => {
  /** When the body ran, in milliseconds since the first time. */
  const starts = (options: DsqlTransaction.RetryOptions, config?: Partial<DsqlConfig.Options>) =>
    withScript(
      Effect.gen(function* () {
        const script = yield* DsqlTesting.Script
        yield* script.failNext("COMMIT", conflict(), { times: 1e5 })
        const times: Array<number> = []
        const body = Effect.map(Clock.currentTimeMillis, (now) => void times.push(now))
        const fiber = yield* timed(DsqlTransaction.withRetry(body, options))
        yield* TestClock.adjust("2 minutes")
        const [end] = yield* Fiber.join(fiber)
        assert.strictEqual(end, `fails with DsqlConflictError Data after ${times.length}`)
        return times.map((time) => time - times[0]!)
      }),
      config
    )

  it.effect("wait twice as long each time up to the cap, by chance up to all of it", () =>
    Effect.gen(function* () {
      const waits = yield* Effect.withRandom(starts({ times: 8 }), Random.fixed([0.5]))
      assert.deepStrictEqual(waits, [0, 2.5, 7.5, 17.5, 37.5, 77.5, 127.5, 177.5, 227.5])
      const longer = yield* Effect.withRandom(starts({ times: 4, base: 80, cap: 200 }), Random.fixed([0.5]))
      assert.deepStrictEqual(longer, [0, 40, 120, 220, 320])
    })
  )

  it.effect("are made until the deadline of a minute, and none begins after it", () =>
    Effect.gen(function* () {
      const times = yield* Effect.withRandom(starts({ base: "1 second", cap: "10 seconds" }), Random.fixed([0.5]))
      assert.deepStrictEqual(
        times,
        [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5, 22.5, 27.5, 32.5, 37.5, 42.5, 47.5, 52.5, 57.5].map((s) => s * 1000)
      )
    })
  )

  it.effect("are as many as the layer's options say, and as their own say before that", () =>
    Effect.gen(function* () {
      const config = { retry: { times: 2, base: "10 millis", cap: "20 millis" } } as const
      const fixed = (options: DsqlTransaction.RetryOptions) =>
        Effect.withRandom(starts(options, config), Random.fixed([0.5]))
      assert.deepStrictEqual(yield* fixed({}), [0, 5, 15])
      assert.deepStrictEqual(yield* fixed({ times: 0 }), [0])
      assert.deepStrictEqual(yield* fixed({ times: 3, base: "1 millis" }), [0, 0.5, 1.5, 3.5])
      const brief = yield* Effect.withRandom(starts({}, { retry: { deadline: "12 millis" } }), Random.fixed([0.5]))
      assert.deepStrictEqual(brief, [0, 2.5, 7.5])
    })
  )

  it.effect("of a single statement are as many, too", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const run = (options?: DsqlTransaction.StatementRetryOptions) =>
          Effect.gen(function* () {
            yield* script.failNext("statement", conflict(), { times: 5 })
            const fiber = yield* timed(DsqlTransaction.retryStatement(sql`UPDATE t`, options))
            yield* TestClock.adjust("1 minute")
            return (yield* Fiber.join(fiber))[0]
          })
        assert.strictEqual(yield* run(), "fails with DsqlConflictError Data after 2")
        assert.strictEqual(yield* run({ times: 2 }), "fails with DsqlConflictError Data after 3")
      }),
      { retry: { times: 1, base: "10 millis", cap: "20 millis" } }
    )
  )

  it.effect("under way at the deadline go on to their end, and are the last", () =>
    withScript(
      Effect.gen(function* () {
        const script = yield* DsqlTesting.Script
        const slow = Effect.as(Effect.sleep("2 minutes"), "done")
        const won = yield* timed(DsqlTransaction.withRetry(slow))
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* Fiber.join(won), ["gives done", 120])
        yield* script.failNext("COMMIT", conflict(), { times: 9 })
        const lost = yield* timed(DsqlTransaction.withRetry(slow))
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual(yield* Fiber.join(lost), ["fails with DsqlConflictError Data after 1", 240])
      })
    )
  )

  it.effect("end with an interruption, also in between", () =>
    withScript(
      Effect.gen(function* () {
        const script = yield* DsqlTesting.Script
        yield* script.failNext("COMMIT", conflict(), { times: 9 })
        const fiber = yield* Effect.fork(DsqlTransaction.withRetry(Effect.void))
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(told(yield* Fiber.interrupt(fiber)), "is interrupted")
        assert.deepStrictEqual((yield* sent).slice(0, 2), ["BEGIN", "COMMIT"])
      })
    )
  )

  const wrong = [
    ["deadline", { deadline: NaN }],
    ["deadline", { deadline: -1 }],
    ["times", { times: NaN }],
    ["times", { times: -1 }],
    ["base", { base: Infinity }],
    ["base", { base: "1 second" }],
    ["cap", { cap: 0 }],
    ["maxAge", { maxAge: "1 hour" }]
  ] as const
  it.effect.each(wrong)("are none where %s is wrong: %j", ([option, options]) =>
    withScript(
      Effect.gen(function* () {
        for (const run of [
          DsqlTransaction.withRetry(Effect.void, options),
          DsqlTransaction.retryStatement(Effect.void, options as DsqlTransaction.StatementRetryOptions)
        ]) {
          const error = yield* Effect.flip(run)
          assert(error._tag === "DsqlConfigError")
          assert.deepStrictEqual([error.reason, error.option], ["InvalidOption", option])
        }
        if (option !== "maxAge")
          assert.throws(() => DsqlTransaction.schedule(options as DsqlTransaction.RetryPolicy), `${option}: must`)
        assert.deepStrictEqual(yield* sent, [])
      })
    )
  )
})

describe("the schedule", () => {
  it.effect("is the same policy: waits, times, deadline, and what it is for", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const run = (options: DsqlTransaction.RetryPolicy, error: DsqlErrors.DsqlError) =>
          Effect.gen(function* () {
            yield* script.failNext("COMMIT", error, { times: 100 })
            const times: Array<number> = []
            const fiber = yield* Effect.map(Clock.currentTimeMillis, (now) => void times.push(now)).pipe(
              sql.withTransaction,
              Effect.retry(DsqlTransaction.schedule(options)),
              Effect.withRandom(Random.fixed([0.5])),
              timed
            )
            yield* TestClock.adjust("2 minutes")
            const [end] = yield* Fiber.join(fiber)
            return [end, ...times.map((time) => time - times[0]!)] as const
          })
        assert.deepStrictEqual(yield* run({ times: 3 }, conflict()), [
          "fails with SqlError(DsqlConflictError Data after 1)",
          0,
          2.5,
          7.5,
          17.5
        ])
        assert.deepStrictEqual(
          yield* run({ deadline: "1 second", base: "400 millis", cap: "400 millis" }, conflict()),
          ["fails with SqlError(DsqlConflictError Data after 1)", 0, 200, 400, 600, 800, 1000]
        )
      })
    )
  )

  it.effect("is not for what would fail again", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        for (const error of [DsqlTesting.rowLimitExceeded(), DsqlTesting.connectionLost()]) {
          yield* script.failNext("COMMIT", error)
          yield* Effect.flip(Effect.retry(sql.withTransaction(Effect.void), DsqlTransaction.schedule()))
        }
        assert.deepStrictEqual(yield* sent, ["BEGIN", "COMMIT", "BEGIN", "COMMIT"])
      })
    )
  )
})

describe("a transaction that grows too old", () => {
  const age = (seconds: string) => `fails with DsqlLimitError Age, ${seconds}`
  const given = ([end, at]: readonly [string, number]) => `${end}, ${at}`

  it.effect.each(both)("is interrupted and rolled back after 290 seconds (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const fiber = yield* timed(run(Effect.never))
        yield* TestClock.adjust("289 seconds")
        assert.deepStrictEqual(yield* sent, ["BEGIN"])
        yield* TestClock.adjust("1 second")
        assert.strictEqual(given(yield* Fiber.join(fiber)), age("290"))
        assert.deepStrictEqual(yield* sent, ["BEGIN", "ROLLBACK"])
      })
    )
  )

  it.effect.each(both)("or after what the layer says (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const fiber = yield* timed(run(Effect.never))
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(given(yield* Fiber.join(fiber)), age("20"))
      }),
      { retry: { maxAge: "20 seconds" } }
    )
  )

  it.effect("or after what it says itself, and is not run again", () =>
    withScript(
      Effect.gen(function* () {
        const fiber = yield* timed(DsqlTransaction.withRetry(Effect.never, { maxAge: "10 seconds" }))
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(given(yield* Fiber.join(fiber)), age("10"))
      }),
      { retry: { maxAge: "20 seconds" } }
    )
  )

  it.effect("and each at its own time, in whatever order they began", () =>
    withScript(
      Effect.gen(function* () {
        const begin = (maxAge: number) =>
          timed(DsqlTransaction.withRetry(Effect.never, { maxAge: Duration.seconds(maxAge) }))
        const first = yield* Effect.forEach([200, 30, 100], begin)
        yield* TestClock.adjust("20 seconds")
        const second = yield* Effect.forEach([5, 200], begin)
        const short = yield* timed(DsqlTransaction.withRetry(Effect.sleep("3 seconds"), { maxAge: "4 seconds" }))
        yield* TestClock.adjust("10 minutes")
        const ends = yield* Effect.forEach([...first, ...second], Fiber.join)
        assert.deepStrictEqual(
          ends.map(([end, second]) => [end, second]),
          [200, 30, 100, 25, 220].map((second) => ["fails with DsqlLimitError Age", second])
        )
        assert.deepStrictEqual(yield* Fiber.join(short), ["gives undefined", 23])
      })
    )
  )

  const waiting: ReadonlyArray<
    readonly [what: string, body: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>]
  > = [
    ["a statement", (sql) => sql`SELECT forever`],
    ["a stream", (sql) => Stream.runDrain(sql`SELECT forever`.stream)],
    [
      "its turn",
      (sql) => Effect.zipRight(Effect.fork(sql`SELECT forever`), Effect.zipRight(Effect.yieldNow(), sql`SELECT 1`))
    ]
  ]
  it.effect.each(waiting)("is ended while it waits for %s", ([, body]) =>
    Effect.forEach(both, ([, run]) =>
      withScript(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const fiber = yield* timed(run(body(sql)))
          yield* TestClock.adjust("290 seconds")
          // The forked statement is nobody's to interrupt, and holds the connection until that is cut off.
          yield* TestClock.adjust("10 seconds")
          const [end] = yield* Fiber.join(fiber)
          assert.strictEqual(end, "fails with DsqlLimitError Age")
          assert.notInclude(yield* sent, "COMMIT")
        })
      )
    )
  )

  it.effect.each(both)("gets no more statements where it cannot be interrupted, and is then cut off (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const seen: Array<string> = []
        const see = (statement: Effect.Effect<unknown, unknown>) =>
          Effect.map(Effect.exit(DsqlErrors.refine(statement)), (exit) => void seen.push(told(exit)))
        const late = yield* timed(
          Effect.uninterruptible(run(Effect.zipRight(Effect.sleep("295 seconds"), see(sql`SELECT 1`))))
        )
        yield* TestClock.adjust("295 seconds")
        assert.strictEqual(given(yield* Fiber.join(late)), age("295"))
        assert.deepStrictEqual(yield* sent, ["BEGIN", "ROLLBACK"])
        const hanging = yield* timed(Effect.uninterruptible(run(see(sql`SELECT forever`))))
        yield* TestClock.adjust("299 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(hanging)))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(given(yield* Fiber.join(hanging)), age("595"))
        assert.deepStrictEqual(seen, ["fails with DsqlLimitError Age", "fails with DsqlLimitError Age"])
        assert.deepStrictEqual((yield* sent).slice(2), ["BEGIN", "SELECT forever"])
      })
    )
  )

  it.effect.each(both)("in a process that was frozen is not committed, though no timer went off (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const clock = yield* freezable
        const sql = yield* SqlClient.SqlClient
        const thaws = Effect.zipRight(sql`UPDATE t`, clock.freeze("2 hours"))
        const exit = yield* clock.on(Effect.exit(run(thaws)))
        assert.strictEqual(told(exit), "fails with DsqlLimitError Age")
        const later = yield* clock.on(Effect.exit(run(Effect.zipRight(thaws, DsqlErrors.refine(sql`SELECT 1`)))))
        assert.strictEqual(told(later), "fails with DsqlLimitError Age")
        assert.deepStrictEqual(yield* sent, ["BEGIN", "UPDATE t", "ROLLBACK", "BEGIN", "UPDATE t", "ROLLBACK"])
      })
    )
  )

  it.effect("says at which age, and what to do", () =>
    withScript(
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(Effect.flip(DsqlTransaction.withRetry(Effect.never)))
        yield* TestClock.adjust("290 seconds")
        assert.match(
          (yield* Fiber.join(fiber)).message,
          /given up at the age of 4m 50s.*limit is 300s.*finish transactions within 300 seconds/
        )
      })
    )
  )
})

describe("a server that does not answer", () => {
  const silent: ReadonlyArray<readonly ["BEGIN" | "COMMIT" | "ROLLBACK", string]> = [
    ["BEGIN", "fails with DsqlConnectionError Closed"],
    ["COMMIT", "fails with DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed"],
    ["ROLLBACK", "fails with mine"]
  ]
  for (const [command, end] of silent) {
    it.effect.each(both)(`to ${command} is given up after 10 seconds (%s)`, ([, run]) =>
      withScript(
        Effect.gen(function* () {
          const script = yield* DsqlTesting.Script
          warnings.length = 0
          yield* script.delayNext(command, "1 hour", { times: 100 })
          const body = command === "ROLLBACK" ? Effect.fail("mine") : Effect.void
          // One attempt of withRetry is enough here.
          const fiber = yield* Effect.provide(timed(Effect.withClock(run(body), yield* Effect.clock)), logger)
          yield* TestClock.adjust("9 seconds")
          assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(yield* Fiber.join(fiber), [end, 10])
          assert.lengthOf(warnings, command === "ROLLBACK" ? 1 : 0)
        }),
        { retry: { times: 0 } }
      )
    )
  }

  it.effect.each(both)("to COMMIT is waited for even when interrupted (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        yield* script.delayNext("COMMIT", "5 seconds")
        const fiber = yield* Effect.fork(run(DsqlErrors.refine(sql`UPDATE t`)))
        yield* TestClock.adjust("1 second")
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust("3 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(interruption)))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(told(yield* Fiber.join(interruption)), "is interrupted")
        const last = (yield* script.recorded).at(-1)!
        assert.deepStrictEqual([last.sql, last.error], ["COMMIT", undefined])
      })
    )
  )

  it.effect.each(both)("to COMMIT holds an interruption up for 10 seconds, no longer (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const script = yield* DsqlTesting.Script
        yield* script.delayNext("COMMIT", "1 hour")
        const fiber = yield* Effect.fork(run(Effect.void))
        yield* TestClock.adjust("1 second")
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(told(yield* Fiber.join(interruption)), "is interrupted")
        assert.strictEqual((yield* script.recorded).at(-1)?.error?._tag, "DsqlConnectionError")
      })
    )
  )

  it.effect.each(both)("to the ROLLBACK of an interrupted body loses its connection, with a warning (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const started = yield* Deferred.make<void>()
        warnings.length = 0
        yield* script.delayNext("ROLLBACK", "1 hour")
        const body = Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
        const fiber = yield* Effect.fork(Effect.provide(run(body), logger))
        yield* Deferred.await(started)
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(told(yield* Fiber.join(interruption)), "is interrupted")
        const [[message, annotations] = []] = warnings as ReadonlyArray<[ReadonlyArray<string>, unknown]>
        assert.match(message?.[0] ?? "", /^ROLLBACK failed; closing the connection/)
        assert.deepStrictEqual(new Map(annotations as Iterable<[string, string]>).get("module"), "Transaction")
        assert.deepStrictEqual(yield* sql`SELECT 1`, [{ one: 1 }])
      })
    )
  )
})

describe("an interruption", () => {
  it.effect.each(both)("in a statement closes the connection, which warns of nothing (%s)", ([, run]) =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        warnings.length = 0
        const fiber = yield* Effect.fork(Effect.provide(run(sql`SELECT forever`), logger))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(told(yield* Fiber.interrupt(fiber)), "is interrupted")
        assert.deepStrictEqual(yield* sent, ["BEGIN", "SELECT forever"])
        assert.deepStrictEqual(warnings, [])
      })
    )
  )
})

describe("what a body forks", () => {
  it.effect.each(both)(
    "and does not wait for commits with it once it has begun, and is refused otherwise (%s)",
    ([, run]) =>
      withScript(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const script = yield* DsqlTesting.Script
          yield* script.delayNext("statement", "5 seconds")
          const outcome = (statement: Effect.Effect<unknown, unknown>) =>
            Effect.map(Effect.exit(DsqlErrors.refine(statement)), (exit) => told(Exit.asVoid(exit)))
          const fiber = yield* Effect.fork(
            run(
              Effect.gen(function* () {
                const begun = yield* Effect.fork(outcome(sql`UPDATE begun`))
                yield* Effect.sleep("1 second")
                return [begun, yield* Effect.fork(outcome(sql`UPDATE queued`))]
              })
            ).pipe(Effect.flatMap(Fiber.joinAll))
          )
          yield* TestClock.adjust("4 seconds")
          assert.deepStrictEqual(yield* sent, ["BEGIN", "UPDATE begun"])
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(Array.from(yield* Fiber.join(fiber)), [
            "gives undefined",
            "fails with DsqlTransactionError Finished"
          ])
          assert.deepStrictEqual(yield* sent, ["BEGIN", "UPDATE begun", "COMMIT"])
          // Who has joined them is not in the transaction.
          assert.deepStrictEqual(yield* sql`SELECT 1`, [{ one: 1 }])
        })
      )
  )
})
