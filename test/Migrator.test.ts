import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { DsqlBatch, DsqlErrors, DsqlJobs, DsqlMigrator, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { conflict, connectionLost, unavailable } from "effect-dsql/Testing"

const retry = { base: "1 millis", cap: "10 millis" } as const

const fresh = Effect.flatMap(DsqlLocal, ({ reset }) => reset)

const migrate = (files: Readonly<Record<string, string>>) =>
  DsqlMigrator.run({ loader: DsqlMigrator.fromSql(files), retry })

const set = {
  "0001_add_owners.sql": `
    CREATE TABLE owner (id int PRIMARY KEY, name text NOT NULL, email text);
    INSERT INTO owner VALUES (1, 'Ana', 'a@x'), (2, 'Bo', 'b@x');
    CREATE UNIQUE INDEX ASYNC owner_email ON owner (email);`,
  "0002_add_counts.sql": `
    CREATE TABLE visit (owner int, at timestamptz DEFAULT now());
    BEGIN;
    INSERT INTO visit (owner) SELECT id FROM owner;
    UPDATE owner SET name = name || '!';
    COMMIT;
    ALTER TABLE visit ADD CONSTRAINT visit_owner CHECK (owner > 0) NOT VALID;
    ALTER TABLE ASYNC visit VALIDATE CONSTRAINT visit_owner;
    CREATE VIEW visited AS SELECT name FROM owner JOIN visit ON owner.id = visit.owner;`
}

layer(DsqlLocal.layerLive({}, { retry }), { excludeTestServices: true, timeout: "60 seconds" })("migrations", (it) => {
  it.effect("run once, statement by statement, and keep the history of @effect/sql", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const events: Array<string> = []
      const options = {
        loader: DsqlMigrator.fromSql(set),
        retry,
        onEvent: (event: DsqlMigrator.MigrationEvent) =>
          Effect.sync(() => {
            if (event._tag === "Statement") events.push(`${event.id}.${event.position}/${event.of} ${event.state}`)
            else if (event._tag === "Job")
              events.push(`${event.id}.${event.position} ${event.job.jobType} ${event.job.status}`)
            else events.push(event._tag)
          })
      }
      assert.deepStrictEqual(yield* DsqlMigrator.run(options), [
        [1, "add_owners"],
        [2, "add_counts"]
      ])
      assert.deepStrictEqual(
        events.filter((event) => !/submitted|processing/.test(event)),
        [
          "Started",
          "1.1/3 running",
          "1.1/3 done",
          "1.2/3 running",
          "1.2/3 done",
          "1.3/3 running",
          "1.3 INDEX_BUILD completed",
          "1.3/3 done",
          "Finished",
          "Started",
          ...[1, 2, 3].flatMap((n) => [`2.${n}/5 running`, `2.${n}/5 done`]),
          "2.4/5 running",
          "2.4 VALIDATE_CONSTRAINT completed",
          "2.4/5 done",
          "2.5/5 running",
          "2.5/5 done",
          "Finished"
        ]
      )
      assert.deepStrictEqual(yield* sql`SELECT name FROM visited ORDER BY 1`, [{ name: "Ana!" }, { name: "Bo!" }])
      const history = yield* sql<{ created_at: Date }>`SELECT * FROM effect_sql_migrations ORDER BY 1`
      assert.deepStrictEqual(
        history.map(({ created_at, ...row }) => [row, created_at instanceof Date]),
        [
          [{ migration_id: 1, name: "add_owners" }, true],
          [{ migration_id: 2, name: "add_counts" }, true]
        ]
      )
      assert.deepStrictEqual(yield* migrate(set), [])
      const more = { ...set, "0003_more.sql": "INSERT INTO visit (owner) VALUES (7)" }
      assert.deepStrictEqual(yield* migrate(more), [[3, "more"]])
    })
  )

  /** The error of a run that must fail, without the client's own words in it. */
  const failing = (files: Readonly<Record<string, string>>, options: Partial<DsqlMigrator.MigratorOptions> = {}) =>
    Effect.map(Effect.flip(DsqlMigrator.run({ loader: DsqlMigrator.fromSql(files), retry, ...options })), (error) => {
      assert.instanceOf(error, DsqlMigrator.DsqlMigrationError)
      return error
    })
  const facts = ({ file, line, migration, position, reason, statement }: DsqlMigrator.DsqlMigrationError) => ({
    reason,
    migration,
    file,
    line,
    position,
    statement
  })
  const columns = (table: string) =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.map(
        sql<{
          name: string
        }>`SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass(${table}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
        (rows) => rows.map(({ name }) => name)
      )
    )

  it.effect("stop at a statement that fails, with its place, and go on there when it is mended", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const files = (seventh: string) => ({
        "0001_first.sql": "CREATE TABLE t (n int);",
        "0002_seven.sql": `
          INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); INSERT INTO t VALUES (3);
          ALTER TABLE t ADD COLUMN a int; ALTER TABLE t ADD COLUMN b int; INSERT INTO t VALUES (6);
          ${seventh};
          INSERT INTO t VALUES (8)`
      })
      const error = yield* failing(files("INSERT INTO t\n  SELEC 7"))
      assert.deepStrictEqual(facts(error), {
        reason: "Statement",
        migration: "2_seven",
        file: "0002_seven.sql",
        line: 5,
        position: 7,
        statement: "INSERT INTO t\n  SELEC 7"
      })
      assert.match(error.message, /^0002_seven\.sql:5: this statement failed; mend .*syntax error at or near "SELEC"/)
      assert.strictEqual(error.cause instanceof DsqlErrors.DsqlQueryError && error.cause.sqlState, "42601")
      assert.deepStrictEqual(yield* migrate(files("INSERT INTO t SELECT 7")), [[2, "seven"]])
      assert.deepStrictEqual(
        yield* sql`SELECT n FROM t ORDER BY n`,
        [1, 2, 3, 6, 7, 8].map((n) => ({ n }))
      )
      assert.deepStrictEqual(yield* columns("t"), ["n", "a", "b"])
    })
  )

  it.effect("refuse what was changed, taken away, doubled or put in between after it ran", () =>
    Effect.gen(function* () {
      yield* fresh
      const files = {
        "0002_two.sql": "CREATE TABLE t (n int);\n-- none\nINSERT INTO t VALUES (1);",
        "0004_four.sql": "ANALYZE t"
      }
      yield* migrate(files)
      const relaid = "create table T ( n INT ); INSERT INTO t VALUES (1) -- one"
      assert.deepStrictEqual(yield* migrate({ ...files, "0002_two.sql": relaid }), [])
      const edited = yield* failing({ ...files, "0002_two.sql": files["0002_two.sql"].replace("(1)", "(2)") })
      assert.deepStrictEqual(facts(edited), {
        reason: "Edited",
        migration: "2_two",
        file: "0002_two.sql",
        line: 3,
        position: 2,
        statement: "INSERT INTO t VALUES (1)"
      })
      const shorter = yield* failing({ ...files, "0002_two.sql": "CREATE TABLE t (n int)" })
      assert.deepInclude(facts(shorter), { reason: "Edited", position: 2, line: undefined })
      const longer = yield* failing({ ...files, "0002_two.sql": `${files["0002_two.sql"]} DROP TABLE t` })
      assert.deepInclude(facts(longer), { reason: "Edited", position: 3, statement: "DROP TABLE t" })
      assert.deepInclude(facts(yield* failing({ "0002_two.sql": files["0002_two.sql"] })), {
        reason: "Missing",
        migration: "4_four"
      })
      const renamed = yield* failing({ "0002_two.sql": files["0002_two.sql"], "0004_for.sql": "ANALYZE t" })
      assert.deepInclude(facts(renamed), { reason: "Missing", migration: "4_four" })
      const double = yield* failing({ ...files, "4_vier.sql": "ANALYZE t" })
      assert.strictEqual(double.reason, "Duplicate")
      const between = yield* failing({ ...files, "0003_three.sql": "ANALYZE t" })
      assert.deepInclude(facts(between), { reason: "OutOfOrder", migration: "3_three", file: "0003_three.sql" })
      const script = yield* failing({ ...files, "0005_five.sql": "ANALYZE t;\nSET search_path TO x" })
      assert.deepInclude(facts(script), { reason: "Script", file: "0005_five.sql", line: 2 })
      // Mended, all of it goes on.
      assert.deepStrictEqual(yield* migrate({ ...files, "0005_five.sql": "ANALYZE t" }), [[5, "five"]])
    })
  )

  it.effect("tell why a unique index over duplicates failed, leave none behind, and build it when they are gone", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const files = {
        "0001_all.sql":
          "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1); CREATE UNIQUE INDEX ASYNC once ON t (n); CREATE TABLE u ()"
      }
      const error = yield* failing(files)
      assert.deepInclude(facts(error), { reason: "Job", position: 3, line: 1 })
      assert.instanceOf(error.cause, DsqlJobs.DsqlJobError)
      assert.match(error.message, /duplicate.*the INVALID index public\.once was dropped/i)
      assert.deepStrictEqual(yield* sql`SELECT 1 FROM pg_indexes WHERE indexname = 'once'`, [])
      yield* sql`DELETE FROM t`
      yield* migrate(files)
      assert.deepStrictEqual(yield* sql`SELECT to_regclass('u')::text AS u, to_regclass('once')::text AS once`, [
        { u: "u", once: "once" }
      ])
    })
  )

  it.effect("try again what loses a conflict, and give up with its error when that does not end", () =>
    Effect.gen(function* () {
      yield* fresh
      const local = yield* DsqlLocal
      yield* local.failNext("statement", conflict("Schema"), { probability: 0.3, times: 30, seed: 7 })
      yield* local.failNext("COMMIT", conflict(), { probability: 0.3, times: 10, seed: 8 })
      yield* migrate(set)
      yield* local.clearFaults
      yield* fresh
      yield* migrate({ "1_a.sql": "CREATE TABLE a ()" })
      const files = { "1_a.sql": "CREATE TABLE a ()", "2_b.sql": "INSERT INTO a DEFAULT VALUES" }
      const error = yield* failing(files, {
        retry: { ...retry, times: 3 },
        onEvent: (event) =>
          event._tag === "Started" ? local.failNext("statement", conflict("Schema"), { times: 4 }) : Effect.void
      })
      assert.deepInclude(facts(error), { reason: "Statement", migration: "2_b", position: 1 })
      assert.strictEqual(error.cause instanceof DsqlErrors.DsqlConflictError && error.cause.attempts, 4)
      assert.deepStrictEqual(yield* local.pendingFaults, [])
      assert.deepStrictEqual(yield* migrate(files), [[2, "b"]])
    })
  )

  /** As if the run had died at a statement of the last migration: nothing behind it is known, and of itself no end. */
  const diedAt = (id: number, position: number, then: string, isDone = false) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`DELETE FROM effect_sql_migrations WHERE migration_id = ${id}`
      yield* sql`DELETE FROM effect_sql_migrations_statements WHERE migration_id = ${id} AND position > ${position}`
      yield* sql`UPDATE effect_sql_migrations_statements SET state = ${isDone ? "done" : "running"}, job_id = NULL
        WHERE migration_id = ${id} AND position = ${position}`
      yield* Effect.forEach(then.split("; "), (statement) => sql.unsafe(statement))
    })

  it.effect("look into the catalog after a death between a statement and its entry", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE SCHEMA shop`
      const created = { "1_a.sql": "CREATE TABLE shop.t (n int); INSERT INTO shop.t VALUES (1)" }
      yield* migrate(created)
      // It took effect: it is not run again, and what stands behind it is.
      yield* diedAt(1, 1, "DELETE FROM shop.t")
      assert.deepStrictEqual(yield* migrate(created), [[1, "a"]])
      assert.deepStrictEqual(yield* sql`SELECT n FROM shop.t`, [{ n: 1 }])
      // It did not.
      yield* diedAt(1, 1, "DROP TABLE shop.t")
      assert.deepStrictEqual(yield* migrate(created), [[1, "a"]])
      assert.deepStrictEqual(yield* sql`SELECT n FROM shop.t`, [{ n: 1 }])

      const altered = {
        ...created,
        "2_b.sql": `ALTER TABLE shop.t ADD COLUMN a int; ALTER TABLE shop.t RENAME COLUMN n TO m;
          CREATE UNIQUE INDEX ASYNC once ON shop.t (m); ALTER TABLE shop.t DROP COLUMN a`
      }
      yield* migrate(altered)
      for (const [position, undone] of [
        [4, "SELECT 1"],
        [4, "ALTER TABLE shop.t ADD a int"],
        [3, "ALTER TABLE shop.t ADD a int"],
        [3, "ALTER TABLE shop.t ADD a int; DROP INDEX shop.once"],
        [2, "ALTER TABLE shop.t ADD a int; DROP INDEX shop.once"],
        [2, "ALTER TABLE shop.t ADD a int; DROP INDEX shop.once; ALTER TABLE shop.t RENAME m TO n"],
        [1, "ALTER TABLE shop.t ADD a int; DROP INDEX shop.once; ALTER TABLE shop.t RENAME m TO n"],
        [1, "DROP INDEX shop.once; ALTER TABLE shop.t RENAME m TO n"]
      ] as const) {
        yield* diedAt(2, position, undone)
        assert.deepStrictEqual(yield* migrate(altered), [[2, "b"]], `${position}: ${undone}`)
        assert.deepStrictEqual(yield* columns("shop.t"), ["m"])
        assert.deepStrictEqual(yield* sql`SELECT indisvalid FROM pg_index WHERE indexrelid = 'shop.once'::regclass`, [
          { indisvalid: true }
        ])
      }
    })
  )

  it.effect("stop where nobody can tell, and say what to look at and what to do then", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const files = { "1_a.sql": "CREATE TABLE t (n int);\nCREATE INDEX ASYNC ON t (n);\nINSERT INTO t VALUES (1)" }
      const indexes = sql<{ n: number }>`SELECT count(*)::int AS n FROM pg_indexes WHERE tablename = 't'`
      yield* migrate(files)
      for (const [took, remedy] of [
        [true, /If it has: (UPDATE .*?)\./],
        [false, /If not: (DELETE .*?)\./]
      ] as const) {
        yield* diedAt(1, 2, took ? "SELECT 1" : "DROP INDEX t_n_idx")
        const error = yield* failing(files)
        assert.deepStrictEqual(facts(error), {
          reason: "Uncertain",
          migration: "1_a",
          file: "1_a.sql",
          line: 2,
          position: 2,
          statement: "CREATE INDEX ASYNC ON t (n)"
        })
        const [, statement] = remedy.exec(error.message) ?? []
        yield* sql.unsafe(statement!)
        assert.deepStrictEqual(yield* migrate(files), [[1, "a"]])
        assert.deepStrictEqual(yield* indexes, [{ n: 1 }])
      }
    })
  )

  it.effect("survive a connection that breaks under a statement", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      for (const seed of [1, 2, 3]) {
        yield* fresh
        yield* local.failNext("statement", connectionLost(), { probability: 0.15, times: 10, seed })
        yield* local.failNext("statement", unavailable(), { probability: 0.1, times: 5, seed })
        yield* local.dropAtCommit("after", { probability: 0.2, times: 3, seed })
        yield* local.dropAtCommit("during", { probability: 0.2, times: 3, seed })
        yield* migrate(set).pipe(
          Effect.retry({ while: (error) => DsqlErrors.isDsqlError(error) && DsqlErrors.isTransient(error), times: 10 })
        )
        yield* local.clearFaults
        assert.deepStrictEqual(yield* sql`SELECT name FROM visited ORDER BY 1`, [{ name: "Ana!" }, { name: "Bo!" }])
        assert.deepStrictEqual(yield* migrate(set), [])
      }
    })
  )

  it.effect("survive a cluster that crashes in the middle, and go on after one that stayed away", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const sql = yield* SqlClient.SqlClient
      const during = (position: number, what: Effect.Effect<void, unknown>, deadline: "1 second" | "30 seconds") =>
        DsqlMigrator.run({
          loader: DsqlMigrator.fromSql(set),
          retry: { ...retry, deadline },
          lease: "5 seconds",
          onEvent: (event) =>
            event._tag === "Statement" && event.id === 2 && event.position === position && event.state === "running"
              ? Effect.orDie(what)
              : Effect.void
        })
      yield* fresh
      yield* during(4, local.restart, "30 seconds")
      assert.deepStrictEqual(yield* sql`SELECT name FROM visited ORDER BY 1`, [{ name: "Ana!" }, { name: "Bo!" }])
      yield* fresh
      const error = yield* Effect.flip(during(2, local.stop, "1 second"))
      assert.instanceOf(error, DsqlMigrator.DsqlMigrationError)
      assert.deepInclude(facts(error), { reason: "Statement", file: "0002_add_counts.sql", position: 2 })
      assert.instanceOf(error.cause, DsqlErrors.DsqlConnectionError)
      yield* local.start
      // It could not give its lease back, which runs out.
      assert.deepStrictEqual(yield* migrate(set), [[2, "add_counts"]])
      assert.deepStrictEqual(yield* sql`SELECT name FROM visited ORDER BY 1`, [{ name: "Ana!" }, { name: "Bo!" }])
    })
  )

  it.effect("write as many rows in a statement as the service allows", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      yield* migrate({ "1_a.sql": "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 3000)" })
      assert.deepStrictEqual(yield* sql`SELECT count(*)::int AS n FROM t`, [{ n: 3_000 }])
    })
  )

  const fromEffects = (migrations: Parameters<typeof DsqlMigrator.fromRecord>[0]) =>
    DsqlMigrator.run({ loader: DsqlMigrator.fromRecord(migrations), retry })

  it.effect("written as Effects go on where they stopped", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const first = Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE owner (id int PRIMARY KEY, name text)`
        yield* sql`CREATE TABLE log (n int)`
        yield* sql`INSERT INTO log VALUES (${1})`
      })
      let conflicts = 1
      const second = (fifth: Effect.Effect<unknown, unknown, SqlClient.SqlClient>) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`INSERT INTO owner ${sql.insert([{ id: 1, name: "Ana" }])}`
          yield* Effect.forEach([1, 2], (n) => sql`INSERT INTO log VALUES (${n})`).pipe(
            // The first time its transaction runs twice, and later not at all.
            Effect.zipRight(Effect.suspend(() => (conflicts-- > 0 ? Effect.fail(conflict()) : Effect.void))),
            DsqlTransaction.withRetry(retry)
          )
          yield* DsqlJobs.createIndex({ name: "by_name", table: "owner", columns: ["name"], unique: true })
          yield* fifth
          const [owner] = yield* sql<{ name: string }>`SELECT name FROM owner WHERE id = 1`
          yield* sql`INSERT INTO log SELECT length(${owner!.name})`
          yield* sql.withTransaction(sql`INSERT INTO log VALUES (9)`)
        })
      const failed = yield* Effect.flip(
        fromEffects({ "1_a": first, "2_b": second(sql`SELECT 1 / 0`) as Effect.Effect<void, unknown> })
      )
      assert.instanceOf(failed, DsqlMigrator.DsqlMigrationError)
      assert.deepInclude(facts(failed), { reason: "Failed", migration: "2_b" })
      const mine = yield* Effect.flip(
        fromEffects({ "1_a": first, "2_b": second(Effect.fail("mine")) as Effect.Effect<void, unknown> })
      )
      assert.deepStrictEqual([mine instanceof DsqlMigrator.DsqlMigrationError && mine.cause], ["mine"])
      const bad = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO log VALUES ('x')`)
      const refused = yield* Effect.flip(
        fromEffects({ "1_a": first, "2_b": second(bad) as Effect.Effect<void, unknown, SqlClient.SqlClient> })
      )
      assert.instanceOf(refused, DsqlMigrator.DsqlMigrationError)
      assert.deepInclude(facts(refused), {
        reason: "Statement",
        migration: "2_b",
        position: 5,
        statement: "INSERT INTO log VALUES ('x')"
      })
      const ran = yield* fromEffects({
        "1_a": first,
        "2_b": second(Effect.void) as Effect.Effect<void, unknown, SqlClient.SqlClient>
      })
      assert.deepStrictEqual(ran, [[2, "b"]])
      assert.deepStrictEqual(
        yield* sql`SELECT n FROM log ORDER BY n`,
        [1, 1, 2, 3, 9].map((n) => ({ n }))
      )
    })
  )

  it.effect("written as Effects are refused when they go on with other statements, or need rows that are gone", () =>
    Effect.gen(function* () {
      yield* fresh
      const attempt = (...statements: ReadonlyArray<(sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>>) =>
        fromEffects({
          "1_a": Effect.flatMap(SqlClient.SqlClient, (sql) =>
            Effect.forEach(statements, (statement) => statement(sql), { discard: true })
          )
        }).pipe(
          Effect.flip,
          Effect.map((error) => {
            assert.instanceOf(error, DsqlMigrator.DsqlMigrationError)
            return error
          })
        )
      const stop = () => Effect.fail("stop")
      const create = (sql: SqlClient.SqlClient) => sql`CREATE TABLE t (n int)`
      const insert = (n: number) => (sql: SqlClient.SqlClient) => sql`INSERT INTO t VALUES (${n})`
      const returning = (sql: SqlClient.SqlClient) => sql`INSERT INTO t VALUES (7) RETURNING n`
      assert.strictEqual((yield* attempt(create, insert(1), stop)).reason, "Failed")
      assert.deepInclude(facts(yield* attempt(create, insert(2), stop)), { reason: "Edited", position: 2 })
      // Passed over or not.
      const passed = (sql: SqlClient.SqlClient) => Effect.ignore(insert(2)(sql))
      assert.deepInclude(facts(yield* attempt(create, passed)), { reason: "Edited", position: 2 })
      const inTransaction = (sql: SqlClient.SqlClient) => sql.withTransaction(sql`CREATE TABLE u ()`)
      assert.deepInclude(facts(yield* attempt(create, insert(1), inTransaction)), { reason: "Script", position: 3 })
      assert.strictEqual((yield* attempt(create, insert(1), returning, stop)).reason, "Failed")
      assert.deepInclude(facts(yield* attempt(create, insert(1), returning, stop)), {
        reason: "Uncertain",
        position: 3
      })
      const session = (sql: SqlClient.SqlClient) => sql`SET search_path TO x`
      assert.deepInclude(facts(yield* attempt(session)), { reason: "Script" })
    })
  )

  it.effect("written as Effects may hold batches, which run again as a whole", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      yield* migrate({
        "1_a.sql": "CREATE TABLE t (n int PRIMARY KEY, m int); INSERT INTO t SELECT generate_series(1, 500)"
      })
      const backfill = (stops: boolean) =>
        fromEffects({
          "1_a": Effect.void,
          "2_b": Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const options = { table: "t", key: ["n"], maxRows: 100, where: sql`m IS NULL`, repeatable: true } as const
            yield* DsqlBatch.update({
              ...options,
              set: sql`m = 1`,
              onProgress: () => (stops ? Effect.fail("stop") : Effect.void)
            })
            yield* sql`ALTER TABLE t ADD COLUMN k int`
          })
        })
      // One that ran as a file of SQL is not looked at any more.
      assert.isTrue(Exit.isFailure(yield* Effect.exit(backfill(true))))
      assert.deepStrictEqual(yield* backfill(false), [[2, "b"]])
      assert.deepStrictEqual(yield* sql`SELECT m, count(*)::int AS n FROM t GROUP BY m`, [{ m: 1, n: 500 }])
    })
  )

  it.effect("are run by one of many that come at once, and seen by the others", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const exits = yield* Effect.forEach(Array.from({ length: 8 }), () => Effect.exit(migrate(set)), {
        concurrency: "unbounded"
      })
      const ran = exits.map((exit) => (Exit.isSuccess(exit) ? exit.value.length : String(exit)))
      assert.deepStrictEqual(ran.toSorted(), [0, 0, 0, 0, 0, 0, 0, 2])
      assert.deepStrictEqual(yield* sql`SELECT name FROM visited ORDER BY 1`, [{ name: "Ana!" }, { name: "Bo!" }])
    })
  )

  it.effect("are left to others when a deployer is silent for too long, and it can write nothing more", () =>
    Effect.gen(function* () {
      yield* fresh
      const sql = yield* SqlClient.SqlClient
      const taken = sql`UPDATE effect_sql_migrations_lease SET token = 'other', holder = 'other', expires_at = now() + interval '1 hour'`
      const files = { "1_a.sql": "CREATE TABLE a (); CREATE TABLE b ()" }
      const secondStatement = (what: Effect.Effect<unknown, unknown>) => (event: DsqlMigrator.MigrationEvent) =>
        event._tag === "Statement" && event.position === 2 && event.state === "running"
          ? Effect.orDie(Effect.asVoid(what))
          : Effect.void
      const error = yield* failing(files, { patience: "1 second", onEvent: secondStatement(taken) })
      assert.deepInclude(facts(error), { reason: "LeaseLost" })
      assert.deepStrictEqual(yield* sql`SELECT to_regclass('b') AS b`, [{ b: null }])
      const waiting = yield* failing(files, { patience: "1 second" })
      assert.strictEqual(waiting.reason, "LeaseTimeout")
      assert.match(waiting.message, /other has been migrating/)
      assert.strictEqual((yield* DsqlMigrator.status({ loader: DsqlMigrator.fromSql(files) })).holder, "other")
      yield* sql`UPDATE effect_sql_migrations_lease SET expires_at = now()`
      assert.deepStrictEqual(yield* migrate(files), [[1, "a"]])
    })
  )

  it.effect("are waited for by a deployer that lost its lease, whether another one finishes them or nobody does", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const files = { "1_a.sql": "CREATE TABLE a ()", "2_b.sql": "CREATE TABLE b (); INSERT INTO b DEFAULT VALUES" }
      const overtaken = (then: Effect.Effect<unknown, unknown, SqlClient.SqlClient>) =>
        Effect.gen(function* () {
          yield* fresh
          const context = yield* Effect.context<SqlClient.SqlClient>()
          const events: Array<string> = []
          const ran = yield* DsqlMigrator.run({
            loader: DsqlMigrator.fromSql(files),
            retry,
            onEvent: (event) =>
              Effect.suspend(() => {
                events.push(event._tag === "Waiting" ? `Waiting for ${event.holder}` : event._tag)
                const isThere =
                  event._tag === "Statement" && event.id === 2 && event.position === 1 && event.state === "running"
                if (!isThere || events.includes("Overtaken")) return Effect.void
                events.push("Overtaken")
                return Effect.orDie(Effect.asVoid(Effect.provide(then, context)))
              })
          })
          assert.deepStrictEqual(yield* sql`SELECT count(*)::int AS n FROM b`, [{ n: 1 }])
          return { ran, events: events.slice(events.indexOf("Overtaken") + 1) }
        })
      const runOut = sql`UPDATE effect_sql_migrations_lease SET expires_at = now()`
      const other = Effect.zipRight(runOut, migrate(files))
      assert.deepStrictEqual(yield* overtaken(other), { ran: [[1, "a"]], events: ["Waiting for undefined"] })
      const taken = sql`UPDATE effect_sql_migrations_lease SET token = 'other', holder = 'other', expires_at = now() + interval '1 second'`
      assert.deepStrictEqual(yield* overtaken(taken), {
        ran: [
          [1, "a"],
          [2, "b"]
        ],
        events: ["Waiting for other", "Started", ...Array.from({ length: 4 }, () => "Statement"), "Finished"]
      })
    })
  )

  it.effect("keep their lease while a statement takes longer than it", () =>
    Effect.gen(function* () {
      yield* fresh
      const files = { "1_a.sql": "CREATE TABLE a (); SELECT pg_sleep(2.5); CREATE TABLE b ()" }
      const run = DsqlMigrator.run({ loader: DsqlMigrator.fromSql(files), retry, lease: "1 second" })
      const both = yield* Effect.all([run, run], { concurrency: 2 })
      assert.deepStrictEqual(both.map((ran) => ran.length).toSorted(), [0, 1])
    })
  )

  it.effect("go by options that can be right, and by themselves", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const loader = DsqlMigrator.fromSql(set)
      for (const wrong of [{ lease: "1 millis" }, { patience: "1 week" }, { retry: { base: "1 hour" } }] as const) {
        const error = yield* Effect.flip(DsqlMigrator.run({ loader, ...wrong }))
        assert.strictEqual(error._tag, "DsqlConfigError")
      }
      assert.deepInclude(yield* Effect.flip(sql.withTransaction(DsqlMigrator.run({ loader }))), {
        reason: "InsideTransaction"
      })
    })
  )
})
