import { SqlError } from "@effect/sql/SqlError"
import { assert, describe, it, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Option } from "effect"
import { DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Case, Origin, Rows, Tag } from "./errors/cases.js"
import * as login from "./errors/login.js"
import * as settings from "./errors/settings.js"
import * as statements from "./errors/statements.js"
import * as transactions from "./errors/transactions.js"
import * as work from "./errors/work.js"
import { withInstruments } from "./support/instruments.js"

/** Every error of the package, under its tag; one that is missing does not compile. */
const table: { readonly [T in Tag]: Rows<T> } = {
  DsqlConfigError: settings.config,
  DsqlRegionError: settings.region,
  DsqlCredentialsError: settings.credentials,
  DsqlTokenError: settings.token,
  DsqlAuthenticationError: login.authentication,
  DsqlConnectionError: login.connection,
  DsqlTransactionError: transactions.transaction,
  DsqlConflictError: statements.conflicts,
  DsqlCommitOutcomeUnknownError: transactions.commit,
  DsqlLimitError: statements.limits,
  DsqlUnsupportedError: statements.unsupported,
  DsqlUnavailableError: statements.unavailable,
  DsqlConstraintError: statements.constraints,
  DsqlQueryError: statements.query,
  DsqlBatchError: work.batch,
  DsqlJobError: work.job,
  DsqlMigrationError: work.migration,
  DsqlLocalError: transactions.local,
  DsqlUnscriptedError: transactions.unscripted
}

const rows = Object.entries(table).flatMap(([tag, reasons]) =>
  Object.entries(reasons).map(([reason, row]) => ({ tag, reason, row }))
)

/** The one failure of an exit, which must not be mixed with a defect. */
const onlyFailure = (exit: Exit.Exit<unknown, unknown>): unknown => {
  assert(Exit.isFailure(exit), "it succeeded")
  assert.isTrue(Cause.isFailType(exit.cause), Cause.pretty(exit.cause))
  return Option.getOrThrow(Cause.failureOption(exit.cause))
}

/** The error itself: statements of a client fail with a `SqlError` around it, whose message is the same. */
const within = (failure: unknown): Error & Record<string, unknown> => {
  const error = failure instanceof SqlError ? failure.cause : failure
  assert.instanceOf(error, Error)
  assert.strictEqual((failure as Error).message, (error as Error).message)
  return error as Error & Record<string, unknown>
}

const originOf = (error: unknown): Origin => {
  for (let at = error; ; at = (at as Error).cause) {
    const { cause, code, name } = at as Error & { readonly code?: string }
    if (cause === undefined) return code === undefined ? { name } : { name, code }
  }
}

/** What the server did not send is `undefined` in its fields. */
const withoutHoles = (value: unknown): unknown => (value === undefined ? value : JSON.parse(JSON.stringify(value)))

/** What an operator looks for, if the error knows it. */
const named = ["host", "address", "user", "option", "profile", "command", "feature", "hint", "constraint", "column"]

const check = (tag: string, reason: string, { facts = {}, fails, is = [], next, origin }: Case) =>
  Effect.gen(function* () {
    const error = within(onlyFailure(yield* Effect.exit(fails)))
    assert.strictEqual(error["_tag"], tag, error.message)
    assert.strictEqual(error["reason"] ?? "-", reason, error.message)
    for (const [field, expected] of Object.entries(facts)) {
      assert.deepStrictEqual(withoutHoles(error[field]), expected, `${field}: ${error.message}`)
    }
    for (const field of named) {
      if (typeof error[field] === "string") assert.include(error.message, error[field])
    }
    assert.match(error.message, next, error.message)
    assert.deepStrictEqual(error.message.match(/effect-dsql\/docs\/\S+\.md/g), [`effect-dsql/docs/errors/${tag}.md`])
    assert.deepStrictEqual(originOf(error), origin ?? { name: tag }, error.message)

    const wrapped = new SqlError({ cause: error })
    const ours = DsqlErrors.isDsqlError(error)
    assert.deepStrictEqual(
      [DsqlErrors.unwrap(error), DsqlErrors.unwrap(wrapped)],
      ours ? [error, error] : [undefined, undefined]
    )
    for (const seen of [error, wrapped]) {
      const inner = DsqlErrors.unwrap(seen)
      assert.deepStrictEqual(
        {
          conflict: DsqlErrors.isConflict(seen),
          retryable: DsqlErrors.isRetryable(seen),
          transient: inner !== undefined && DsqlTransaction.isTransient(inner)
        },
        {
          conflict: is.includes("conflict"),
          retryable: is.includes("retryable"),
          transient: is.includes("transient")
        },
        error.message
      )
      const refined = yield* Effect.flip(DsqlErrors.refine(Effect.fail(seen)))
      assert.strictEqual(refined, ours ? error : seen)
    }
    if ("isRetryable" in error) assert.strictEqual(error["isRetryable"], is.includes("retryable"))
  })

const root = fileURLToPath(new URL("..", import.meta.url))

layer(DsqlLocal.layer(withInstruments), { excludeTestServices: true, timeout: "60 seconds" })("errors", (it) => {
  for (const { reason, row, tag } of rows) {
    const title = reason === "-" ? tag : `${tag} ${reason}`
    if ("elsewhere" in row) {
      it.effect(`${title} is raised in ${row.elsewhere}`, () =>
        Effect.sync(() => assert.include(readFileSync(`${root}/${row.elsewhere}`, "utf8"), `"${reason}"`))
      )
    } else {
      for (const one of row as ReadonlyArray<Case>) {
        it.scoped(`${title} when ${one.when}`, () => check(tag, reason, one))
      }
    }
  }
})

describe("the table of errors", () => {
  const lines = readFileSync(`${root}/docs/errors/README.md`, "utf8").split("\n")

  it.each(Object.entries(table))("lists %s with all its reasons and no others", (tag, reasons) => {
    const line = lines.find((line) => line.startsWith(`| [\`${tag}\`](${tag}.md)`)) ?? assert.fail(`no row for ${tag}`)
    const listed = [...line.split("|")[2]!.matchAll(/`(\w+)`/g)].map(([, reason]) => reason)
    assert.sameMembers(
      listed,
      Object.keys(reasons).filter((reason) => reason !== "-")
    )
  })
})

describe("what a server says", () => {
  const peer = { host: "cluster", address: "cluster:5432", user: "admin" }
  const messageOf = (sqlState: string, message: string) =>
    DsqlErrors.fromServerError({ sqlState, message }, peer).message

  /** Refusals (0A000) of real clusters, and what their readers are sent to. */
  const refusals: ReadonlyArray<readonly [said: string, instead: RegExp]> = [
    ["unsupported statement: Listen", /message service/],
    ["unsupported statement: Notify", /message service/],
    ["unsupported transaction statement: SAVEPOINT", /joins the outer one/],
    ["unsupported transaction statement: ROLLBACK TO", /joins the outer one/],
    ["Unsupported isolation level: SERIALIZABLE", /every transaction is REPEATABLE READ/],
    ['setting configuration parameter "TRANSACTION" not supported', /every transaction is REPEATABLE READ/],
    ['setting configuration parameter "statement_timeout" not supported', /the service manages that setting/],
    ["multiple ddl statements not supported in a transaction", /every DDL statement in a transaction of its own/],
    ["ddl and dml are not supported in the same transaction", /every DDL statement in a transaction of its own/],
    ["unsupported statement: Truncate", /DELETE in batches/],
    ["TEMPORARY or TEMP table not supported for CREATE TABLE", /WITH query/],
    ["unsupported statement: CreateTableAs", /INSERT … SELECT/],
    ["unsupported mode. please use CREATE INDEX ASYNC.", /CREATE INDEX ASYNC with plain/],
    ["CONCURRENTLY not supported for CREATE INDEX", /CREATE INDEX ASYNC with plain/],
    ["specifying sort order not supported for index keys", /CREATE INDEX ASYNC with plain/],
    ["datatype jsonb is not supported in a key", /a column of another type/],
    ["datatype integer[] not supported", /fit into jsonb/],
    ["ALTER TABLE ADD COLUMN with constraint not supported", /add the column alone/],
    ["unsupported ALTER TABLE ALTER COLUMN ... SET DATA TYPE statement", /a column of the new type/],
    ["unsupported ALTER TABLE ALTER COLUMN ... SET NOT NULL statement", /IS NOT NULL\) NOT VALID/],
    ["unsupported ALTER TABLE ADD CONSTRAINT statement", /add it NOT VALID/],
    ["unsupported ALTER TABLE VALIDATE CONSTRAINT statement", /ALTER TABLE ASYNC … VALIDATE CONSTRAINT/],
    ["unsupported statement: Lock", /let COMMIT find conflicts/],
    ["function pg_advisory_lock not supported", /let COMMIT find conflicts/],
    ["locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported", /SELECT … FOR UPDATE/],
    ["CREATE TRIGGER not supported", /in the program, or in a function in LANGUAGE sql/],
    ["CREATE FUNCTION with language plpgsql not supported", /in the program, or in a function in LANGUAGE sql/],
    ["PROCEDURE is not supported", /in the program, or in a function in LANGUAGE sql/],
    ["CREATE TYPE not supported", /CHECK constraint, or a domain/],
    ["unsupported statement: DeclareCursor", /as a stream/],
    ["TABLESAMPLE clause not supported", /"SQL feature compatibility"/]
  ]
  it.each(refusals)("%s", (said, instead) => {
    const message = messageOf("0A000", said)
    assert.include(message, `${said} [0A000]; `)
    assert.match(message, instead)
  })

  const others: ReadonlyArray<readonly [sqlState: string, said: string, remedy: RegExp]> = [
    ["22P02", 'invalid input syntax for type uuid: "x"', /correct the value/],
    ["25006", "cannot execute INSERT in a read-only transaction", /write in another one/],
    ["25P02", "current transaction is aborted, commands ignored until end of transaction block", /failed before/],
    ["3F000", 'schema "shop" does not exist', /search_path, and whether all migrations/],
    ["42501", "permission denied for table owner", /grant the privilege/],
    ["42601", 'syntax error at or near "."', /correct the syntax/],
    ["42703", 'column "nmae" does not exist', /check the name/],
    ["42704", 'type "serial" does not exist', /GENERATED BY DEFAULT AS IDENTITY/],
    ["42704", 'type "mood" does not exist', /check the name/],
    ["42710", 'role "orders" already exists', /it is there already/],
    ["42P07", 'relation "owner" already exists', /it is there already/],
    ["42P02", "there is no parameter $1", /correct the statement/],
    ["42809", "sys.wait_for_job(text) is a procedure", /correct the statement/],
    ["57014", "canceling statement due to user request", /it was cancelled/],
    ["55000", 'index "by_name" is not valid', /"Error Codes" in the PostgreSQL manual/]
  ]
  it.each(others)("%s %s", (sqlState, said, remedy) => {
    const message = messageOf(sqlState, said)
    assert.include(message, `${said} [${sqlState}]; `)
    assert.match(message, remedy)
  })
})

it("a reason without a row does not compile", () => {
  const { Dns: _, ...others } = login.connection
  // @ts-expect-error Dns is missing
  void (others satisfies Rows<"DsqlConnectionError">)
  // @ts-expect-error there is no such reason
  void ({ ...login.connection, Lost: [] } satisfies Rows<"DsqlConnectionError">)
})
