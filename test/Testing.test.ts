import { Model, SqlClient, SqlError, SqlResolver, SqlSchema } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import {
  Chunk,
  ConfigProvider,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schema,
  Stream,
  TestClock
} from "effect"
import { DsqlAuth, DsqlConfig, DsqlErrors } from "effect-dsql"
import * as DsqlTesting from "effect-dsql/Testing"
import { inspect } from "node:util"

// ------------------------------------------------------------------------------------------ the code of some user

class NameTaken extends Schema.TaggedError<NameTaken>()("NameTaken", { name: Schema.String }) {}

const Owner = Schema.Struct({ id: Schema.Int, name: Schema.String })

class Owners extends Effect.Service<Owners>()("Owners", {
  effect: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const insert = SqlSchema.single({
      Request: Schema.Struct({ name: Schema.String }),
      Result: Owner,
      execute: (owner) => sql`
        INSERT INTO owner ${sql.insert(owner).returning("*")}
      `
    })
    const find = SqlSchema.findOne({
      Request: Schema.Int,
      Result: Owner,
      execute: (id) => sql`SELECT id, name FROM owner WHERE id = ${id}`
    })
    return {
      find,
      all: sql<typeof Owner.Type>`SELECT id, name FROM owner ORDER BY id`.stream,
      register: (name: string) =>
        Effect.gen(function* () {
          const owner = yield* insert({ name })
          yield* sql`INSERT INTO audit ${sql.insert({ owner: owner.id, what: "registered" })}`
          return owner
        }).pipe(
          sql.withTransaction,
          DsqlErrors.refine,
          Effect.catchTag("DsqlConstraintError", (error) =>
            Effect.fail(error.reason === "Unique" ? new NameTaken({ name }) : error)
          ),
          Effect.retry({ while: DsqlErrors.isConflict, times: 3 })
        )
    }
  })
}) {}

const owners = (answers: ReadonlyArray<DsqlTesting.Answer> = []) =>
  Layer.provideMerge(Owners.Default, DsqlTesting.layerClient(answers))

const registered = [
  DsqlTesting.answer(/^INSERT INTO owner/, ([name]) => [{ id: 1, name }]),
  DsqlTesting.answer(/^INSERT INTO audit/, { rowCount: 1 })
]

const texts = Effect.gen(function* () {
  const script = yield* DsqlTesting.Script
  return (yield* script.recorded).map(({ sql }) => sql)
})

const withScript = <A, E>(
  effect: Effect.Effect<A, E, SqlClient.SqlClient | PgClient.PgClient | DsqlTesting.Script>,
  answers: ReadonlyArray<DsqlTesting.Answer> = [],
  options: Partial<DsqlConfig.Options> = {}
) => Effect.provide(effect, DsqlTesting.layerClient(answers, options))

const causeOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SqlError.SqlError)
    const { cause, message } = error as SqlError.SqlError
    assert.strictEqual(message, (cause as Error).message)
    return cause as DsqlErrors.DsqlError | DsqlTesting.DsqlUnscriptedError
  })

describe("a service on the scripted client", () => {
  it.effect("is answered by statement, and what it runs is recorded", () =>
    Effect.gen(function* () {
      const { register } = yield* Owners
      assert.deepStrictEqual(yield* register("Ana"), { id: 1, name: "Ana" })
      const script = yield* DsqlTesting.Script
      assert.deepStrictEqual(yield* script.recorded, [
        { sql: "BEGIN", params: [], transaction: 1, error: undefined },
        {
          sql: `INSERT INTO owner ("name") VALUES ($1) RETURNING *`,
          params: ["Ana"],
          transaction: 1,
          error: undefined
        },
        {
          sql: `INSERT INTO audit ("owner","what") VALUES ($1,$2)`,
          params: [1, "registered"],
          transaction: 1,
          error: undefined
        },
        { sql: "COMMIT", params: [], transaction: 1, error: undefined }
      ])
    }).pipe(Effect.provide(owners(registered)))
  )

  it.effect("sees a violated constraint and rolls back", () =>
    Effect.gen(function* () {
      const { register } = yield* Owners
      const error = yield* Effect.flip(register("Ana"))
      assert.deepStrictEqual(error, new NameTaken({ name: "Ana" }))
      assert.deepStrictEqual((yield* texts).at(-1), "ROLLBACK")
    }).pipe(
      Effect.provide(
        owners([
          DsqlTesting.answer(
            /^INSERT INTO owner/,
            DsqlTesting.uniqueViolation({ constraint: "owner_name_key", table: "owner" })
          )
        ])
      )
    )
  )

  it.effect("runs again when COMMIT loses a conflict, and gives up when it loses too often", () =>
    Effect.gen(function* () {
      const { register } = yield* Owners
      const script = yield* DsqlTesting.Script
      yield* script.failNext("COMMIT", DsqlTesting.conflict(), { times: 2 })
      yield* register("Ana")
      const attempts = yield* script.recorded
      assert.deepStrictEqual(
        attempts.filter(({ sql }) => sql === "COMMIT").map(({ error, transaction }) => [transaction, error?._tag]),
        [
          [1, "DsqlConflictError"],
          [2, "DsqlConflictError"],
          [3, undefined]
        ]
      )
      // No ROLLBACK after a COMMIT that failed: the transaction is over.
      assert.isFalse(attempts.some(({ sql }) => sql === "ROLLBACK"))
      yield* script.failNext("COMMIT", DsqlTesting.conflict(), { times: 4 })
      const error = yield* Effect.flip(register("Rui"))
      assert.isTrue(DsqlErrors.isConflict(error))
    }).pipe(Effect.provide(owners(registered)))
  )

  it.effect("finds, finds not, and streams", () =>
    Effect.gen(function* () {
      const { all, find } = yield* Owners
      assert.deepStrictEqual(yield* find(1), Option.some({ id: 1, name: "Ana" }))
      assert.deepStrictEqual(yield* find(2), Option.none())
      const chunks = yield* Stream.runCollect(Stream.chunks(all))
      assert.isAbove(Chunk.size(chunks), 1)
      assert.strictEqual(Chunk.size(Chunk.flatten(chunks)), 300)
    }).pipe(
      Effect.provide(
        owners([
          DsqlTesting.answer("SELECT id, name FROM owner WHERE id = $1", []),
          DsqlTesting.answer((sql, params) => sql.includes("WHERE id") && params[0] === 1, [{ id: 1, name: "Ana" }], {
            times: 1
          }),
          DsqlTesting.answer(
            "SELECT id, name FROM owner ORDER BY id",
            Array.from({ length: 300 }, (_, id) => ({ id, name: `owner ${id}` }))
          )
        ])
      )
    )
  )
})

describe("answers", () => {
  it.effect("given a number of times come first and in order, then the last of the others", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        yield* script.answerOnce("SELECT n", [{ n: 1 }])
        yield* script.answer("SELECT n", [{ n: 2 }], { times: 2 })
        yield* script.answer("SELECT n", [{ n: 3 }])
        const rows = yield* Effect.replicateEffect(sql`SELECT n`, 5)
        assert.deepStrictEqual(
          rows.map(([row]) => row!["n"]),
          [1, 2, 2, 3, 3]
        )
      }),
      [DsqlTesting.answer("SELECT n", [{ n: 4 }])]
    )
  )

  it.effect("are matched with white space folded, but not inside of quotes", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.deepStrictEqual(
          yield* sql`
            SELECT a,   'two  spaces' AS "b  c"
            FROM t
          `,
          [{ a: 1 }]
        )
        assert.deepStrictEqual(yield* texts, [`SELECT a, 'two  spaces' AS "b  c" FROM t`])
        assert.strictEqual((yield* causeOf(sql`SELECT a, 'two spaces' AS "b  c" FROM t`))._tag, "DsqlUnscriptedError")
      }),
      [DsqlTesting.answer(`SELECT  a,\n'two  spaces' AS "b  c" FROM t`, [{ a: 1 }])]
    )
  )

  it.effect("by a global or sticky pattern match every time", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const text of ["SELECT 1", "SELECT 1", "DELETE 1", "DELETE 1"]) yield* sql.unsafe(text)
      }),
      [DsqlTesting.answer(/ECT/g, []), DsqlTesting.answer(/DEL/y, [])]
    )
  )

  it.effect("missing fail typed, with what is scripted, inside of refine as well, and are recorded", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`SELECT once`
        const error = yield* Effect.flip(DsqlErrors.refine(sql`SELECT once WHERE secret = ${"hunter2"}`))
        assert(error._tag === "SqlError" && error.cause instanceof DsqlTesting.DsqlUnscriptedError)
        assert.strictEqual(
          error.message,
          [
            "No answer is scripted for this statement with 1 parameter:",
            "  SELECT once WHERE secret = $1",
            "Scripted:",
            "  SELECT once (used up)",
            "  (a function)",
            "  /^DELETE/",
            "(effect-dsql/docs/errors/DsqlUnscriptedError.md)"
          ].join("\n")
        )
        const script = yield* DsqlTesting.Script
        assert.strictEqual((yield* script.recorded)[1]?.error, error.cause)
        assert.strictEqual((yield* causeOf(sql`SELECT 1`.stream.pipe(Stream.runDrain)))._tag, "DsqlUnscriptedError")
      }),
      [
        DsqlTesting.answerOnce("SELECT once", []),
        DsqlTesting.answer(/^DELETE/, []),
        DsqlTesting.answer(() => false, [])
      ]
    )
  )

  it.effect("may be effects, of any result or failure, and know text and parameters", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.deepStrictEqual(yield* sql`SELECT effect`, [{ n: 1 }])
        assert.strictEqual((yield* causeOf(sql`SELECT failure`))._tag, "DsqlUnavailableError")
        assert.deepStrictEqual(yield* sql`SELECT echo ${1}, ${"two"}`, [
          { params: [1, "two"], sql: "SELECT echo $1, $2" }
        ])
        const raw = (yield* sql`UPDATE t SET a = 1`.raw) as Record<string, unknown>
        assert.deepStrictEqual([raw["command"], raw["rowCount"], raw["rows"]], ["UPDATE", 3, []])
      }),
      [
        DsqlTesting.answer("SELECT effect", Effect.succeed([{ n: 1 }])),
        DsqlTesting.answer("SELECT failure", () => DsqlTesting.unavailable()),
        DsqlTesting.answer(/echo/, (params, sql) => [{ params, sql }]),
        DsqlTesting.answer(/^UPDATE/, { rowCount: 3 })
      ]
    )
  )

  it.effect("are not spoilt by a program that changes its rows", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [row] = yield* sql<{ n: number }>`SELECT n`
        Object.assign(row!, { n: 2 })
        assert.deepStrictEqual(yield* sql`SELECT n`, [{ n: 1 }])
      }),
      [DsqlTesting.answer("SELECT n", [{ n: 1 }])]
    )
  )

  it.effect("that never come can be interrupted, or time out on the test clock", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const fiber = yield* Effect.fork(
          sql.withTransaction(sql`SELECT forever`).pipe(Effect.timeoutOption("1 minute"))
        )
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.join(fiber), Option.none())
        // Interrupting a statement takes its connection away, so nothing is left to send a ROLLBACK on.
        assert.deepStrictEqual(yield* texts, ["BEGIN", "SELECT forever"])
      }),
      [DsqlTesting.answer("SELECT forever", Effect.never)]
    )
  )
})

describe("transactions", () => {
  const rows = [DsqlTesting.answer(/^SELECT/, [{ n: 1 }])]

  it.effect("fail at BEGIN and at COMMIT as scripted, with the errors of the real client", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const failing = (command: "BEGIN" | "COMMIT", error: DsqlErrors.DsqlError) =>
          Effect.zipRight(script.failNext(command, error), causeOf(sql.withTransaction(sql`SELECT 1`)))
        const violated = DsqlTesting.foreignKeyViolation({ constraint: "pet_owner_fkey", table: "pet" })
        assert.deepInclude(yield* failing("COMMIT", violated), { reason: "ForeignKey", constraint: "pet_owner_fkey" })
        for (const lost of [DsqlTesting.connectionLost(), DsqlTesting.unavailable()]) {
          const error = yield* failing("COMMIT", lost)
          assert(error._tag === "DsqlCommitOutcomeUnknownError")
          assert(DsqlErrors.isDsqlError(error.cause) && error.cause._tag === lost._tag)
          assert.strictEqual(error.cause.cause, lost.cause)
          // What is worth another attempt elsewhere is none here.
          assert.deepStrictEqual([lost.isRetryable, error.cause.isRetryable], [true, false])
        }
        const unknown = yield* failing("COMMIT", DsqlTesting.commitOutcomeUnknown())
        assert.strictEqual(unknown._tag, "DsqlCommitOutcomeUnknownError")
        assert.strictEqual(unknown.message, (yield* failing("COMMIT", DsqlTesting.connectionLost())).message)
        const before = (yield* texts).length
        const refused = DsqlTesting.serverError({ sqlState: "53300", message: "too many open connections" })
        assert.deepInclude(yield* failing("BEGIN", refused), { reason: "TooManyConnections" })
        assert.deepStrictEqual((yield* texts).slice(before), ["BEGIN"])
        assert.deepStrictEqual(yield* sql.withTransaction(sql`SELECT 1`), [{ n: 1 }])
      }),
      rows
    )
  )

  it.effect("keep the first error when ROLLBACK fails", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        yield* script.failNext("ROLLBACK", DsqlTesting.connectionLost())
        assert.deepStrictEqual(yield* Effect.exit(sql.withTransaction(Effect.fail("mine"))), Exit.fail("mine"))
        assert.strictEqual((yield* script.recorded)[1]?.error?._tag, "DsqlConnectionError")
      })
    )
  )

  it.effect("end in COMMIT or ROLLBACK, whatever way the effect ends", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql.withTransaction(sql`SELECT 1`)
        yield* Effect.exit(sql.withTransaction(Effect.fail("mine")))
        const died = yield* Effect.exit(sql.withTransaction(Effect.die("mine")))
        assert.deepStrictEqual(died, Exit.die("mine"))
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          sql.withTransaction(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never))
        )
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        const script = yield* DsqlTesting.Script
        assert.deepStrictEqual(
          (yield* script.recorded).map(({ sql, transaction }) => [transaction, sql]),
          [
            [1, "BEGIN"],
            [1, "SELECT 1"],
            [1, "COMMIT"],
            [2, "BEGIN"],
            [2, "ROLLBACK"],
            [3, "BEGIN"],
            [3, "ROLLBACK"],
            [4, "BEGIN"],
            [4, "ROLLBACK"]
          ]
        )
      }),
      rows
    )
  )

  it.effect("on a connection that was lost send nothing more", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const error = yield* causeOf(sql.withTransaction(Effect.zipRight(Effect.ignore(sql`UPDATE t`), sql`SELECT 1`)))
        assert(error._tag === "DsqlConnectionError")
        assert.deepStrictEqual([error.reason, error.isRetryable], ["Closed", true])
        assert.deepStrictEqual(yield* texts, ["BEGIN", "UPDATE t"])
      }),
      [...rows, DsqlTesting.answer(/^UPDATE/, DsqlTesting.connectionLost())]
    )
  )

  it.effect("hold the statements of resolvers", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const resolver = yield* SqlResolver.findById("Number", {
          Id: Schema.Int,
          Result: Schema.Struct({ n: Schema.Int }),
          ResultId: (row) => row.n,
          execute: (ids) => sql`SELECT n FROM numbers WHERE ${sql.in("n", ids)}`
        })
        const found = yield* sql.withTransaction(
          Effect.all([resolver.execute(1), resolver.execute(11)], { batching: true })
        )
        assert.deepStrictEqual(found, [Option.some({ n: 1 }), Option.none()])
        const script = yield* DsqlTesting.Script
        const { params, transaction } = (yield* script.recorded)[1]!
        assert.deepStrictEqual([transaction, params], [1, [1, 11]])
      }),
      rows
    )
  )

  it.effect("of a repository of Model run in the caller's", () =>
    withScript(
      Effect.gen(function* () {
        class Pet extends Model.Class<Pet>("Pet")({ id: Model.Generated(Schema.Int), name: Schema.String }) {}
        const pets = yield* Model.makeRepository(Pet, { tableName: "pet", spanPrefix: "Pets", idColumn: "id" })
        const sql = yield* SqlClient.SqlClient
        const pet = yield* sql.withTransaction(pets.insert(Pet.insert.make({ name: "Rex" })))
        assert.deepStrictEqual({ ...pet }, { id: 5, name: "Rex" })
        const script = yield* DsqlTesting.Script
        assert.deepStrictEqual((yield* script.recorded)[1]?.transaction, 1)
      }),
      [DsqlTesting.answer(/^insert into "pet"/i, ([name]) => [{ id: 5, name }])]
    )
  )
})

describe("faults", () => {
  const rows = [DsqlTesting.answer(/^SELECT/, [{ n: 1 }])]

  /** What has been recorded since the last time, as `sql` or `sql: error`. */
  const recorder = Effect.map(DsqlTesting.Script, (script) => {
    let seen = 0
    return Effect.map(script.recorded, (recorded) => {
      const news = recorded.slice(seen).map(({ error, sql }) => (error === undefined ? sql : `${sql}: ${error._tag}`))
      seen = recorded.length
      return news
    })
  })

  it.effect("strike the next statements, whatever is answered, and as often as they are told", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const news = yield* recorder
        yield* script.failNext("statement", DsqlTesting.conflict("Schema"), { times: 2 })
        yield* script.failNext("statement", DsqlTesting.unavailable())
        assert.deepInclude(yield* causeOf(sql`SELECT 1`), { _tag: "DsqlConflictError", reason: "Schema" })
        // A transaction that is aborted already takes nothing.
        yield* Effect.flip(sql.withTransaction(Effect.zipRight(Effect.ignore(sql`SELECT 2`), sql`SELECT 3`)))
        assert.strictEqual((yield* causeOf(sql`SELECT 4`))._tag, "DsqlUnavailableError")
        assert.deepStrictEqual(yield* sql`SELECT 5`, [{ n: 1 }])
        assert.deepStrictEqual(yield* news, [
          "SELECT 1: DsqlConflictError",
          "BEGIN",
          "SELECT 2: DsqlConflictError",
          "SELECT 3: DsqlQueryError",
          "ROLLBACK",
          "SELECT 4: DsqlUnavailableError",
          "SELECT 5"
        ])
      }),
      rows
    )
  )

  const refusals = [
    ["TooManyConnections", "53300"],
    ["RateExceeded", "53400"],
    ["ClusterWaking", "XX000"]
  ] as const
  it.effect.each(refusals)("refuse whoever connects: %s (%s)", ([reason, sqlState]) =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        yield* script.failNext("connect", DsqlTesting.connectionRefused(reason), { times: 3 })
        const connecting = [sql`SELECT 1`, sql.withTransaction(sql`SELECT 1`), Effect.scoped(sql.reserve)]
        for (const refused of connecting.map((effect) => Effect.asVoid<unknown, SqlError.SqlError, never>(effect))) {
          const error = yield* causeOf(refused)
          assert.deepInclude(error, { _tag: "DsqlConnectionError", reason, sqlState })
          assert.isTrue(DsqlErrors.isTransient(error))
        }
        assert.deepStrictEqual(yield* texts, [])
        assert.deepStrictEqual(yield* sql`SELECT 1`, [{ n: 1 }])
      }),
      rows
    )
  )

  it.effect("delay every step by the clock, and what is delayed may fail as well", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        for (const step of ["connect", "BEGIN", "statement", "COMMIT"] as const)
          yield* script.delayNext(step, "1 second")
        const fiber = yield* Effect.fork(sql.withTransaction(sql`SELECT 1`))
        for (const sent of [[], ["BEGIN"], ["BEGIN", "SELECT 1"], ["BEGIN", "SELECT 1", "COMMIT"]]) {
          yield* TestClock.adjust("999 millis")
          assert.deepStrictEqual(yield* texts, sent)
          yield* TestClock.adjust("1 millis")
        }
        assert.deepStrictEqual(yield* Fiber.join(fiber), [{ n: 1 }])
        yield* script.delayNext("statement", "1 second", { times: 2 })
        yield* script.failNext("statement", DsqlTesting.unavailable())
        const late = yield* Effect.fork(Effect.zip(causeOf(sql`SELECT 1`), sql`SELECT 1`))
        yield* TestClock.adjust("1999 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(late)))
        yield* TestClock.adjust("1 millis")
        const [error, found] = yield* Fiber.join(late)
        assert.deepStrictEqual([error._tag, found], ["DsqlUnavailableError", [{ n: 1 }]])
      }),
      rows
    )
  )

  it.effect("break the connection of the next that commits: before, during or after", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const script = yield* DsqlTesting.Script
        const news = yield* recorder
        const commit = sql.withTransaction(sql`SELECT 1`)
        yield* script.dropAtCommit("before", { times: 2 })
        yield* script.dropAtCommit("after")
        yield* script.dropAtCommit("during")
        // These two do not commit.
        yield* Effect.flip(sql.withTransaction(Effect.fail("mine")))
        yield* Effect.flip(sql.withTransaction(Effect.ignore(sql`DELETE nothing`)))
        yield* news
        const outcomes = []
        for (let n = 0; n < 4; n++) outcomes.push([(yield* causeOf(commit))._tag, ...(yield* news)])
        assert.deepStrictEqual(outcomes, [
          ["DsqlConnectionError", "BEGIN", "SELECT 1"],
          ["DsqlConnectionError", "BEGIN", "SELECT 1"],
          ["DsqlCommitOutcomeUnknownError", "BEGIN", "SELECT 1", "COMMIT"],
          ["DsqlCommitOutcomeUnknownError", "BEGIN", "SELECT 1", "COMMIT: DsqlConnectionError"]
        ])
        assert.deepStrictEqual(yield* commit, [{ n: 1 }])
      }),
      rows
    )
  )
})

describe("clients", () => {
  const two = Effect.gen(function* () {
    const contexts = yield* Effect.all([
      Layer.build(DsqlTesting.layerClient([DsqlTesting.answer(/./, [{ client: "first" }])])),
      Layer.build(DsqlTesting.layerClient([DsqlTesting.answer(/./, [{ client: "second" }])]))
    ])
    return contexts.map((context) => ({
      sql: Context.get(context, SqlClient.SqlClient),
      script: Context.get(context, DsqlTesting.Script)
    }))
  })

  it.scoped("are independent, even inside of each other's transactions", () =>
    Effect.gen(function* () {
      const [first, second] = yield* two
      assert.deepStrictEqual(yield* first!.sql.withTransaction(second!.sql`SELECT 1`), [{ client: "second" }])
      const sent = (script: DsqlTesting.Script["Type"]) =>
        Effect.map(script.recorded, (recorded) => recorded.map(({ sql, transaction }) => [transaction, sql]))
      assert.deepStrictEqual(yield* sent(first!.script), [
        [1, "BEGIN"],
        [1, "COMMIT"]
      ])
      assert.deepStrictEqual(yield* sent(second!.script), [[undefined, "SELECT 1"]])
    })
  )

  it.effect("are new in every build of the same layer", () => {
    const Db = DsqlTesting.layerClient([DsqlTesting.answerOnce("SELECT 1", [{ n: 1 }])])
    const program = Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.zipRight(sql`SELECT 1`, texts))
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(program, Db), ["SELECT 1"])
      assert.deepStrictEqual(yield* Effect.provide(program, Db), ["SELECT 1"])
    })
  })

  it.effect("transform names, in both directions", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        assert.deepStrictEqual(yield* sql`SELECT ${sql("firstName")} FROM owner`, [{ firstName: "Ana" }])
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(yield* Stream.runCollect(sql`SELECT ${sql("firstName")} FROM owner`.stream)),
          [{ firstName: "Ana" }]
        )
        const plain = sql.withoutTransforms()
        assert.deepStrictEqual(yield* plain`SELECT ${plain("first_name")} FROM owner`, [{ first_name: "Ana" }])
        assert.deepStrictEqual([...new Set(yield* texts)], [`SELECT "first_name" FROM owner`])
        yield* sql`UPDATE owner SET tags = ${sql.json({ petNames: ["Rex"] })}`
        const script = yield* DsqlTesting.Script
        assert.deepStrictEqual((yield* script.recorded).at(-1)?.params, [`{"pet_names":["Rex"]}`])
      }),
      [
        DsqlTesting.answer(`SELECT "first_name" FROM owner`, [{ first_name: "Ana" }]),
        DsqlTesting.answer(/^UPDATE/, [])
      ],
      {
        transformQueryNames: (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
        transformResultNames: (name) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
      }
    )
  )

  it.effect("say when a lost answer leaves the outcome open", () =>
    withScript(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const statement of ["UPDATE lost", "UPDATE unavailable"]) {
          const alone = yield* causeOf(sql.unsafe(statement))
          assert(alone._tag === "DsqlConnectionError" || alone._tag === "DsqlUnavailableError")
          assert.deepStrictEqual([alone.outcomeUnknown, alone.isRetryable], [true, false])
          const inside = yield* causeOf(sql.withTransaction(sql.unsafe(statement)))
          assert.isTrue(DsqlErrors.isRetryable(inside))
        }
      }),
      [
        DsqlTesting.answer(/lost/, DsqlTesting.connectionLost()),
        DsqlTesting.answer(/unavailable/, DsqlTesting.unavailable())
      ]
    )
  )
})

describe("layerConfig", () => {
  it.effect("is a cluster that does not exist, whatever the environment says", () =>
    Effect.gen(function* () {
      const config = yield* DsqlConfig.DsqlConfig
      assert.deepStrictEqual(
        [config.host, config.region, config.user],
        ["unittestunittestunittest00.dsql.us-east-1.on.aws", "us-east-1", "orders"]
      )
      const clusterId = "abcdefghijklmnopqrstuvwxyz"
      const noRegion = yield* Effect.flip(Layer.build(DsqlTesting.layerConfig({ host: clusterId })))
      assert.strictEqual(noRegion._tag, "DsqlRegionError")
      const wrong = yield* Effect.flip(Layer.build(DsqlTesting.layerClient([], { port: 0 })))
      assert.strictEqual(wrong._tag, "DsqlConfigError")
    }).pipe(
      Effect.scoped,
      Effect.provide(DsqlTesting.layerConfig({ user: "orders" })),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_REGION", "eu-west-1"]])))
    )
  )
})

describe("layerCredentials", () => {
  const token = DsqlAuth.layerToken.pipe(Layer.provide(DsqlTesting.layerConfig()))

  it.effect("are good enough to sign with", () =>
    Effect.gen(function* () {
      const { get } = yield* DsqlAuth.DsqlToken
      const url = new URL(`https://${Redacted.value(yield* get)}`)
      assert.strictEqual(url.host, "unittestunittestunittest00.dsql.us-east-1.on.aws")
      assert.match(url.searchParams.get("X-Amz-Credential") ?? "", /^AKIAIOSFODNN7EXAMPLE\//)
    }).pipe(Effect.provide(Layer.provide(token, DsqlTesting.layerCredentials())))
  )

  it.effect("expire by the test's clock, if they are told to", () =>
    Effect.gen(function* () {
      const { get } = yield* DsqlAuth.DsqlCredentials
      assert.strictEqual((yield* get).accessKeyId, "AKIAIOSFODNN7EXAMPLE")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(get)).reason, "Expired")
    }).pipe(Effect.provide(DsqlTesting.layerCredentials({ expiration: 1000 })))
  )
})

describe("layerToken", () => {
  it.effect("gives the token that the test sets, fails as it says, and counts", () =>
    Effect.gen(function* () {
      const { get } = yield* DsqlAuth.DsqlToken
      const test = yield* DsqlTesting.TestToken
      const first = yield* get
      assert.strictEqual(Redacted.value(first), "first")
      assert.notInclude(`${String(first)} ${JSON.stringify(first)} ${inspect(first)}`, "first")
      const failure = new DsqlErrors.DsqlCredentialsError({ reason: "Expired" })
      yield* test.fail(failure)
      assert.strictEqual(yield* Effect.flip(get), failure)
      yield* test.set("second")
      assert.strictEqual(Redacted.value(yield* get), "second")
      assert.strictEqual(yield* test.gets, 3)
    }).pipe(Effect.provide(DsqlTesting.layerToken("first")))
  )
})
