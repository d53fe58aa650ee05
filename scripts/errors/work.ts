/** Errors of batches, jobs and migrations. */
import { DsqlBatchError } from "../../src/Batch.js"
import { DsqlCommitOutcomeUnknownError } from "../../src/Errors.js"
import { DsqlJobError } from "../../src/Jobs.js"
import { DsqlMigrationError } from "../../src/Migrator.js"
import { type Page, said } from "./page.js"

const rows = { table: "owner", from: 3001, to: 4000, last: { id: 3000 } }
const duplicate = said("23505", 'duplicate key value violates unique constraint "owner_pkey"')

export const batch: Page<"DsqlBatchError"> = {
  means:
    "Not all batches could be written. Everything before row `from` of the source is done and stays so; `last` is the row before it. With `concurrency` above 1, some rows behind `to` may be done as well.",
  reasons: {
    Failed: {
      cause: "a batch failed, also after it was run again and split; `cause` says why",
      cure: "mend the row or the table, then go on from row `from`, or run all of it again with `onConflict`",
      sample: new DsqlBatchError({
        reason: "Failed",
        ...rows,
        cause: duplicate as NonNullable<DsqlBatchError["cause"]>
      })
    },
    OutcomeUnknown: {
      cause: "the answer to a batch was lost, and there is no `key` by which it could be looked up",
      cure: "look in the table whether the rows are there; give `key` (insert) or `repeatable` (update), and it is settled for you",
      sample: new DsqlBatchError({ reason: "OutcomeUnknown", ...rows, cause: new DsqlCommitOutcomeUnknownError({}) })
    },
    Columns: {
      cause: "a row of the source has other columns than the first",
      cure: "give all rows the same columns, with `null` where there is nothing",
      sample: new DsqlBatchError({ reason: "Columns", ...rows, to: 3001, column: "city" })
    }
  }
}

const job = { jobId: "3oatqzpcojhpzmeq3vsvjmcp4m", jobType: "INDEX_BUILD", objectName: "public.owner_email" }

export const jobs: Page<"DsqlJobError"> = {
  means:
    "An asynchronous job (`CREATE INDEX ASYNC`, `VALIDATE CONSTRAINT`) did not end well, or is not known. `details` are the service's words.",
  reasons: {
    Failed: {
      cause:
        "the service could not build the index or validate the constraint, as a rule because of the data: duplicates, a row that does not fulfil it",
      cure: "mend the data, then create it anew. `dropped` is the INVALID index that was dropped for you; one that was not must be dropped first",
      sample: new DsqlJobError({
        reason: "Failed",
        ...job,
        details: "found duplicate keys",
        dropped: "public.owner_email"
      })
    },
    Timeout: {
      cause: "the job takes longer than the `timeout` of the wait; it goes on all the same",
      cure: "wait again with `DsqlJobs.wait(jobId)`",
      sample: new DsqlJobError({ reason: "Timeout", ...job })
    },
    NotFound: {
      cause: "there never was such a job, or it ended more than 30 minutes ago: the service then forgets it",
      cure: "look at the index or the constraint itself",
      sample: new DsqlJobError({ reason: "NotFound", jobId: job.jobId })
    }
  }
}

const failed = (reason: DsqlMigrationError["reason"], detail: string, more: Partial<DsqlMigrationError> = {}) =>
  new DsqlMigrationError({ reason, detail, file: "0002_add_orders.sql", line: 3, ...more })

export const migration: Page<"DsqlMigrationError"> = {
  means:
    "Migrations stopped, or may not begin. What ran stays, and the next run goes on behind it. `file`, `line`, `position` and `statement` say where, `rule` is the rule by which DSQL refuses a statement.",
  reasons: {
    Loader: {
      cause: "the folder or a module cannot be read, or a module has no Effect as its default export",
      cure: "correct the path, or the export",
      sample: new DsqlMigrationError({ reason: "Loader", detail: "the folder migrations could not be read" })
    },
    Script: {
      cause: "a file cannot be run as it stands: a quote that is not closed, `SET`, `BEGIN` without `COMMIT`",
      cure: "correct it as the message says; a setting goes by `SET LOCAL` between `BEGIN` and `COMMIT`",
      sample: failed("Script", "BEGIN without a COMMIT")
    },
    Duplicate: {
      cause: "two migrations have the same number, often after two branches were merged",
      cure: "give the one that has not run anywhere a higher number",
      sample: new DsqlMigrationError({
        reason: "Duplicate",
        migration: "2_add_cities",
        detail:
          "2_add_orders has the same number; give one of the two another that is higher than those of all that ran"
      })
    },
    Missing: {
      cause: "a migration that ran on this database is not among the files",
      cure: "bring it back as it was; write a new one to undo what it did",
      sample: new DsqlMigrationError({
        reason: "Missing",
        migration: "1_add_owners",
        detail: "it was applied to this database, but is not among the migrations; bring it back as it was"
      })
    },
    OutOfOrder: {
      cause: "a new migration has a lower number than one that ran",
      cure: "give it a higher number",
      sample: new DsqlMigrationError({
        reason: "OutOfOrder",
        migration: "1_add_owners",
        detail: "it would have to run before migration 2, which is applied; give it a higher number"
      })
    },
    Edited: {
      cause: "a statement that ran was changed, taken out or added. Layout and comments do not count",
      cure: "bring it back as it was, and make the change in a new migration",
      sample: failed(
        "Edited",
        "this statement was changed after it ran; bring back the one below, and make the change in a new migration",
        {
          statement: "INSERT INTO city VALUES (1, 'Lisbon')"
        }
      )
    },
    Refused: {
      cause: "DSQL does not have the statement (0A000)",
      cure: "write it as the message proposes; `effect-dsql migrate plan` finds all of them before anything is run",
      sample: failed("Refused", "DSQL refuses this statement; write it otherwise, then run again", {
        rule: "unsupported-truncate",
        statement: "TRUNCATE city"
      })
    },
    Statement: {
      cause: "a statement failed otherwise: a name, a value, a constraint",
      cure: "mend what `cause` says, then run again; what was done before is not repeated",
      sample: failed("Statement", "this statement failed; mend what is said here, then run again", {
        cause: new Error("division by zero [22012]")
      })
    },
    Failed: {
      cause: "the Effect of a migration failed by itself, not by a statement",
      cure: "mend it, then run again; its statements up to there are passed over",
      sample: new DsqlMigrationError({
        reason: "Failed",
        migration: "3_fill",
        detail: "the Effect failed by itself; mend that, then run again. Its statements up to here are done"
      })
    },
    Job: {
      cause:
        "the index or validation that a statement started failed; `cause` is the [`DsqlJobError`](DsqlJobError.md)",
      cure: "mend the data, then run again; the INVALID index was dropped",
      sample: failed("Job", "its job failed; mend what is said here, then run again", {
        cause: new DsqlJobError({
          reason: "Failed",
          ...job,
          details: "found duplicate keys",
          dropped: "public.owner_email"
        })
      })
    },
    Uncertain: {
      cause:
        "a process died between a change of the schema and its entry in the journal, and nothing in the catalog tells whether it took effect",
      cure: "look as the message says, then run the statement that it gives, which settles it; give indexes names, and it does not arise",
      sample: failed(
        "Uncertain",
        "nobody knows whether this statement took effect, because its process or connection died while it ran. Look in the database whether it has",
        { statement: "CREATE INDEX ASYNC ON owner (city)" }
      )
    },
    LeaseTimeout: {
      cause: "another deployer has been migrating for longer than `patience`",
      cure: "look what it does, or wait longer; the lease of one that died runs out after 30 seconds",
      sample: new DsqlMigrationError({
        reason: "LeaseTimeout",
        detail: "deploy-7 has been migrating for longer than 10m; look what it does, or wait longer (`patience`)"
      })
    },
    LeaseLost: {
      cause: "this deployer was silent for longer than its lease (frozen, no network), and another one took over",
      cure: "nothing is broken: look at `migrate status`, or run again",
      sample: new DsqlMigrationError({
        reason: "LeaseLost",
        detail: "this deployer gave no sign of life for so long that its lease ran out"
      })
    }
  }
}
