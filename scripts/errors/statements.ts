/** Errors of statements. */
import { ageLimitWords, serverWords } from "../../src/core/faults.js"
import { DsqlLimitError } from "../../src/Errors.js"
import { type Page, said } from "./page.js"

const { detail, message: tooOld } = ageLimitWords(300, 301)

export const limit: Page<"DsqlLimitError"> = {
  means:
    "A quota of the service, or a limit of PostgreSQL: SQLSTATE class 54 and its neighbours 53100 and 53200. `server` has all that the server said. Running the same work again does not help; it must become smaller.",
  reasons: {
    Rows: {
      cause: "a transaction changed more than 3,000 rows",
      cure: "use `DsqlBatch` (`insert`, `update`, `delete`), or split the work",
      sample: said("54000", "transaction row limit exceeded")
    },
    Size: {
      cause: "a transaction wrote more than 10 MiB",
      cure: "the same; lower `maxBytes` of the batch where rows are large",
      sample: said("54000", "transaction size limit 10mb exceeded", { detail: "Current transaction size 12mb > 10mb" })
    },
    Age: {
      cause: "a transaction was open longer than `maxAge` (290 seconds here, 300 on the service)",
      cure: "do less in it; nothing that waits for people or other services belongs inside",
      sample: said("54000", tooOld, { detail })
    },
    RowSize: {
      cause: "a row of more than 2 MiB",
      cure: "split the row, or keep large values in S3 and their address here",
      sample: said("54000", "maximum row size exceeded")
    },
    ValueSize: {
      cause: "a value of more than 1 MiB, or a type with a length beyond the limit",
      cure: "the same",
      sample: said("54000", "maximum column size exceeded")
    },
    KeySize: {
      cause: "the columns of a primary key or an index are too long together",
      cure: "shorten them, or index a hash",
      sample: said("54000", "key size too large")
    },
    Objects: {
      cause: "too many tables, columns, indexes, schemas, views",
      cure: "drop what is not needed, or ask AWS for a higher quota",
      sample: said("54000", "creating more than 1000 tables not allowed")
    },
    Memory: {
      cause: "a sort, hash or aggregate needs more than the memory of a query",
      cure: "let it take fewer rows: a filter, an index in that order, an aggregate in steps",
      sample: said("53200", "query requires too much temp space, out of memory.")
    },
    Depth: {
      cause: "an expression that is nested too deeply, often a long chain of OR that was generated",
      cure: "use `IN` or `= ANY` in its place",
      sample: said("54001", "stack depth limit exceeded")
    },
    Storage: {
      cause: "the cluster is full (53100)",
      cure: "delete data, or ask AWS for a higher quota",
      sample: said("53100", "Current cluster size exceeds cluster size limit.")
    },
    Parameters: {
      cause: "a statement has more than 65,535 parameters, which the protocol cannot count",
      cure: "insert fewer rows with one statement: `DsqlBatch.insert` does the counting",
      sample: new DsqlLimitError({
        reason: "Parameters",
        server: { sqlState: "54000", message: "a statement cannot have 65536 parameters" }
      })
    },
    Other: {
      cause: "another limit, of PostgreSQL's own",
      cure: 'look up the text under "Quotas and limits" in the Aurora DSQL user guide',
      sample: said("54000", "requested length too large")
    }
  }
}

export const unsupported: Page<"DsqlUnsupportedError"> = {
  means:
    "SQLSTATE 0A000, or a call of this package that DSQL has nothing for. `feature` names it, and the message says what DSQL has in its place.",
  reasons: {
    "-": {
      cause:
        "SQL that Aurora DSQL does not have: TRUNCATE, SAVEPOINT, LISTEN, temporary tables, triggers, most of ALTER TABLE, …",
      cure: "write it as the message proposes; [what the local cluster refuses](../local-cluster-rules.md) lists all of it, and `effect-dsql migrate plan` and `effect-dsql local --explain-sql` check files before they are run",
      sample: said("0A000", "unsupported statement: Truncate")
    }
  }
}

export const unavailable: Page<"DsqlUnavailableError"> = {
  means:
    "SQLSTATE XX000 outside of COMMIT: a passing condition of the service. The connection stays usable. `outcomeUnknown` is true for a statement outside of a transaction, whose own commit may have been under way.",
  reasons: {
    "-": {
      cause: "the service moves or replaces one of its parts",
      cure: "run the whole transaction again, as `withRetry` does; with `outcomeUnknown` look first whether the statement took effect",
      sample: said(serverWords.XX000.sqlState, serverWords.XX000.message)
    }
  }
}

const violated = (sqlState: string, message: string, more: object) =>
  said(sqlState, message, { schema: "public", table: "owner", ...more })

export const constraint: Page<"DsqlConstraintError"> = {
  means:
    "A constraint is violated (SQLSTATE class 23). `constraint`, `table` and `column` name it, as far as the server says. The transaction is aborted, so this error must end it.",
  reasons: {
    Unique: {
      cause: "the key is taken (23505)",
      cure: "another key, or `INSERT … ON CONFLICT`. On DSQL two transactions with one key conflict at COMMIT instead: `DsqlConflictError`",
      sample: violated("23505", 'duplicate key value violates unique constraint "owner_pkey"', {
        constraint: "owner_pkey",
        detail: "Key (id)=(1) already exists."
      })
    },
    ForeignKey: {
      cause: "the row that is referred to is missing, or one that is referred to is deleted (23503, 23001)",
      cure: "write the row that is referred to first, delete it last",
      sample: violated("23503", 'insert on table "owner" violates foreign key constraint "owner_city_fkey"', {
        constraint: "owner_city_fkey"
      })
    },
    Check: {
      cause: "a value does not fulfil a CHECK (23514)",
      cure: "check it in the program first, with `Schema` for instance",
      sample: violated("23514", 'new row for relation "owner" violates check constraint "owner_age"', {
        constraint: "owner_age"
      })
    },
    NotNull: {
      cause: "a column that must have a value has none (23502)",
      cure: "give it one, or a default",
      sample: violated("23502", 'null value in column "name" of relation "owner" violates not-null constraint', {
        column: "name"
      })
    }
  }
}

export const query: Page<"DsqlQueryError"> = {
  means:
    "Any other answer of the server to a statement. `sqlState` is its code, `server` has every field that it sent: `position`, `detail`, `hint`, `schema`, `table`, `column`.",
  reasons: {
    "-": {
      cause:
        "as the code says: 42601 syntax, 42P01 no such table, 42703 no such column, 42501 not allowed, 22P02 a value of the wrong form, 25P02 a statement before it had failed",
      cure: "the message has advice for the frequent codes; all of them are in the PostgreSQL manual, appendix A",
      sample: said("42P01", 'relation "ownr" does not exist', { position: "18" })
    }
  }
}
