/** Transactions that lose for real, and their exits in a form that can be compared as a whole. */
import { SqlClient, SqlError } from "@effect/sql"
import { Cause, Effect, Exit } from "effect"
import { DsqlErrors } from "effect-dsql"

/** Retries that do not make a test wait. */
export const quick = { base: "1 millis", cap: "5 millis" } as const

const error = (failure: unknown): string => {
  if (failure instanceof SqlError.SqlError) return `SqlError(${error(failure.cause)})`
  if (!DsqlErrors.isDsqlError(failure)) return String(failure)
  const { attempts, cause, reason, sqlState } = failure as unknown as Record<string, unknown>
  const words = [failure._tag, reason, sqlState, attempts === undefined ? undefined : `after ${String(attempts)}`]
  const because = DsqlErrors.isDsqlError(cause) ? ` because of ${error(cause)}` : ""
  return words.filter((word) => word !== undefined).join(" ") + because
}

/** Both sides of a cause that has two; interruption is noted again by every fiber it passes. */
const joined = (conjunction: string) => (left: string, right: string) =>
  left === right || right === "nothing" ? left : left === "nothing" ? right : `${left}, ${conjunction} ${right}`

const cause = (cause: Cause.Cause<unknown>): string =>
  Cause.match(cause, {
    onEmpty: "nothing",
    onFail: (failure) => `fails with ${error(failure)}`,
    onDie: (defect) => `dies with ${String(defect)}`,
    onInterrupt: () => "is interrupted",
    onSequential: joined("then"),
    onParallel: joined("and")
  })

/** Everything of an exit: a defect or an interruption beside a failure would show. */
export const told = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.match(exit, { onSuccess: (value) => `gives ${String(value)}`, onFailure: cause })

export const conflict = ["40001", "change conflicts with another transaction (OC000)"] as const
export const schemaConflict = ["40001", "schema has been updated by another transaction (OC001)"] as const
export const unavailable = ["XX000", "server unavailable"] as const

type Refusal = readonly [sqlState: string, message: string]

/** Real errors of the server, raised by functions of the test; a sequence counts, since no rollback takes it back. */
export const prepare = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS written (name text)`
  yield* sql`
    CREATE OR REPLACE FUNCTION lose(state text, said text) RETURNS int LANGUAGE plpgsql AS
      'BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = said; END'`
  yield* sql`CREATE TABLE IF NOT EXISTS committing (counter text, wins int, state text, said text)`
  yield* sql`
    CREATE OR REPLACE FUNCTION lose_at_commit() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN
         IF nextval(NEW.counter) < NEW.wins THEN PERFORM lose(NEW.state, NEW.said); END IF;
         RETURN NULL;
       END'`
  yield* sql`DROP TRIGGER IF EXISTS at_commit ON committing`
  yield* sql`
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON committing
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lose_at_commit()`
})

/** Fails as a statement. */
export const lose = (sql: SqlClient.SqlClient, [state, said]: Refusal) => sql`SELECT lose(${state}, ${said})`

export const writtenAs = (name: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(sql`SELECT name FROM written WHERE name = ${name}`, (rows) => rows.length)
  )

/** A body whose COMMIT is refused until its `wins`th attempt, and the number of attempts so far. */
export const contender = (counter: string, wins: number, [state, said]: Refusal = conflict) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(`CREATE SEQUENCE ${counter}`)
    const attempts = sql<{ n: number }>`SELECT last_value::int AS n FROM ${sql(counter)}`
    return {
      body: Effect.zipRight(
        sql`INSERT INTO written VALUES (${counter})`,
        sql`INSERT INTO committing VALUES (${counter}, ${wins}, ${state}, ${said})`
      ),
      attempts: Effect.map(attempts, ([row]) => row!.n),
      written: writtenAs(counter)
    }
  })
