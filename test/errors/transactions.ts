/** Transactions that cannot go on, and a COMMIT that nobody answers. */
import { SqlClient } from "@effect/sql"
import { Effect, Redacted } from "effect"
import { DsqlTransaction } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { against, build, locally, type Rows, server } from "./cases.js"

const withSql = <A, E, R>(f: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient.SqlClient, f)

export const transaction: Rows<"DsqlTransactionError"> = {
  Aborted: [
    {
      when: "a failed statement was passed over",
      fails: locally(withSql((sql) => sql.withTransaction(Effect.ignore(sql`SELECT 1 / 0`)))),
      next: /rolled back at COMMIT.*mend that.*: division by zero \[22012\]/,
      origin: server("22012")
    },
    {
      when: "a conflict was passed over",
      fails: against(
        { SELECT: { C: "40001", M: "schema has been updated by another transaction (OC001)" } },
        withSql((sql) => sql.withTransaction(Effect.ignore(sql`SELECT 1`)))
      ),
      next: /let its error end the transaction: The schema was changed/,
      is: ["transient"],
      origin: server("40001")
    }
  ],
  NestedFailure: [
    {
      when: "the failure of a nested one was passed over",
      fails: locally(withSql((sql) => sql.withTransaction(Effect.ignore(sql.withTransaction(sql`SELECT 1 / 0`))))),
      next: /let the error end it too, or run that part outside of it: division by zero/,
      origin: server("22012")
    },
    {
      when: "a nested one has failed without the server",
      fails: locally(withSql((sql) => sql.withTransaction(Effect.ignore(sql.withTransaction(Effect.fail("mine")))))),
      next: /let the error end it too, or run that part outside of it/
    }
  ],
  Finished: [
    {
      when: "a reserved connection is kept beyond its scope",
      fails: locally(
        withSql((sql) => Effect.flatMap(Effect.scoped(sql.reserve), (kept) => kept.executeRaw("SELECT 1", [])))
      ),
      next: /await every fiber inside of it/
    }
  ],
  InsideTransaction: [
    {
      when: "a single statement is to be retried",
      fails: locally(withSql((sql) => sql.withTransaction(DsqlTransaction.retryStatement(sql`SELECT 1`)))),
      next: /make it before or after.*DsqlTransaction\.withRetry around the whole transaction/
    }
  ]
}

const committing = withSql((sql) => sql.withTransaction(sql`INSERT INTO t VALUES (1)`))

export const commit: Rows<"DsqlCommitOutcomeUnknownError"> = {
  "-": [
    {
      when: "the connection breaks under COMMIT",
      fails: against({ COMMIT: "hangUp" }, committing),
      next: /look in the database whether it took effect.*`verify`.*: Connection to \w+\.dsql\.(?!.*transaction again)/,
      origin: { name: "Error" }
    },
    {
      when: "the service is unavailable at COMMIT",
      fails: against({ COMMIT: { C: "XX000", M: "server unavailable" } }, committing),
      next: /look in the database whether it took effect.*server unavailable(?!.*transaction again)/,
      origin: server("XX000")
    }
  ]
}

export const local: Rows<"DsqlLocalError"> = {
  PortInUse: [
    {
      when: "somebody else listens there",
      fails: Effect.flatMap(DsqlLocal, ({ port }) => build(DsqlLocal.layer({ port }))),
      next: /Port \d+ is in use\. Stop what listens/,
      origin: { name: "Error", code: "EADDRINUSE" }
    }
  ],
  StartFailed: [
    {
      when: "a region is none",
      fails: build(DsqlLocal.layer({ region: "us east" })),
      next: /region must match/,
      origin: { name: "LocalClusterError" }
    }
  ],
  InvalidArn: [
    {
      when: "an identity has no ARN",
      fails: Effect.flatMap(DsqlLocal, (local) =>
        local.addIdentity({ accessKeyId: "AKIA", secretAccessKey: Redacted.make("s"), arn: "orders" })
      ),
      next: /arn:aws:iam::<12 digits>:user\/<name>/,
      origin: { name: "LocalClusterError" }
    }
  ],
  Unexpected: [
    {
      when: "an identity has a secret that is not redacted",
      fails: Effect.flatMap(DsqlLocal, (local) =>
        local.addIdentity({ accessKeyId: "AKIA", secretAccessKey: "s" as unknown as Redacted.Redacted })
      ),
      next: /redacted/,
      origin: { name: "Error" }
    }
  ],
  ResetFailed: { elsewhere: "test/local/layers.test.ts" },
  MissingPackage: { elsewhere: "test/local/installation.test.ts" },
  UnsupportedPlatform: { elsewhere: "test/local/installation.test.ts" },
  CannotRun: { elsewhere: "test/local/installation.test.ts" },
  DataInUse: { elsewhere: "test/local/data.test.ts" },
  DataUnusable: { elsewhere: "test/local/data.test.ts" },
  DataIncompatible: { elsewhere: "test/local/data.test.ts" }
}

export const unscripted: Rows<"DsqlUnscriptedError"> = {
  "-": [
    {
      when: "a test has forgotten a statement",
      fails: Effect.provide(
        withSql((sql) => sql`SELECT ${1}`),
        DsqlTesting.layerClient([DsqlTesting.answer("SELECT 2", [])])
      ),
      facts: { sql: "SELECT $1", params: [1], scripted: ["SELECT 2"] },
      next: /No answer is scripted for this statement with 1 parameter:\n  SELECT \$1\nScripted:\n  SELECT 2/
    }
  ]
}
