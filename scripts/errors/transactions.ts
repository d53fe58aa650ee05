/** Errors of transactions. */
import { serverWords } from "../../src/core/faults.js"
import { DsqlCommitOutcomeUnknownError, DsqlConflictError, DsqlTransactionError } from "../../src/Errors.js"
import { withoutPage } from "../../src/internal/pages.js"
import { type Page, said } from "./page.js"

const words = ({ message, sqlState }: { readonly sqlState: string; readonly message: string }) =>
  said(sqlState, message)

export const transaction: Page<"DsqlTransactionError"> = {
  means:
    "A transaction cannot go on, or a call was made where it may not be made. For `Aborted` and `NestedFailure` the `cause` is the error of the statement that failed before.",
  reasons: {
    Aborted: {
      cause: "a statement failed, the program went on all the same, and the server answered COMMIT by ROLLBACK",
      cure: "let the error of the statement end the transaction, or mend the statement: DSQL has no savepoints to go back to",
      sample: new DsqlTransactionError({ reason: "Aborted" })
    },
    NestedFailure: {
      cause: "a nested `withTransaction` failed and the outer one passed over it",
      cure: "let the error end the outer one too, or run that part after it",
      sample: new DsqlTransactionError({ reason: "NestedFailure" })
    },
    Finished: {
      cause:
        "a fiber that was forked inside outlived the transaction or the scope of `sql.reserve`, and then sent a statement",
      cure: "await every fiber inside of the transaction; fork what is to outlive it outside",
      sample: new DsqlTransactionError({ reason: "Finished" })
    },
    InsideTransaction: {
      cause:
        "a call that brings its own transactions (migrations, `DsqlBatch`, jobs, `retryStatement`) was made inside of one",
      cure: "make it before or after",
      sample: new DsqlTransactionError({ reason: "InsideTransaction" })
    }
  }
}

export const conflict: Page<"DsqlConflictError"> = {
  means:
    "SQLSTATE 40001: another transaction was first. Nothing of the one that lost took effect. This is how DSQL works, not a fault: it takes no locks, and who loses learns it at COMMIT. `attempts` says how often the transaction was run by what has retried it.",
  reasons: {
    Data: {
      cause:
        "OC000: another transaction changed a row that this one wrote, or read with `FOR UPDATE`, and committed first",
      cure: "run the **whole** transaction again: `DsqlTransaction.withRetry`. If it happens often, spread the writes over more rows",
      sample: words(serverWords.OC000)
    },
    Schema: {
      cause:
        "OC001: the schema was changed while the transaction ran (DDL, GRANT, the end of an asynchronous job), or a prepared plan became stale",
      cure: "run it again; migrate when there is little traffic",
      sample: words(serverWords.OC001)
    },
    Unknown: {
      cause: "40001 without either code",
      cure: "run it again",
      sample: said("40001", "mutation conflicts with another transaction, retry as needed")
    }
  },
  more: `After \`withRetry\` has given up, the message says what else may help:

\`\`\`text
${withoutPage(
  new DsqlConflictError({
    reason: "Data",
    attempts: 240,
    server: { sqlState: "40001", message: serverWords.OC000.message }
  }).message
)}
\`\`\`

[Transactions](../transactions.md) shows \`withRetry\`, its options, and what may not be in a body that runs again.`
}

export const commit: Page<"DsqlCommitOutcomeUnknownError"> = {
  means:
    "COMMIT was sent and its answer did not come: the connection was lost, the service answered XX000, or 10 seconds were over. Nobody on this side can tell whether the transaction took effect. It is never repeated blindly.",
  reasons: {
    "-": {
      cause: "the network, the server or the process broke in the moment of COMMIT",
      cure: "look in the database for something that only this transaction writes, or give `withRetry` a `verify` that does",
      sample: new DsqlCommitOutcomeUnknownError({ cause: new Error("Connection terminated unexpectedly") })
    }
  },
  more: "[When the answer to COMMIT is lost](../transactions.md#when-the-answer-to-commit-is-lost) has a whole example with an idempotency key."
}
