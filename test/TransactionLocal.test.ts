/** Transactions that lose to others for real, at COMMIT and over the schema, and the whole of their exits. */
import { Model, SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, LogLevel, Schema } from "effect"
import { type DsqlConfig, DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { conflict, unavailable } from "effect-dsql/Testing"
import type pg from "pg"
import { conflictingCluster } from "./support/conflicting.js"
import { withInstruments } from "./support/instruments.js"
import { quick, told } from "./support/transactions.js"
import { type Ending, persistent, type Way, ways, type Work } from "./support/ways.js"

/** A client, another one of the same cluster, and the row that both are after. */
interface Stage {
  readonly sql: SqlClient.SqlClient
  readonly rival: SqlClient.SqlClient
  readonly id: number
}

const clientWith = (options: Partial<DsqlConfig.Options> = {}) =>
  Effect.map(Layer.build(Layer.fresh(DsqlLocal.layerClient(options))), (context) =>
    Context.get(context, SqlClient.SqlClient)
  )

let stages = 0

const stageFor = (options: Partial<DsqlConfig.Options> = {}) =>
  Effect.gen(function* () {
    const sql = yield* clientWith(options)
    const rival = yield* clientWith({ pool: { max: 2 } })
    const id = ++stages
    yield* rival`CREATE TABLE IF NOT EXISTS contested (id int PRIMARY KEY, n int NOT NULL)`
    yield* rival`CREATE TABLE IF NOT EXISTS beside (id int PRIMARY KEY)`
    yield* rival`INSERT INTO contested VALUES (${id}, 0)`
    return { sql, rival, id }
  })

/** Reads the row and writes it back, one more. One row is updated, whoever else has written meanwhile. */
const increment = ({ id, sql }: Stage) =>
  Effect.gen(function* () {
    const [row] = yield* sql<{ n: number }>`SELECT n FROM contested WHERE id = ${id}`
    const { rowCount } = (yield* sql`UPDATE contested SET n = ${row!.n + 1} WHERE id = ${id}`.raw) as pg.QueryResult
    if (rowCount !== 1) yield* Effect.fail(`${rowCount} rows updated`)
  })

const counted = ({ id, rival }: Stage) =>
  Effect.map(rival<{ n: number }>`SELECT n FROM contested WHERE id = ${id}`, ([row]) => row!.n)

const rivalAdds = ({ id, rival }: Stage) => rival`UPDATE contested SET n = n + ${100} WHERE id = ${id}`

const rivalChangesSchema = ({ rival }: Stage) => rival.unsafe(`CREATE TABLE unrelated_${++stages} (id int PRIMARY KEY)`)

interface Point extends Ending {
  readonly body: (stage: Stage) => Work
  /** What happens to the first run of the body; later ones are left alone. */
  readonly strike: (stage: Stage) => Work
  /** What the row says when the body was committed, and when not. */
  readonly counts: readonly [committed: number, not: number]
}

const lostData = "fails with SqlError(DsqlConflictError Data after 1)"
const lostSchema = "fails with SqlError(DsqlConflictError Schema after 1)"

const points: Readonly<Record<string, Point>> = {
  "nobody else writes": { body: increment, strike: () => Effect.void, ends: "gives done", counts: [1, 0] },
  "another commits the same row": {
    body: increment,
    strike: rivalAdds,
    ends: lostData,
    retried: true,
    counts: [101, 100]
  },
  "another commits the same row before it is written": {
    body: (stage) => Effect.zipRight(stage.sql`SELECT n FROM contested WHERE id = ${stage.id}`, Effect.void),
    strike: (stage) => Effect.zipRight(rivalAdds(stage), increment(stage)),
    ends: lostData,
    retried: true,
    counts: [100, 100]
  },
  "another removes the row": {
    body: ({ id, sql }) => sql`UPDATE contested SET n = n + 1 WHERE id = ${id}`,
    strike: ({ id, rival }) =>
      Effect.zipRight(rival`DELETE FROM contested WHERE id = ${id}`, rival`INSERT INTO contested VALUES (${id}, 1000)`),
    ends: lostData,
    retried: true,
    counts: [1001, 1000]
  },
  "another inserts the same key": {
    body: ({ id, sql }) => sql`INSERT INTO contested VALUES (${-id}, 1) ON CONFLICT (id) DO UPDATE SET n = 2`,
    strike: ({ id, rival }) => rival`INSERT INTO contested VALUES (${-id}, 3)`,
    ends: lostData,
    retried: true,
    counts: [0, 0]
  },
  "another writes the row that it has locked": {
    body: ({ id, sql }) =>
      Effect.zipRight(
        sql`SELECT n FROM contested WHERE id = ${id} FOR UPDATE`,
        sql`INSERT INTO beside VALUES (${id}) ON CONFLICT DO NOTHING`
      ),
    strike: rivalAdds,
    ends: lostData,
    retried: true,
    counts: [100, 100]
  },
  "another writes a row that it has only read": {
    body: ({ id, sql }) => sql`SELECT n FROM contested WHERE id = ${id}`,
    strike: rivalAdds,
    ends: "gives done",
    counts: [100, 100]
  },
  "another changes the schema before a statement": {
    body: increment,
    strike: (stage) => Effect.zipRight(rivalChangesSchema(stage), stage.sql`SELECT ${1}::int`),
    ends: lostSchema,
    retried: true,
    counts: [1, 0]
  },
  "another changes the schema before COMMIT": {
    body: increment,
    strike: rivalChangesSchema,
    ends: lostSchema,
    retried: true,
    counts: [1, 0]
  },
  "another grants something": {
    body: increment,
    strike: ({ rival }) =>
      rival`CREATE ROLE ${rival(`reader_${++stages}`)} WITH LOGIN`.pipe(
        Effect.zipRight(rival`GRANT SELECT ON contested TO ${rival(`reader_${stages}`)}`)
      ),
    ends: lostSchema,
    retried: true,
    counts: [1, 0]
  },
  "a statement fails over the schema and the body passes over it": {
    body: increment,
    strike: (stage) => Effect.zipRight(rivalChangesSchema(stage), Effect.ignore(stage.sql`SELECT ${1}::int`)),
    ends: "fails with SqlError(DsqlTransactionError Aborted because of DsqlConflictError Schema after 1)",
    retried: true,
    counts: [1, 0]
  },
  "a nested call succeeds and another commits its row": {
    body: (stage) => stage.sql.withTransaction(increment(stage)),
    strike: rivalAdds,
    ends: lostData,
    retried: true,
    counts: [101, 100]
  },
  "a nested call fails, is caught, and another commits its row": {
    body: increment,
    strike: (stage) => Effect.zipRight(rivalAdds(stage), Effect.ignore(stage.sql.withTransaction(Effect.fail("mine")))),
    ends: "fails with SqlError(DsqlTransactionError NestedFailure)",
    counts: [101, 100]
  },
  "the body fails after another has committed its row": {
    body: increment,
    strike: (stage) => Effect.zipRight(rivalAdds(stage), Effect.fail("mine")),
    ends: "fails with mine",
    counts: [101, 100]
  },
  "the body dies after another has committed its row": {
    body: increment,
    strike: (stage) => Effect.zipRight(rivalAdds(stage), Effect.die("mine")),
    ends: "dies with mine",
    counts: [101, 100]
  },
  "the body interrupts itself after another has committed its row": {
    body: increment,
    strike: (stage) => Effect.zipRight(rivalAdds(stage), Effect.interrupt),
    ends: "is interrupted",
    counts: [101, 100]
  }
}

const play = (stage: Stage, { body, strike }: Pick<Point, "body" | "strike">, { run }: Way, strikes = 1) =>
  Effect.gen(function* () {
    let runs = 0
    const struck = Effect.suspend(() =>
      Effect.zipRight(body(stage), runs++ < strikes ? strike(stage) : Effect.void).pipe(Effect.as("done"))
    )
    const exit = yield* Effect.exit(run(stage.sql, struck)).pipe(Effect.provideService(SqlClient.SqlClient, stage.sql))
    return { end: told(exit), runs }
  })

/** A cluster, and at the end of each test the one connection of the client as good as at its beginning. */
layer(conflictingCluster(), { excludeTestServices: true, timeout: "60 seconds" })("when", (it) => {
  const onlyConnection = { pool: { max: 1 } } as const
  for (const [title, point] of Object.entries(points)) {
    it.scoped.each(Object.entries(ways))(`${title}, %s`, ([, way]) =>
      Effect.gen(function* () {
        const stage = yield* stageFor({ ...onlyConnection, ...way.options })
        const backend = stage.sql`SELECT pg_backend_pid() AS pid`
        const before = yield* backend
        const played = yield* play(stage, point, way)
        assert.deepStrictEqual(played, { end: way.ends(point), runs: way.attempts(point) })
        const [committed, not] = point.counts
        assert.strictEqual(yield* counted(stage), played.end === "gives done" ? committed : not)
        assert.deepStrictEqual(yield* backend, before)
      })
    )
  }

  for (const [title, strike, end] of [
    ["another always commits the same row", rivalAdds, "DsqlConflictError Data after 3"],
    ["another always changes the schema", rivalChangesSchema, "DsqlConflictError Schema after 3"]
  ] as const) {
    it.scoped.each(Object.entries(persistent))(`${title}, %s gives up after so many times`, ([, [way, wrap]]) =>
      Effect.gen(function* () {
        const stage = yield* stageFor({ ...onlyConnection, ...way.options })
        const played = yield* play(stage, { body: increment, strike }, way, Infinity)
        assert.deepStrictEqual(played, { end: wrap(end), runs: 3 })
        assert.strictEqual((yield* counted(stage)) % 100, 0)
      })
    )
  }

  it.scoped("another always commits the same row, withRetry gives up at its deadline", () =>
    Effect.gen(function* () {
      const stage = yield* stageFor(onlyConnection)
      const way: Way = {
        ...ways["withRetry"]!,
        run: (_, body) => DsqlTransaction.withRetry(body, { ...quick, deadline: "500 millis" })
      }
      const { end, runs } = yield* play(stage, { body: increment, strike: rivalAdds }, way, Infinity)
      assert.strictEqual(end, `fails with DsqlConflictError Data after ${runs}`)
      assert.isAbove(runs, 1)
      assert.strictEqual(yield* counted(stage), 100 * runs)
    })
  )
})

layer(conflictingCluster(), { excludeTestServices: true, timeout: "60 seconds" })("faults of the cluster", (it) => {
  const refused: Readonly<
    Record<string, Ending & { readonly arm: (local: DsqlLocal["Type"]) => Effect.Effect<void> }>
  > = {
    "BEGIN is refused": {
      arm: ({ failNext }) => failNext("BEGIN", unavailable()),
      ends: "fails with SqlError(DsqlUnavailableError)",
      retried: true
    },
    "COMMIT is refused": {
      arm: ({ failNext }) => failNext("COMMIT", conflict()),
      ends: lostData,
      retried: true
    },
    "COMMIT meets a passing condition": {
      arm: ({ failNext }) => failNext("COMMIT", unavailable()),
      ends: "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlUnavailableError)"
    },
    "COMMIT is lost before it is done": {
      arm: ({ dropAtCommit }) => dropAtCommit("before"),
      ends: "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed)"
    }
  }
  for (const [title, point] of Object.entries(refused)) {
    it.scoped.each(Object.entries(ways))(`${title}, %s`, ([, way]) =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        const stage = yield* stageFor({ pool: { max: 1 }, ...way.options })
        yield* point.arm(local)
        const { end } = yield* play(stage, { body: increment, strike: () => Effect.void }, way)
        assert.strictEqual(end, way.ends(point))
        assert.deepStrictEqual(yield* local.pendingFaults, [])
        assert.strictEqual(yield* counted(stage), end === "gives done" ? 1 : 0)
        // The pool has not lost the place of its connection.
        yield* stage.sql`SELECT 1`
      })
    )
  }

  it.scoped.each(Object.entries(ways))("ROLLBACK is refused, and the first error stays: %s", ([, way]) =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const stage = yield* stageFor({ pool: { max: 1 }, ...way.options })
      yield* local.failNext("ROLLBACK", unavailable())
      const played = yield* play(stage, { body: increment, strike: () => Effect.fail("mine") }, way).pipe(
        Logger.withMinimumLogLevel(LogLevel.None)
      )
      assert.deepStrictEqual(played, { end: "fails with mine", runs: 1 })
      assert.strictEqual(yield* counted(stage), 0)
      yield* stage.sql`SELECT 1`
    })
  )

  it.scoped.each(Object.entries(ways))("an interruption waits for a COMMIT that is slow, which holds: %s", ([, way]) =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const stage = yield* stageFor({ pool: { max: 1 }, ...way.options })
      yield* local.delayNext("COMMIT", "1 hour")
      const fiber = yield* Effect.fork(
        Effect.provideService(way.run(stage.sql, increment(stage)), SqlClient.SqlClient, stage.sql)
      )
      while ((yield* local.pendingFaults).length > 0) yield* Effect.yieldNow()
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      assert.isNull(interruption.unsafePoll())
      yield* local.sessionClock.advance("1 hour")
      assert.strictEqual(told(yield* Fiber.join(interruption)), "is interrupted")
      assert.strictEqual(yield* counted(stage), 1)
    })
  )
})

layer(conflictingCluster(), { excludeTestServices: true, timeout: "60 seconds" })("a transaction", (it) => {
  it.scoped.each(Object.entries(ways))("that is interrupted in its body leaves nothing to lose to: %s", ([, way]) =>
    Effect.gen(function* () {
      const stage = yield* stageFor({ pool: { max: 1 }, ...way.options })
      const written = yield* Deferred.make<void>()
      const body = increment(stage).pipe(
        Effect.zipRight(Deferred.succeed(written, undefined)),
        Effect.zipRight(Effect.never)
      )
      const fiber = yield* Effect.fork(Effect.provideService(way.run(stage.sql, body), SqlClient.SqlClient, stage.sql))
      yield* Deferred.await(written)
      const loser = yield* Effect.fork(
        stage.rival.withTransaction(Effect.zipRight(increment({ ...stage, sql: stage.rival }), Fiber.interrupt(fiber)))
      )
      assert.strictEqual(told(yield* Effect.flatten(Fiber.join(loser)).pipe(Effect.exit)), "is interrupted")
      assert.strictEqual(yield* counted(stage), 1)
    })
  )

  it.scoped("that only reads loses to no writer, but once to a change of the schema", () =>
    Effect.gen(function* () {
      const stage = yield* stageFor({ pool: { max: 1 } })
      const { id, sql } = stage
      const read = Effect.map(sql<{ n: number }>`SELECT n FROM contested WHERE id = ${id}`, ([row]) => row!.n)
      const twice = (between: Work) => Effect.zip(read, Effect.zipRight(between, read))
      const report = (between: Work, times: number) =>
        Effect.provideService(
          Effect.exit(DsqlTransaction.withRetry(twice(between), { ...quick, readOnly: true, times })),
          SqlClient.SqlClient,
          sql
        )
      assert.strictEqual(told(yield* report(rivalAdds(stage), 0)), "gives 0,0")
      assert.strictEqual(
        told(yield* report(rivalChangesSchema(stage), 0)),
        "fails with DsqlConflictError Schema after 1"
      )
      let runs = 0
      const once = Effect.suspend((): Work => (runs++ === 0 ? rivalChangesSchema(stage) : Effect.void))
      assert.strictEqual(told(yield* report(once, 1)), "gives 100,100")
      assert.strictEqual(runs, 2)
    })
  )

  it.scoped("inside of withRetry, by code that knows of @effect/sql alone, runs again as a part of the whole", () =>
    Effect.gen(function* () {
      class Contested extends Model.Class<Contested>("Contested")({ id: Schema.Int, n: Schema.Int }) {}
      /** Not a word of ours. */
      const add = (id: number) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const rows = yield* Model.makeRepository(Contested, {
            tableName: "contested",
            idColumn: "id",
            spanPrefix: "C"
          })
          return yield* sql.withTransaction(
            Effect.gen(function* () {
              const found = yield* rows.findById(id)
              return yield* rows.update({ ...(yield* found), n: (yield* found).n + 1 })
            })
          )
        })
      for (const unsafeRetryTransactions of [false, true]) {
        const stage = yield* stageFor({ unsafeRetryTransactions, retry: quick })
        let runs = 0
        // Around the other's transaction, or in the layer's options alone.
        const added = add(stage.id).pipe(
          Effect.tap(() => (runs++ === 0 ? rivalAdds(stage) : Effect.void)),
          unsafeRetryTransactions ? stage.sql.withTransaction : DsqlTransaction.withRetry(quick),
          Effect.provideService(SqlClient.SqlClient, stage.sql)
        )
        assert.deepStrictEqual(yield* added, { id: stage.id, n: 101 } as Contested)
        assert.strictEqual(runs, 2)
        assert.strictEqual(yield* counted(stage), 101)
      }
    })
  )
})

layer(conflictingCluster(withInstruments), { excludeTestServices: true, timeout: "60 seconds" })(
  "a statement by itself",
  (it) => {
    /** Sees what was there when it began. */
    const slowly = ({ id, sql }: Stage) => sql`
    UPDATE contested SET n = n + 1 WHERE id = (SELECT ${id}::int FROM pg_sleep(0.5)) /* slowly */`

    const running = (sql: SqlClient.SqlClient) =>
      Effect.repeat(
        sql<{ n: number }>`
        SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE query LIKE '%/* slowly */%' AND state = 'active' AND pid <> pg_backend_pid()`,
        { until: ([row]) => row!.n === 1 }
      )

    it.scoped("conflicts at once, and runs again with retryStatement", () =>
      Effect.gen(function* () {
        const stage = yield* stageFor()
        const struck = (statement: Effect.Effect<unknown, unknown>) =>
          Effect.gen(function* () {
            const fiber = yield* Effect.fork(Effect.exit(statement))
            yield* running(stage.rival)
            yield* rivalAdds(stage)
            return told(yield* Fiber.join(fiber))
          })
        assert.strictEqual(
          yield* struck(Effect.asVoid(DsqlErrors.refine(slowly(stage)))),
          "fails with DsqlConflictError Data after 1"
        )
        assert.strictEqual(yield* counted(stage), 100)
        const retried = DsqlTransaction.retryStatement(slowly(stage), quick).pipe(
          Effect.asVoid,
          Effect.provideService(SqlClient.SqlClient, stage.sql)
        )
        assert.strictEqual(yield* struck(retried), "gives undefined")
        assert.strictEqual(yield* counted(stage), 201)
      })
    )
  }
)
