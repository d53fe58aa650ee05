/** Every point at which a transaction can fail, on the scripted client and on real connections, and the whole of its exit. */
import { SqlClient } from "@effect/sql"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel } from "effect"
import { DsqlAuth, DsqlClient, DsqlConfig, DsqlConnection, DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { withInstruments } from "./support/instruments.js"
import { makeProxy } from "./support/proxy.js"
import { type Refusals, serviceSaying } from "./support/service.js"
import { until } from "./support/sockets.js"
import { conflict, lose, prepare, quick, schemaConflict, told, unavailable, writtenAs } from "./support/transactions.js"
import { type Ending, persistent, type Way, ways, type Work } from "./support/ways.js"

/** A client, and what can be made to happen to its transactions. */
interface Stage {
  readonly sql: SqlClient.SqlClient
  readonly write: Work
  /** What the next BEGIN, COMMIT or ROLLBACK, sent by whoever runs this, ends in. */
  readonly loseNext: (command: "BEGIN" | "COMMIT" | "ROLLBACK") => Work
  readonly refuseCommit: (refusal: readonly [string, string]) => Work
  /** The connection breaks, and the client learns of it. */
  readonly loseConnection: Work
  /** A statement that fails. */
  readonly fail: (refusal: readonly [string, string]) => Work
  readonly loseStatement: Work
  /** How many rows were committed, and whether the client still works. */
  readonly committed: Effect.Effect<number, unknown>
}

interface Point extends Ending {
  readonly before?: (stage: Stage) => Work
  /** What happens to the first run of the body, behind its INSERT; later runs are left alone. */
  readonly strike?: (stage: Stage) => Work
  /** What the scripted client sends for one attempt, but for statements. */
  readonly sends: string
}

const mine = Effect.fail("mine")
const unsendable = { toPostgres: () => JSON.stringify(1n) } as unknown as string

const points: Readonly<Record<string, Point>> = {
  "nothing fails": { ends: "gives done", sends: "BEGIN COMMIT" },
  "BEGIN is lost": {
    before: ({ loseNext }) => loseNext("BEGIN"),
    ends: "fails with SqlError(DsqlConnectionError Closed)",
    retried: true,
    sends: "BEGIN"
  },
  "a statement conflicts over the schema": {
    strike: ({ fail }) => fail(schemaConflict),
    ends: "fails with SqlError(DsqlConflictError Schema after 1)",
    retried: true,
    sends: "BEGIN ROLLBACK"
  },
  "a statement conflicts and the body passes over it": {
    strike: ({ fail }) => Effect.ignore(fail(conflict)),
    ends: "fails with SqlError(DsqlTransactionError Aborted because of DsqlConflictError Data after 1)",
    retried: true,
    sends: "BEGIN COMMIT"
  },
  "a statement conflicts and the body makes something else of it": {
    strike: ({ fail }) => Effect.mapError(fail(conflict), () => "mine"),
    ends: "fails with mine",
    retried: true,
    sends: "BEGIN ROLLBACK"
  },
  "a statement meets a passing condition": {
    strike: ({ fail }) => fail(unavailable),
    ends: "fails with SqlError(DsqlUnavailableError)",
    retried: true,
    sends: "BEGIN ROLLBACK"
  },
  "a statement is refused": {
    strike: ({ fail }) => fail(["22012", "division by zero"]),
    ends: "fails with SqlError(DsqlQueryError 22012)",
    sends: "BEGIN ROLLBACK"
  },
  "a value cannot be sent, a statement conflicts, and the body makes something else of both": {
    strike: ({ fail, sql }) =>
      sql`SELECT ${unsendable}`.pipe(Effect.ignore, Effect.zipRight(Effect.mapError(fail(conflict), () => "mine"))),
    ends: "fails with mine",
    retried: true,
    sends: "BEGIN ROLLBACK"
  },
  "a value cannot be sent and the body passes over it": {
    strike: ({ sql }) => Effect.ignore(sql`SELECT ${unsendable}`),
    ends: "gives done",
    sends: "BEGIN COMMIT"
  },
  "a statement is refused and the body passes over it": {
    strike: ({ fail }) => Effect.ignore(fail(["22012", "division by zero"])),
    ends: "fails with SqlError(DsqlTransactionError Aborted because of DsqlQueryError 22012)",
    sends: "BEGIN COMMIT"
  },
  "the connection breaks under a statement": {
    strike: ({ loseStatement }) => loseStatement,
    ends: "fails with SqlError(DsqlConnectionError Closed)",
    retried: true,
    sends: "BEGIN"
  },
  "the connection breaks before COMMIT is sent": {
    strike: ({ loseConnection }) => loseConnection,
    ends: "fails with SqlError(DsqlConnectionError Closed)",
    retried: true,
    sends: "BEGIN"
  },
  "COMMIT conflicts": {
    strike: ({ refuseCommit }) => refuseCommit(conflict),
    ends: "fails with SqlError(DsqlConflictError Data after 1)",
    retried: true,
    sends: "BEGIN COMMIT"
  },
  "COMMIT conflicts over the schema": {
    strike: ({ refuseCommit }) => refuseCommit(schemaConflict),
    ends: "fails with SqlError(DsqlConflictError Schema after 1)",
    retried: true,
    sends: "BEGIN COMMIT"
  },
  "COMMIT is refused": {
    strike: ({ refuseCommit }) => refuseCommit(["54000", "transaction size limit 10mb exceeded"]),
    ends: "fails with SqlError(DsqlLimitError Size)",
    sends: "BEGIN COMMIT"
  },
  "COMMIT meets a passing condition": {
    strike: ({ refuseCommit }) => refuseCommit(unavailable),
    ends: "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlUnavailableError)",
    sends: "BEGIN COMMIT"
  },
  "COMMIT is lost": {
    strike: ({ loseNext }) => loseNext("COMMIT"),
    ends: "fails with SqlError(DsqlCommitOutcomeUnknownError because of DsqlConnectionError Closed)",
    sends: "BEGIN COMMIT"
  },
  "the body fails": { strike: () => mine, ends: "fails with mine", sends: "BEGIN ROLLBACK" },
  "the body fails and ROLLBACK is lost": {
    strike: ({ loseNext }) => Effect.zipRight(loseNext("ROLLBACK"), mine),
    ends: "fails with mine",
    sends: "BEGIN ROLLBACK"
  },
  "the body dies": { strike: () => Effect.die("mine"), ends: "dies with mine", sends: "BEGIN ROLLBACK" },
  "the body dies and ROLLBACK is lost": {
    strike: ({ loseNext }) => Effect.zipRight(loseNext("ROLLBACK"), Effect.die("mine")),
    ends: "dies with mine",
    sends: "BEGIN ROLLBACK"
  },
  "the body interrupts itself": {
    strike: () => Effect.interrupt,
    ends: "is interrupted",
    sends: "BEGIN ROLLBACK"
  },
  "a nested call succeeds": {
    strike: ({ sql, write }) => sql.withTransaction(write),
    ends: "gives done",
    sends: "BEGIN COMMIT"
  },
  "a nested call fails": {
    strike: ({ sql }) => sql.withTransaction(mine),
    ends: "fails with mine",
    sends: "BEGIN ROLLBACK"
  },
  "a nested call fails and the body passes over it": {
    strike: ({ sql }) => Effect.ignore(sql.withTransaction(mine)),
    ends: "fails with SqlError(DsqlTransactionError NestedFailure)",
    sends: "BEGIN ROLLBACK"
  },
  "a nested call dies and the body passes over it": {
    strike: ({ sql }) => Effect.exit(sql.withTransaction(Effect.die("mine"))),
    ends: "fails with SqlError(DsqlTransactionError NestedFailure)",
    sends: "BEGIN ROLLBACK"
  },
  "a nested call conflicts and the body passes over it": {
    strike: ({ fail, sql }) => Effect.ignore(sql.withTransaction(fail(conflict))),
    ends: "fails with SqlError(DsqlTransactionError NestedFailure because of DsqlConflictError Data after 1)",
    retried: true,
    sends: "BEGIN ROLLBACK"
  }
}

/** How it ends, how often the body has run, and how often an operator was warned. */
const play = (stage: Stage, { before, strike = () => Effect.void }: Point, { run }: Way, strikes = 1) =>
  Effect.gen(function* () {
    let runs = 0
    let warnings = 0
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ logLevel }) => void (warnings += logLevel === LogLevel.Debug ? 0 : 1))
    )
    const body = Effect.suspend(() =>
      Effect.zipRight(stage.write, runs++ < strikes ? strike(stage) : Effect.void).pipe(Effect.as("done"))
    )
    yield* before?.(stage) ?? Effect.void
    const exit = yield* Effect.provide(Effect.exit(run(stage.sql, body)), logger)
    return { end: told(exit), runs, warnings }
  })

const expected = (title: string, point: Point, way: Way) => ({
  end: way.ends(point),
  // A transaction that does not begin has no body.
  runs: way.attempts(point) - (title === "BEGIN is lost" ? 1 : 0),
  warnings: title.endsWith("ROLLBACK is lost") ? 1 : 0
})

/** What goes on failing, and what is told of it in the end. */
const hopeless: Readonly<Record<string, readonly [strike: (stage: Stage) => Work, end: string]>> = {
  "a statement that conflicts": [({ fail }) => fail(schemaConflict), "DsqlConflictError Schema after 3"],
  "a COMMIT that conflicts": [({ refuseCommit }) => refuseCommit(conflict), "DsqlConflictError Data after 3"],
  "a passing condition that does not pass": [({ fail }) => fail(unavailable), "DsqlUnavailableError"],
  "a connection that breaks": [({ loseStatement }) => loseStatement, "DsqlConnectionError Closed"]
}

// ------------------------------------------------------------------------------------------ the scripted client

const scripted: Effect.Effect<Stage, never, SqlClient.SqlClient | DsqlTesting.Script> = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const script = yield* DsqlTesting.Script
  const refusal = ([sqlState, message]: readonly [string, string]) => DsqlTesting.serverError({ sqlState, message })
  return {
    sql,
    write: sql`INSERT INTO written VALUES ('scripted')`,
    loseNext: (command) => script.failNext(command, DsqlTesting.connectionLost()),
    refuseCommit: (error) => script.failNext("COMMIT", refusal(error)),
    loseConnection: script.dropAtCommit("before"),
    fail: (error) => Effect.zipRight(script.failNext("statement", refusal(error)), sql`SELECT lose()`),
    loseStatement: Effect.zipRight(script.failNext("statement", DsqlTesting.connectionLost()), sql`SELECT lose()`),
    committed: Effect.map(script.recorded, (recorded) => {
      const committed = recorded.filter(({ error, sql }) => sql === "COMMIT" && error === undefined)
      return recorded.filter(
        ({ sql, transaction }) =>
          sql.startsWith("INSERT") && committed.some((commit) => commit.transaction === transaction)
      ).length
    })
  }
})

describe("on the scripted client, when", () => {
  for (const [title, point] of Object.entries(points)) {
    it.live.each(Object.entries(ways))(`${title}, %s`, ([, way]) =>
      Effect.gen(function* () {
        const script = yield* DsqlTesting.Script
        const stage = yield* scripted
        assert.deepStrictEqual(yield* play(stage, point, way), expected(title, point, way))
        const transactions = (yield* script.recorded).filter(({ sql }) => !/^(?:INSERT|SELECT)/.test(sql))
        const sent = transactions.map(({ sql }) => sql).join(" ")
        assert.strictEqual(sent, way.attempts(point) === 2 ? `${point.sends} BEGIN COMMIT` : point.sends)
      }).pipe(Effect.provide(DsqlTesting.layerClient([DsqlTesting.answer(/^INSERT/, [])], way.options)))
    )
  }

  for (const [title, [strike, end]] of Object.entries(hopeless)) {
    it.live.each(Object.entries(persistent))(`${title} exhausts %s`, ([, [way, wrap]]) =>
      Effect.gen(function* () {
        const stage = yield* scripted
        const played = yield* play(stage, { strike, ends: "", sends: "" }, way, Infinity)
        assert.deepStrictEqual(played, { end: wrap(end), runs: 3, warnings: 0 })
      }).pipe(Effect.provide(DsqlTesting.layerClient([DsqlTesting.answer(/^INSERT/, [])], way.options)))
    )
  }
})

// ---------------------------------------------------------------------------------------------- real connections

/** A client with one connection, and the connections that it has had. */
const clientOf = (options: DsqlConfig.Options) => {
  const lent: Array<DsqlConnection.Connection> = []
  const connections = Layer.effect(
    DsqlConnection.DsqlConnection,
    Effect.map(DsqlConnection.DsqlConnection, ({ request, reserve, use }) => ({
      request,
      reserve,
      use: (f, by) =>
        use((connection) => {
          lent.push(connection)
          return f(connection)
        }, by)
    }))
  ).pipe(Layer.provide(DsqlConnection.layer))
  const client = DsqlClient.layer.pipe(
    Layer.provide(connections),
    Layer.provide(DsqlAuth.layerToken),
    Layer.provideMerge(DsqlConfig.layer({ pool: { max: 1 }, ...options }))
  )
  return { client, isOpen: () => lent.at(-1)?.isOpen() }
}

/** Through a proxy that has the network fail. */
const real = (name: string, options: Partial<DsqlConfig.Options> = {}) =>
  Effect.gen(function* () {
    const proxy = yield* makeProxy()
    const { client, isOpen } = clientOf({ ...proxy.options, ...options })
    const context = yield* Layer.build(Layer.provide(client, proxy.credentials))
    const { sql } = yield* Effect.map(SqlClient.SqlClient, (sql) => ({ sql })).pipe(Effect.provide(context))
    yield* Effect.provide(Effect.zipRight(prepare, sql`CREATE SEQUENCE ${sql(name)}`), DsqlLocal.layerClient())
    const counted = (refusal: readonly [string, string]) =>
      sql`INSERT INTO committing VALUES (${name}, 1000, ${refusal[0]}, ${refusal[1]})`
    const stage: Stage = {
      sql,
      write: sql`INSERT INTO written VALUES (${name})`,
      loseNext: () => proxy.cutOnNextWord,
      refuseCommit: counted,
      loseConnection: Effect.zipRight(
        proxy.cut,
        until(() => isOpen() === false)
      ),
      fail: (refusal) => lose(sql, refusal),
      loseStatement: Effect.zipRight(proxy.cutOnNextWord, sql`SELECT 1`),
      committed: Effect.provide(writtenAs(name), context)
    }
    return { stage, context }
  })

describe("on a server that refuses", () => {
  const serving = (refusals: Refusals) =>
    Effect.gen(function* () {
      const { client, isOpen } = clientOf(yield* serviceSaying(refusals))
      const credentials = DsqlTesting.layerCredentials()
      const context = yield* Layer.build(Layer.provide(client, credentials))
      return { sql: Context.get(context, SqlClient.SqlClient), isOpen }
    })
  const both = [
    ["sql.withTransaction", (sql: SqlClient.SqlClient, body: Work) => DsqlErrors.refine(sql.withTransaction(body))],
    [
      "withRetry",
      (sql: SqlClient.SqlClient, body: Work) =>
        Effect.provideService(DsqlTransaction.withRetry(body, { ...quick, times: 2 }), SqlClient.SqlClient, sql)
    ]
  ] as const

  it.scopedLive.each(both)("BEGIN, its error is raised and its connection kept (%s)", ([, run]) =>
    Effect.gen(function* () {
      const { isOpen, sql } = yield* serving({ BEGIN: { C: "54000", M: "more than enough transactions" } })
      assert.strictEqual(told(yield* Effect.exit(run(sql, Effect.die("it ran")))), "fails with DsqlLimitError Other")
      assert.isTrue(isOpen())
      yield* sql`SELECT 1`
    })
  )

  it.scopedLive.each(both)("ROLLBACK, its connection is closed and the first error stays (%s)", ([, run]) =>
    Effect.gen(function* () {
      const { isOpen, sql } = yield* serving({ ROLLBACK: { C: "XX000", M: "server unavailable" } })
      const body = Effect.zipRight(sql`SELECT 1`, mine)
      assert.strictEqual(
        told(yield* Effect.exit(run(sql, body)).pipe(Logger.withMinimumLogLevel(LogLevel.None))),
        "fails with mine"
      )
      assert.isFalse(isOpen())
      yield* sql`SELECT 1`
    })
  )
})

layer(DsqlLocal.layer(withInstruments), { excludeTestServices: true, timeout: "60 seconds" })(
  "on real connections, when",
  (it) => {
    let tests = 0
    for (const [title, point] of Object.entries(points)) {
      it.scoped.each(Object.entries(ways))(`${title}, %s`, ([, way]) =>
        Effect.gen(function* () {
          const { context, stage } = yield* real(`test_${++tests}`, way.options)
          const played = yield* Effect.provide(play(stage, point, way), context)
          assert.deepStrictEqual(played, expected(title, point, way))
          const rows = title === "a nested call succeeds" ? 2 : 1
          assert.strictEqual(yield* stage.committed, played.end === "gives done" ? rows : 0)
        })
      )
    }

    for (const [title, [strike, end]] of Object.entries(hopeless)) {
      it.scoped.each(Object.entries(persistent))(`${title} exhausts %s`, ([, [way, wrap]]) =>
        Effect.gen(function* () {
          const { context, stage } = yield* real(`test_${++tests}`, way.options)
          const played = yield* Effect.provide(play(stage, { strike, ends: "", sends: "" }, way, Infinity), context)
          assert.deepStrictEqual(played, { end: wrap(end), runs: 3, warnings: 0 })
          assert.strictEqual(yield* stage.committed, 0)
        })
      )
    }
  }
)
