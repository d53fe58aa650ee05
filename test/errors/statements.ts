/** What the server says about statements: for real where PostgreSQL says it, else in the service's own words. */
import { PgClient } from "@effect/sql-pg"
import { SqlClient } from "@effect/sql"
import { Effect, Stream } from "effect"
import { DsqlTransaction } from "effect-dsql"
import { against, connect, locally, type Rows, server } from "./cases.js"
import type { Refusal } from "../support/service.js"

const withSql = <A, E, R>(f: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient.SqlClient, f)

const run = (text: string) => withSql((sql) => sql.unsafe(text))

/** A statement that the service refuses. */
const refused = (refusal: Refusal, text = "SELECT 1") => against({ [text.split(" ")[0]!]: refusal }, run(text))

const inTransaction = (refusal: Refusal) =>
  against(
    { SELECT: refusal },
    withSql((sql) => sql.withTransaction(sql`SELECT 1`))
  )

const atCommit = (refusal: Refusal) =>
  against(
    { COMMIT: refusal },
    withSql((sql) => sql.withTransaction(sql`SELECT 1`))
  )

const oc000: Refusal = { C: "40001", M: "change conflicts with another transaction (OC000)" }
const oc001: Refusal = { C: "40001", M: "schema has been updated by another transaction (OC001)" }
const conflict = ["conflict", "retryable", "transient"] as const

export const conflicts: Rows<"DsqlConflictError"> = {
  Data: [
    {
      when: "COMMIT finds that another was faster",
      fails: atCommit(oc000),
      facts: { attempts: 1 },
      next: /committed first \(OC000\): run the whole transaction again, as DsqlTransaction\.withRetry does/,
      is: conflict,
      origin: server("40001")
    },
    {
      when: "a retry has given up",
      fails: against(
        { COMMIT: oc000 },
        run("SELECT 1").pipe(DsqlTransaction.withRetry({ times: 2, base: "1 millis" }))
      ),
      facts: { attempts: 3 },
      next: /after 3 attempts: spread the rows that many transactions change, or give the retry a longer deadline/,
      is: conflict,
      origin: server("40001")
    },
    {
      when: "the retry of a statement has given up",
      fails: against(
        { UPDATE: oc000 },
        run("UPDATE t SET n = 1").pipe(DsqlTransaction.retryStatement({ times: 1, base: "1 millis" }))
      ),
      facts: { attempts: 2 },
      next: /after 2 attempts/,
      is: conflict,
      origin: server("40001")
    }
  ],
  Schema: [
    {
      when: "the catalog has changed",
      fails: refused(oc001),
      next: /\(OC001, or a plan that it made stale\): run the whole transaction again/,
      is: conflict,
      origin: server("40001")
    },
    {
      when: "a plan has become stale inside of a transaction",
      fails: locally(
        withSql((sql) =>
          Effect.gen(function* () {
            yield* sql`CREATE TABLE planned (a int)`
            const select = sql`SELECT * FROM planned WHERE a <> ${0}`
            yield* select
            yield* sql`ALTER TABLE planned ADD COLUMN b int`
            yield* sql.withTransaction(select)
          })
        ),
        { pool: { max: 1 } }
      ),
      next: /run the whole transaction again/,
      is: conflict,
      origin: server("0A000")
    }
  ],
  Unknown: [
    {
      when: "the service says it in other words",
      fails: refused({ C: "40001", M: "mutation conflicts with another transaction, retry as needed" }),
      next: /\(40001\): run the whole transaction again/,
      is: conflict,
      origin: server("40001")
    }
  ]
}

/** A quota, in the words of the user guide or as seen on clusters. */
const quota = (C: string, M: string, next: RegExp) => ({
  when: M,
  fails: refused({ C, M }),
  facts: { server: { severity: "ERROR", sqlState: C, message: M } },
  next,
  origin: server(C)
})

export const limits: Rows<"DsqlLimitError"> = {
  Rows: [quota("54000", "transaction row limit exceeded", /transactions of at most 3,000 rows/)],
  Size: [
    {
      when: "a transaction has written too much",
      fails: atCommit({
        C: "54000",
        M: "transaction size limit 10mb exceeded",
        D: "Current transaction size 12mb > 10mb"
      }),
      next: /\[54000\]: Current transaction size 12mb > 10mb; split the work into transactions of at most 10 MiB/,
      origin: server("54000")
    }
  ],
  Age: [
    quota("54000", "transaction age limit of 300s exceeded", /finish transactions within 300 seconds/),
    {
      when: "the client is first to find a transaction too old",
      fails: locally(DsqlTransaction.withRetry(Effect.never, { maxAge: "50 millis" })),
      next: /finish transactions within 300 seconds/
    }
  ],
  RowSize: [quota("54000", "maximum row size exceeded", /a row holds at most 2 MiB/)],
  ValueSize: [
    quota("54000", "maximum column size exceeded", /a value holds at most 1 MiB/),
    quota("54000", "Datatype limit greater than 65535 bytes not supported for varchar", /a value holds at most 1 MiB/)
  ],
  KeySize: [quota("54000", "key size too large", /shorten the primary key or indexed columns/)],
  Objects: [
    quota("54000", "creating more than 1000 tables not allowed", /drop what is no longer needed/),
    quota("54011", "tables can have at most 255 columns", /drop what is no longer needed/)
  ],
  Memory: [
    quota("53200", "query requires too much temp space, out of memory.", /sort or aggregate fewer rows/),
    quota(
      "54000",
      "query requires more than allowed temp space of 131072 KB to execute",
      /sort or aggregate fewer rows/
    )
  ],
  Depth: [
    {
      when: "an expression is nested too deeply",
      fails: locally(run(`SELECT 1${" + 1".repeat(50_000)}`)),
      next: /stack depth limit exceeded.*simplify the expression/,
      origin: server("54001")
    }
  ],
  Storage: [quota("53100", "Current cluster size exceeds cluster size limit.", /ask AWS for a higher quota/)],
  Parameters: [
    {
      when: "a statement has more parameters than the protocol can count",
      fails: locally(withSql((sql) => sql.unsafe("SELECT 1", Array<number>(65_536).fill(1)))),
      next: /65536 parameters.*65,535; split the work into several statements/
    }
  ],
  Other: [
    {
      when: "PostgreSQL has a limit of its own",
      fails: locally(run("SELECT length(repeat('x', 1100000000))")),
      next: /look it up under "Quotas and limits"/,
      origin: server("54000")
    }
  ]
}

export const unsupported: Rows<"DsqlUnsupportedError"> = {
  "-": [
    {
      when: "a program listens",
      fails: locally(Effect.flatMap(PgClient.PgClient, (sql) => Stream.runDrain(sql.listen("orders")))),
      facts: { feature: "LISTEN", server: undefined },
      next: /LISTEN; read a table at intervals, or use a message service/
    },
    {
      when: "the server refuses a statement",
      fails: refused({ C: "0A000", M: "unsupported statement: Truncate" }, "TRUNCATE owner"),
      facts: { feature: "Truncate" },
      next: /unsupported statement: Truncate \[0A000\]; DELETE in batches of at most 3,000 rows/,
      origin: server("0A000")
    },
    {
      when: "a stock client is to be retried",
      fails: DsqlTransaction.retryStatement(Effect.void).pipe(
        Effect.provideService(SqlClient.SqlClient, {} as SqlClient.SqlClient)
      ),
      next: /retrying with a SqlClient of another package; make the client with DsqlLayer/
    }
  ]
}

const serverUnavailable: Refusal = { C: "XX000", M: "server unavailable" }

export const unavailable: Rows<"DsqlUnavailableError"> = {
  "-": [
    {
      when: "a statement on its own is not answered",
      fails: refused(serverUnavailable),
      facts: { outcomeUnknown: true },
      next: /look whether it took effect before you run it again/,
      origin: server("XX000")
    },
    {
      when: "a transaction is not answered",
      fails: inTransaction(serverUnavailable),
      facts: { outcomeUnknown: undefined },
      next: /run the whole transaction again/,
      is: ["retryable", "transient"],
      origin: server("XX000")
    }
  ]
}

/** In tables of its own: a cluster may be shared by many cases. */
const violating = (names: { readonly parent: string; readonly child: string }, values: string) =>
  locally(
    withSql((sql) =>
      Effect.gen(function* () {
        yield* sql`CREATE TABLE ${sql(names.parent)} (id int PRIMARY KEY)`
        yield* sql`
          CREATE TABLE ${sql(names.child)} (
            id int PRIMARY KEY, age int CONSTRAINT adult CHECK (age >= 18), name text NOT NULL,
            parent int REFERENCES ${sql(names.parent)})`
        yield* sql`INSERT INTO ${sql(names.child)} VALUES (1, 20, 'Ana')`
        yield* sql.unsafe(`INSERT INTO ${names.child} VALUES ${values}`)
      })
    )
  )

export const constraints: Rows<"DsqlConstraintError"> = {
  Unique: [
    {
      when: "a key is taken",
      fails: violating({ parent: "unique_parent", child: "unique_child" }, "(1, 20, 'Rui')"),
      facts: { constraint: "unique_child_pkey", table: "unique_child", column: undefined },
      next: /\[23505\]: Key \(id\)=\(1\) already exists; use another key, or INSERT … ON CONFLICT/,
      origin: server("23505")
    }
  ],
  ForeignKey: [
    {
      when: "what is referred to is missing",
      fails: violating({ parent: "foreign_parent", child: "foreign_child" }, "(2, 20, 'Rui', 7)"),
      facts: { constraint: "foreign_child_parent_fkey", table: "foreign_child" },
      next: /write the row that is referred to first/,
      origin: server("23503")
    }
  ],
  Check: [
    {
      when: "a condition does not hold",
      fails: violating({ parent: "check_parent", child: "check_child" }, "(2, 3, 'Rui')"),
      facts: { constraint: "adult", table: "check_child" },
      next: /give values that fulfil the condition/,
      origin: server("23514")
    }
  ],
  NotNull: [
    {
      when: "a value is missing",
      fails: violating({ parent: "null_parent", child: "null_child" }, "(2, 20, NULL)"),
      facts: { constraint: undefined, table: "null_child", column: "name" },
      next: /give the column a value/,
      origin: server("23502")
    }
  ]
}

export const query: Rows<"DsqlQueryError"> = {
  "-": [
    {
      when: "a table is not there",
      fails: locally(run("SELECT * FROM nowhere_to_be_found")),
      facts: { sqlState: "42P01" },
      next: /\[42P01\] at character 15; check the name and search_path, and whether all migrations have run/,
      origin: server("42P01")
    },
    {
      when: "a value cannot be sent",
      fails: locally(Effect.flatMap(PgClient.PgClient, (sql) => sql`SELECT ${sql.json({ n: 1n })}::jsonb`)),
      facts: { sqlState: "22000" },
      next: /BigInt \[22000\]; JSON holds no circular object and no BigInt/,
      origin: { name: "TypeError" }
    },
    {
      when: "the database has another name",
      fails: connect({ database: "orders" }),
      facts: { sqlState: "3D000" },
      next: /leave out the database option/,
      origin: server("3D000")
    }
  ]
}
