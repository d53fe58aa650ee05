/** Errors of logins and connections. */
import { serverWords } from "../../src/core/faults.js"
import { connection as lost, type Page, said } from "./page.js"

const denied = (hint: string, user?: string) =>
  said("08006", "unable to accept connection, access denied", { severity: "FATAL", hint }, user)
const refused = (reason: "TooManyConnections" | "RateExceeded" | "ClusterWaking") =>
  said(serverWords[reason].sqlState, serverWords[reason].message, { severity: "FATAL" })

export const authentication: Page<"DsqlAuthenticationError"> = {
  means:
    "The cluster was reached over verified TLS and refused the login (`FATAL` 08006). The reason is in the hint of the server, which is the field `hint`; `user`, `host` and `address` say who and where. `npx effect-dsql doctor` walks through the login step by step.",
  reasons: {
    AccessDenied: {
      cause:
        "the IAM policy does not allow `dsql:DbConnectAdmin` (user `admin`) or `dsql:DbConnect` (any other) on this cluster; or the secret key or the session token is wrong; or the account is another",
      cure: "allow the action on the ARN of the cluster ([policy](../authentication.md#the-iam-policy)); `aws sts get-caller-identity` says who you are",
      sample: denied(
        "User: arn:aws:iam::111122223333:role/orders is not authorized to perform: dsql:DbConnect on resource: arn:aws:dsql:us-east-1:111122223333:cluster/abcdefghijklmnopqrstuvwxyz because no identity-based policy allows the dsql:DbConnect action"
      )
    },
    SignatureExpired: {
      cause:
        "the token was over when it arrived: the clock of this machine is wrong, or `tokenDuration` is shorter than a login takes",
      cure: "set the clock (NTP); leave `tokenDuration` at its 15 minutes",
      sample: denied("Signature expired: 20261125T020000Z is now earlier than 20261125T030000Z")
    },
    WrongUserForAction: {
      cause: "a token layer of your own signs `DbConnect` for `admin`, or `DbConnectAdmin` for another user",
      cure: "take the action from the `SignRequest` as it comes, or leave the token layer out",
      sample: denied("Wrong user to action mapping. user: admin, action: DbConnect", "admin")
    },
    UnknownRole: {
      cause: "the database role does not exist, has no LOGIN, or is not mapped to this IAM identity",
      cure: "as `admin`: `CREATE ROLE orders WITH LOGIN`, then `AWS IAM GRANT orders TO '<arn>'` ([a role of its own](../authentication.md#a-database-role-of-its-own))",
      sample: denied("Role orders does not exist")
    },
    Other: {
      cause: "the service refused for a reason that this package does not know",
      cure: 'read `hint` and `cause`; "Troubleshooting" in the Aurora DSQL user guide lists the refusals',
      sample: said("08006", 'IAM authentication failed for user "orders"', { severity: "FATAL" })
    }
  }
}

export const connection: Page<"DsqlConnectionError"> = {
  means:
    "There is no connection, or it was lost outside of COMMIT. `host` is the cluster, `address` what was dialled for it. `outcomeUnknown` is true when a statement that commits by itself was under way: it may or may not have taken effect, and nothing runs it again for you.",
  reasons: {
    Dns: {
      cause: "the name does not resolve: a slip in the id or region, no DNS in this network",
      cure: "check the endpoint; through a tunnel or PrivateLink give the address as `hostaddr`",
      sample: lost("Dns", new Error("getaddrinfo ENOTFOUND"))
    },
    Refused: {
      cause: "nothing listens there, or the network has no route",
      cure: "check `hostaddr`, `port`, routes, security groups; for a local cluster, whether it still runs",
      sample: lost("Refused", new Error("connect ECONNREFUSED 127.0.0.1:5432"))
    },
    Tls: {
      cause: "no verified TLS: a certificate of an unknown authority or of another name, a proxy that breaks TLS open",
      cure: "for a private authority or a local cluster set `DSQL_SSLROOTCERT`; verification cannot be switched off",
      sample: lost("Tls", new Error("unable to get local issuer certificate"))
    },
    ConnectTimeout: {
      cause:
        "TCP, TLS and login together took longer than `pool.connectTimeout` (10 seconds): as a rule a security group that drops packets",
      cure: "check the network; raise `DSQL_POOL_CONNECT_TIMEOUT` only where the way is long",
      sample: lost("ConnectTimeout")
    },
    AcquireTimeout: {
      cause:
        "all connections of the pool were busy, or could not be opened, for `pool.acquireTimeout` (30 seconds), or up to the deadline of a retry",
      cure: "shorten transactions, raise `pool.max`, keep slow calls out of transactions; look at `cause`, which says why a dial failed",
      sample: lost("AcquireTimeout")
    },
    TooManyConnections: {
      cause: "the cluster has as many connections as it allows (53300)",
      cure: "lower `pool.max` or the number of processes, or ask AWS for a higher quota",
      sample: refused("TooManyConnections")
    },
    RateExceeded: {
      cause: "more new connections per second than the cluster allows (53400): many processes start at once",
      cure: "lower `pool.connectRate`, start them one after the other; `withRetry` waits and tries again",
      sample: refused("RateExceeded")
    },
    ClusterWaking: {
      cause: "the cluster was inactive and is starting",
      cure: "try again after a moment; `withRetry` does",
      sample: refused("ClusterWaking")
    },
    Closed: {
      cause: "the connection broke, or the server ended it, while it was in use",
      cure: "inside a transaction: run the whole transaction again, as `withRetry` does. With `outcomeUnknown`: look in the database first",
      sample: lost("Closed", new Error("Connection terminated unexpectedly"))
    },
    PoolClosed: {
      cause: "a client is used after the scope of its layer has ended",
      cure: "keep the layer open as long as its client is used: provide it at the edge of the program, once",
      sample: lost("PoolClosed")
    },
    Other: {
      cause:
        "the connection could not be set up: your `setup` failed, a session setting was refused, the server broke the protocol",
      cure: "mend what `cause` says",
      sample: lost("Other", new Error("the setup left a transaction open"))
    }
  }
}
