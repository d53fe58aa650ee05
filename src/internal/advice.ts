/**
 * What the messages of the errors say beside the facts: what is wrong, and what to do next. A message is built as
 * "facts: advice", so advice begins in lower case where facts come first and has no full stop.
 */
import type { ConflictReason, ConstraintReason, LimitReason, ServerError } from "../core/serverError.js"
import type * as Errors from "../Errors.js"

type Advice<Reason extends string> = Readonly<Record<Reason, string>>

export const credentials: Advice<Errors.DsqlCredentialsError["reason"]> = {
  NotFound:
    "No AWS credentials found: log in (for instance `aws sso login`), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, check AWS_PROFILE if it is set, or pass a credentials layer",
  Expired: "The AWS credentials have expired: renew them where they come from",
  ProfileNotFound:
    "The AWS profile was not found or holds no credentials: look at ~/.aws/config and ~/.aws/credentials (or where AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE point); `aws configure list-profiles` tells which there are",
  AccessDenied:
    "AWS refused to give credentials: for a role, allow sts:AssumeRole on it to whoever asks, and let its trust policy name them (and the external ID, if it demands one); for SSO, check that the account and role are assigned to you",
  ProviderFailed:
    "The AWS credential provider failed: look at what it asks (metadata service, STS, SSO, a program or function of yours), or pass another credentials layer"
}

export const authentication: Advice<Errors.DsqlAuthenticationError["reason"]> = {
  AccessDenied:
    "check the cluster's name, that the credentials are right and whole (AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN) and of the cluster's account, and that their policy allows dsql:DbConnectAdmin (user admin) or dsql:DbConnect (other users) on it",
  SignatureExpired: "check this machine's clock, and that the token duration is not shorter than a login takes",
  WrongUserForAction:
    "a token layer of yours signs for the wrong action; it must be DbConnectAdmin for user admin and DbConnect for every other user",
  UnknownRole: "create the role with LOGIN and map it: AWS IAM GRANT <role> TO '<iam arn>'",
  Other: 'check the user, the credentials and the host; "Troubleshooting" in the Aurora DSQL user guide lists refusals'
}

export const connection: Advice<Errors.ConnectionReason> = {
  Dns: "the name cannot be resolved; check the cluster id and region, or give the address to dial as hostaddr (DSQL_HOSTADDR)",
  Refused: "nothing answers there; check hostaddr, port, routes and security groups",
  Tls: "no verified TLS connection; check that host and region are right, and that the certificate's authority is trusted (tls.ca, DSQL_SSLROOTCERT)",
  ConnectTimeout: "no login within pool.connectTimeout; check network and security groups",
  AcquireTimeout:
    "no connection came free or could be opened within pool.acquireTimeout, or before the deadline of a retry; raise pool.max, shorten transactions, or look at why connections cannot be opened",
  TooManyConnections: "the cluster has too many open connections; lower pool.max or the number of processes",
  RateExceeded: "the cluster's connect rate is exceeded; retry with backoff",
  ClusterWaking: "the cluster was inactive and is waking up; retry with backoff",
  Closed: "the connection was lost",
  PoolClosed: "the layer that this client belongs to has been closed; keep it open as long as it is used",
  Other: "it could not be opened, or its setup failed; mend what is said here"
}

/** After something that passes. */
export const runAgain = "run the whole transaction again"

/** The same, where the outcome is unknown. */
export const lookFirst = "a statement was under way, so look whether it took effect before you run it again"

export const transaction: Advice<Errors.DsqlTransactionError["reason"]> = {
  Aborted:
    "The server rolled back at COMMIT, because a statement of the transaction had failed; mend that, or let its error end the transaction",
  NestedFailure:
    "A nested transaction failed, and DSQL has no savepoints, so the outer one cannot commit either; let the error end it too, or run that part outside of it",
  Finished:
    "A statement ran after its transaction, or the scope of its reserved connection, had ended; await every fiber inside of it",
  InsideTransaction:
    "This call may not run inside of a transaction; make it before or after. What lost a conflict runs again with DsqlTransaction.withRetry around the whole transaction"
}

export const conflict: Advice<ConflictReason> = {
  Data: "Another transaction changed the same rows and committed first (OC000)",
  Schema: "The schema was changed by another transaction (OC001, or a plan that it made stale)",
  Unknown: "The transaction conflicts with another one (40001)"
}

/** What remains to be done when running it again has not helped. */
export const conflictAfterAll: Advice<ConflictReason> = {
  Data: "spread the rows that many transactions change, or give the retry a longer deadline",
  Schema: "try again when the schema is no longer being changed",
  Unknown: "try again later, or give the retry a longer deadline"
}

export const limit: Advice<LimitReason> = {
  Rows: "split the work into transactions of at most 3,000 rows",
  Size: "split the work into transactions of at most 10 MiB",
  Age: "finish transactions within 300 seconds",
  RowSize: "a row holds at most 2 MiB",
  ValueSize: "a value holds at most 1 MiB",
  KeySize: "shorten the primary key or indexed columns",
  Objects: "drop what is no longer needed, or ask AWS for a higher quota",
  Memory: "let the query sort or aggregate fewer rows",
  Depth: "simplify the expression",
  Storage: "delete data, or ask AWS for a higher quota",
  Parameters: "the protocol allows 65,535; split the work into several statements",
  Other: 'look it up under "Quotas and limits" in the Aurora DSQL user guide'
}

export const constraint: Advice<ConstraintReason> = {
  Unique: "use another key, or INSERT … ON CONFLICT",
  ForeignKey: "write the row that is referred to first, or delete those that refer to it",
  Check: "give values that fulfil the condition",
  NotNull: "give the column a value"
}

type Table = ReadonlyArray<readonly [matches: RegExp, advice: string]>

const lookUp = (table: Table, text: string, otherwise: string): string =>
  table.find(([matches]) => matches.test(text))?.[1] ?? otherwise

/** What DSQL has in place of what it refuses; by the texts of its refusals and by the names this package gives. */
const substitutes: Table = [
  [/listen|notify/i, "read a table at intervals, or use a message service"],
  [/savepoint|release|rollback to/i, "a nested transaction joins the outer one; run what may fail alone on its own"],
  [/isolation level|"TRANSACTION"/i, "leave it out: every transaction is REPEATABLE READ"],
  [/\bddl\b/i, "run every DDL statement in a transaction of its own, apart from what changes rows"],
  [/truncate/i, "DELETE in batches of at most 3,000 rows, or DROP TABLE and create it anew"],
  [/\btemp\b/i, "use a WITH query, or a table with a column that says whose rows they are"],
  [/CreateTableAs/i, "CREATE TABLE (or a view), then INSERT … SELECT in batches of at most 3,000 rows"],
  [/in a key/, "index a column of another type; json, jsonb, bytea, interval and timetz are none for a key"],
  [/index/i, "use CREATE INDEX ASYNC with plain columns or expressions"],
  [/ADD COLUMN/, "add the column alone; fill it in batches, then SET DEFAULT"],
  [/SET DATA TYPE/, "add a column of the new type, and fill it in batches of at most 3,000 rows"],
  [/SET NOT NULL/, "ADD CHECK (… IS NOT NULL) NOT VALID, then ALTER TABLE ASYNC … VALIDATE CONSTRAINT"],
  [/CONSTRAINT/, "add it NOT VALID, then ALTER TABLE ASYNC … VALIDATE CONSTRAINT; UNIQUE goes by USING INDEX"],
  [/setting configuration parameter/i, "leave it out: the service manages that setting"],
  [/advisory|\block/i, "let COMMIT find conflicts; SELECT … FOR UPDATE makes rows that were only read count, too"],
  [/trigger|plpgsql|procedure/i, "do it in the program, or in a function in LANGUAGE sql"],
  [/CREATE TYPE|CompositeType/i, "use text with a CHECK constraint, or a domain"],
  [/datatype/i, "choose a type that a column can have; arrays and the like fit into jsonb"],
  [/DeclareCursor/i, "read the statement as a stream"],
  [/SqlClient of another package/, "make the client with DsqlLayer"]
]

export const substituteFor = (feature: string, server: ServerError | undefined): string =>
  lookUp(
    substitutes,
    `${feature} ${server?.message ?? ""}`,
    'see "SQL feature compatibility" in the Aurora DSQL user guide'
  )

/** By SQLSTATE and text. */
const remedies: Table = [
  [/^22000 a parameter/, "JSON holds no circular object and no BigInt; a parser of yours must not throw"],
  [/^22/, "correct the value"],
  [/^25006/, "the transaction is READ ONLY; write in another one"],
  [/^25P02/, "look at the error of the statement that failed before; nothing more runs in this transaction"],
  [/^3D000/, "leave out the database option: a cluster has only postgres"],
  [/^42501/, "grant the privilege to the role that is logged in, as admin or as owner"],
  [/^42601/, "correct the syntax there"],
  [/^42704 type "(?:small|big)?serial"/, "use bigint GENERATED BY DEFAULT AS IDENTITY (CACHE 65536)"],
  [/^(?:3F000|42P01|42703|42704|42883)/, "check the name and search_path, and whether all migrations have run"],
  [
    /^42(?:710|P0[4-7]|723)/,
    "it is there already: leave the statement out, write IF NOT EXISTS where there is one, or DROP it before"
  ],
  [/^42/, "correct the statement"],
  [/^57014/, "it was cancelled; let it do less at a time"]
]

export const remedyFor = ({ message, sqlState }: ServerError): string =>
  lookUp(remedies, `${sqlState} ${message}`, 'look up the SQLSTATE under "Error Codes" in the PostgreSQL manual')
