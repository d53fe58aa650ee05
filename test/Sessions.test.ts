import { SqlClient } from "@effect/sql"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type DsqlConfig, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { withInstruments } from "./support/instruments.js"
import { makeTap } from "./support/tap.js"

/** One connection through a tap, so that every statement is a checkout of its own, with `sent` to see its messages. */
const onOne = <A, E>(
  body: (
    sql: SqlClient.SqlClient,
    sent: Effect.Effect.Success<typeof makeTap>["sent"]
  ) => Effect.Effect<A, E, SqlClient.SqlClient>,
  options: Partial<DsqlConfig.Options> = {}
) =>
  Effect.gen(function* () {
    const tap = yield* makeTap
    const client = DsqlLayer.layer({ ...tap.options, pool: { max: 1 }, ...options }, { credentials: tap.credentials })
    return yield* Effect.provide(
      Effect.flatMap(SqlClient.SqlClient, (sql) => body(sql, tap.sent)),
      client
    )
  })

/** What a session could hand on to the next borrower. */
const state = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql`SELECT current_setting('search_path') AS path, current_user AS who, pg_backend_pid() AS pid,
               current_setting('application_name') AS application, current_setting('TimeZone') AS zone`
)

/** Statements that change the session for good, each in a way of its own. */
const leaks: ReadonlyArray<
  readonly [how: string, change: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>]
> = [
  ["SET", (sql) => sql`SET search_path TO leaked`],
  ["set_config in a SELECT", (sql) => sql`SELECT set_config('search_path', ${"leaked"}, false)`],
  ["SET in a text of several statements", (sql) => sql.unsafe("SELECT 1; SET search_path TO leaked; SELECT 2")],
  [
    "SET that was committed before its text failed",
    (sql) => Effect.flip(sql.unsafe("BEGIN; SET search_path TO leaked; COMMIT; SELECT 1/0"))
  ],
  ["SET behind a SET LOCAL", (sql) => sql.unsafe("SET LOCAL search_path TO gone; SET search_path TO leaked")],
  [
    "an UPDATE of the view of the settings",
    (sql) => sql`UPDATE pg_settings SET setting = 'leaked' WHERE name = 'search_path'`
  ],
  ["SET inside of a transaction", (sql) => sql.withTransaction(sql`SET search_path TO leaked`)],
  [
    "SET on a reserved connection",
    (sql) =>
      Effect.scoped(Effect.flatMap(sql.reserve, (connection) => connection.executeRaw("SET search_path TO leaked", [])))
  ],
  ["SET by a stream", (sql) => Stream.runDrain(sql`SET search_path TO leaked`.stream)],
  ["set_config by a stream", (sql) => Stream.runDrain(sql`SELECT set_config('search_path', 'leaked', false)`.stream)],
  [
    "SET by a stream of a transaction",
    (sql) => sql.withTransaction(Stream.runDrain(sql`SET search_path TO leaked`.stream))
  ],
  [
    "set_config by a stream of a transaction that is not read to its end",
    (sql) =>
      sql`SELECT set_config('search_path', 'leaked', false) FROM generate_series(1, 1000)`.stream.pipe(
        Stream.take(1),
        Stream.runDrain,
        sql.withTransaction
      )
  ],
  [
    "set_config whose answer cannot be parsed",
    (sql) => Effect.flip(sql`SELECT set_config('search_path', 'leaked', false), 'bad'`)
  ],
  ["SET in a DO block", (sql) => sql.unsafe("DO $$ BEGIN SET search_path TO leaked; END $$")],
  ["SET in a procedure", (sql) => sql`CALL leak()`],
  ["SET ROLE", (sql) => sql`SET ROLE other_role`],
  ["SET SESSION ROLE", (sql) => sql`SET SESSION ROLE other_role`],
  ["a role by set_config", (sql) => sql`SELECT set_config('role', 'other_role', false)`],
  ["a role as a parameter of set_config", (sql) => sql`SELECT set_config(${"role"}, ${"other_role"}, false)`],
  ["a role by a DO block", (sql) => sql.unsafe("DO $$ BEGIN SET ROLE other_role; END $$")],
  ["RESET", (sql) => sql`RESET search_path`],
  ["RESET ALL", (sql) => sql`RESET ALL`],
  ["DISCARD ALL", (sql) => sql`DISCARD ALL`]
]

layer(DsqlLocal.layerLive(withInstruments), { excludeTestServices: true, timeout: "60 seconds" })("sessions", (it) => {
  const types = {
    getTypeParser: () => (text: string | Buffer) => {
      if (String(text) === "bad") throw new TypeError("this value is bad")
      return String(text)
    }
  }

  describe("hand nothing on to the next borrower", () => {
    const prepare = Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`DROP ROLE IF EXISTS other_role`
      yield* sql`CREATE ROLE other_role`
      yield* sql`GRANT other_role TO admin`
      yield* sql`CREATE OR REPLACE PROCEDURE leak() LANGUAGE plpgsql AS 'BEGIN SET search_path TO leaked; END'`
    })

    it.scoped.each(leaks)("of %s", ([, change]) =>
      Effect.gen(function* () {
        yield* prepare
        yield* onOne(
          (sql) =>
            Effect.gen(function* () {
              const [before] = yield* state
              assert.strictEqual(before!["path"], "mine, public")
              yield* change(sql)
              const [after] = yield* state
              assert.deepStrictEqual({ ...after, pid: 0 }, { ...before, pid: 0 })
            }),
          { types, setup: (sql) => sql`SET search_path TO mine, public` }
        )
      })
    )
  })

  describe("cost no round trip too many", () => {
    it.scoped("as long as nothing is changed, in whatever way a statement is sent and ends", () =>
      onOne((sql, sent) =>
        Effect.gen(function* () {
          const plain = sql`SELECT 1`
          assert.deepStrictEqual(yield* sent(Effect.replicateEffect(plain, 5)), ["Q", "Q", "Q", "Q", "Q"])
          const prepared = (n: number) => sql`SELECT ${n}::int`
          assert.deepStrictEqual(yield* sent(Effect.forEach([1, 2, 3], prepared)), ["PBDES", "BES", "BES"])
          yield* sql`DEALLOCATE ALL`
          assert.deepStrictEqual(yield* sent(prepared(4)), ["PBDES"])
          assert.deepStrictEqual(yield* sent(Effect.replicateEffect(Effect.flip(sql`SELECT 1/0`), 3)), ["Q", "Q", "Q"])
          assert.deepStrictEqual(yield* sent(Stream.runDrain(prepared(1).stream)), ["PBDEHS"])
          assert.lengthOf(yield* sent(Effect.replicateEffect(sql.withTransaction(plain), 2)), 6)
          assert.deepStrictEqual(yield* sent(Effect.scoped(sql.reserve)), [])
        })
      )
    )

    it.scoped("for what ends with its transaction", () =>
      onOne((sql, sent) =>
        Effect.gen(function* () {
          for (const change of [
            "SET LOCAL search_path TO leaked",
            " set  local role admin;",
            "SET TRANSACTION READ ONLY",
            "SET CONSTRAINTS ALL DEFERRED"
          ]) {
            const messages = yield* sent(Effect.zipRight(sql.withTransaction(sql.unsafe(change)), state))
            assert.deepStrictEqual(messages, ["Q", "Q", "Q", "Q"], change)
          }
        })
      )
    )

    it.scoped("for a change: one, and with a setup as many more as that makes", () =>
      Effect.gen(function* () {
        const changed = (sql: SqlClient.SqlClient) => Effect.zipRight(sql`SET search_path TO leaked`, state)
        yield* onOne((sql, sent) =>
          Effect.gen(function* () {
            const [before] = yield* state
            assert.deepStrictEqual(yield* sent(changed(sql)), ["Q", "Q", "Q"])
            assert.deepStrictEqual(yield* sent(state), ["Q"])
            assert.deepStrictEqual((yield* state)[0], before, "its connection was not kept")
          })
        )
        const messages = yield* onOne((sql, sent) => sent(changed(sql)), {
          setup: (sql) => sql`SET search_path TO mine`
        })
        assert.deepStrictEqual(messages, ["Q", "Q", "Q", "Q"])
      })
    )
  })

  type Setup = NonNullable<DsqlConfig.Options["setup"]>
  const setups: ReadonlyArray<readonly [what: string, reason: string, message: RegExp, setup: Setup]> = [
    ["leaves a transaction open", "Other", /setup has left a transaction open/, (sql) => sql`BEGIN`],
    [
      "leaves a failed transaction open",
      "Other",
      /setup has left a transaction open/,
      (sql) => Effect.ignore(sql.unsafe("BEGIN; SELECT 1/0"))
    ],
    [
      "passes over the loss of its connection",
      "Closed",
      /connection was lost/,
      (sql) => Effect.ignore(sql`SELECT pg_terminate_backend(pg_backend_pid())`)
    ]
  ]
  it.scoped.each(setups)("are not begun with a setup that %s", ([, reason, message, setup]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(onOne(() => Effect.die("it came up"), { setup }))
      assert(error._tag === "DsqlConnectionError")
      assert.strictEqual(error.reason, reason)
      assert.match(error.message, message)
    })
  )
})
