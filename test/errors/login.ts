/** What stops a connection from being opened, and what ends one. */
import { SqlClient } from "@effect/sql"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Fiber, Redacted } from "effect"
import { DsqlAuth } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { readFileSync } from "node:fs"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { build, connect, locally, type Rows, server } from "./cases.js"
import { layerSaying, type Refusal } from "../support/service.js"

/** A login that is refused with texts which only the service has. */
const refusedLogin = (login: Refusal) => build(layerSaying({ login }))

const withSecret = (secretAccessKey: string) =>
  Effect.flatMap(DsqlLocal, ({ credentials }) =>
    connect(
      {},
      { credentials: DsqlAuth.layerStatic({ ...credentials, secretAccessKey: Redacted.make(secretAccessKey) }) }
    )
  )

export const authentication: Rows<"DsqlAuthenticationError"> = {
  AccessDenied: [
    {
      when: "the secret is wrong",
      fails: withSecret("wrong"),
      facts: { user: "admin", sqlState: "08006" },
      next: /check the cluster's name.*AWS_SECRET_ACCESS_KEY.*dsql:DbConnectAdmin/,
      origin: server("08006")
    },
    {
      when: "no policy allows it",
      fails: Effect.gen(function* () {
        const local = yield* DsqlLocal
        const identity = { accessKeyId: "AKIAUNLUCKY000000000", secretAccessKey: Redacted.make("unlucky") }
        yield* local.addIdentity({ ...identity, allowedActions: [] })
        yield* connect({}, { credentials: DsqlAuth.layerStatic(identity) })
      }),
      facts: { sqlState: "08006" },
      next: /not authorized to perform: dsql:DbConnectAdmin.*policy allows dsql:DbConnectAdmin/,
      origin: server("08006")
    }
  ],
  SignatureExpired: [
    {
      when: "the clocks differ",
      fails: Effect.flatMap(DsqlLocal, ({ setTokenSkew }) =>
        Effect.zipRight(setTokenSkew("16 minutes"), Effect.ensuring(connect({}), setTokenSkew(0)))
      ),
      facts: { sqlState: "08006" },
      next: /check this machine's clock.*token duration/,
      is: ["retryable"],
      origin: server("08006")
    }
  ],
  WrongUserForAction: [
    {
      when: "a token layer signs for another action",
      fails: connect(
        {},
        { token: DsqlAuth.layerTokenFrom((request) => DsqlAuth.sign({ ...request, action: "DbConnect" })) }
      ),
      facts: { user: "admin", hint: "Wrong user to action mapping. user: admin, action: DbConnect" },
      next: /must be DbConnectAdmin for user admin/,
      origin: server("08006")
    }
  ],
  UnknownRole: [
    {
      when: "the role is not there",
      fails: connect({ user: "nobody_knows" }),
      facts: { user: "nobody_knows", hint: "Role nobody_knows does not exist" },
      next: /create the role with LOGIN and map it: AWS IAM GRANT/,
      origin: server("08006")
    }
  ],
  Other: [
    {
      when: "the service has a reason of its own",
      fails: refusedLogin({ C: "08006", M: 'IAM authentication failed for user "admin"' }),
      facts: { user: "admin", sqlState: "08006", hint: undefined },
      next: /IAM authentication failed.*"Troubleshooting" in the Aurora DSQL user guide/,
      origin: server("08006")
    }
  ]
}

/** Accepts connections and says nothing. */
const silentServer = Effect.acquireRelease(
  Effect.async<{ readonly port: number; readonly close: () => void }>((resume) => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => void sockets.add(socket.on("error", () => {}))).listen(0, "127.0.0.1", () =>
      resume(
        Effect.succeed({
          port: (server.address() as AddressInfo).port,
          close: () => {
            for (const socket of sockets) socket.destroy()
            server.close()
          }
        })
      )
    )
  }),
  ({ close }) => Effect.sync(close)
)

/** A statement whose connection is cut while it runs; `marker` tells it from what an earlier case has left behind. */
const cutWhileRunning = (
  marker: string,
  around: (
    sql: SqlClient.SqlClient
  ) => (statement: Effect.Effect<unknown, SqlError>) => Effect.Effect<unknown, SqlError>
) =>
  Effect.gen(function* () {
    const local = yield* DsqlLocal
    const text = `SELECT pg_sleep(60), '${marker}'`
    const running = yield* Effect.fork(
      locally(Effect.flatMap(SqlClient.SqlClient, (sql) => around(sql)(sql.unsafe(text))))
    )
    yield* locally(
      Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`SELECT 1 FROM pg_stat_activity WHERE query = ${text} AND state = 'active'`
      ).pipe(Effect.repeat({ until: (rows) => rows.length === 1 }))
    )
    yield* local.dropConnections
    return yield* Fiber.join(running)
  })

const foreignCa = readFileSync(new URL("../fixtures/foreign-ca.pem", import.meta.url), "utf8")

export const connection: Rows<"DsqlConnectionError"> = {
  Dns: [
    {
      when: "the name does not resolve",
      fails: connect({ hostaddr: "no-such-host.invalid" }),
      facts: { outcomeUnknown: undefined },
      next: /check the cluster id and region, or give the address to dial as hostaddr/,
      is: ["retryable"],
      origin: { name: "Error", code: "ENOTFOUND" }
    }
  ],
  Refused: [
    {
      when: "nobody listens",
      fails: connect({ port: 1 }),
      facts: { address: "127.0.0.1:1" },
      next: /check hostaddr, port, routes and security groups/,
      is: ["retryable", "transient"],
      origin: { name: "Error", code: "ECONNREFUSED" }
    }
  ],
  Tls: [
    {
      when: "the certificate is by an authority that is not trusted",
      fails: connect({ tls: { ca: foreignCa } }),
      next: /check that host and region are right.*tls\.ca, DSQL_SSLROOTCERT/,
      origin: { name: "Error", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" }
    },
    {
      when: "the service misses the name of the server",
      fails: refusedLogin({ C: "08006", M: "unable to accept connection, sni was not received" }),
      facts: { sqlState: "08006" },
      next: /check that host and region are right/,
      origin: server("08006")
    }
  ],
  ConnectTimeout: [
    {
      when: "nobody answers",
      fails: Effect.flatMap(silentServer, ({ port }) => connect({ port, pool: { connectTimeout: "50 millis" } })),
      next: /check network and security groups/,
      is: ["retryable"]
    }
  ],
  AcquireTimeout: [
    {
      when: "all connections are lent",
      fails: locally(
        Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.scoped(Effect.zipRight(sql.reserve, sql`SELECT 1`))),
        { pool: { max: 1, acquireTimeout: "50 millis" } }
      ),
      next: /raise pool\.max, shorten transactions/,
      is: ["retryable"]
    }
  ],
  TooManyConnections: [
    {
      when: "the cluster is full",
      fails: refusedLogin({ C: "53300", M: "Unable to accept connection, too many open connections." }),
      facts: { sqlState: "53300" },
      next: /lower pool\.max or the number of processes/,
      is: ["retryable", "transient"],
      origin: server("53300")
    }
  ],
  RateExceeded: [
    {
      when: "too many connect at once",
      fails: refusedLogin({ C: "53400", M: "Unable to accept connection, rate exceeded." }),
      facts: { sqlState: "53400" },
      next: /retry with backoff/,
      is: ["retryable", "transient"],
      origin: server("53400")
    }
  ],
  ClusterWaking: [
    {
      // The SQLSTATE is not published: the text decides.
      when: "the cluster was asleep",
      fails: refusedLogin({
        C: "XX000",
        M: "unable to accept connection, waking up cluster, please retry later"
      }),
      next: /waking up; retry with backoff/,
      is: ["retryable", "transient"],
      origin: server("XX000")
    }
  ],
  Closed: [
    {
      when: "the connection breaks under a statement",
      fails: cutWhileRunning("alone", () => (statement) => statement),
      facts: { outcomeUnknown: true },
      next: /look whether it took effect before you run it again/,
      origin: { name: "Error" }
    },
    {
      when: "the connection breaks in a transaction",
      fails: cutWhileRunning("inside", (sql) => sql.withTransaction),
      facts: { outcomeUnknown: undefined },
      next: /run the whole transaction again/,
      is: ["retryable", "transient"],
      origin: { name: "Error" }
    },
    {
      when: "the server ends the connection",
      fails: locally(
        Effect.flatMap(SqlClient.SqlClient, (sql) =>
          sql.withTransaction(sql`SELECT pg_terminate_backend(pg_backend_pid())`)
        )
      ),
      facts: { sqlState: "57P01" },
      next: /run the whole transaction again: terminating connection/,
      is: ["retryable", "transient"],
      origin: server("57P01")
    }
  ],
  PoolClosed: [
    {
      when: "the layer is gone",
      fails: Effect.flatMap(locally(SqlClient.SqlClient), (sql) => sql`SELECT 1`),
      next: /keep it open as long as it is used/
    }
  ],
  Other: [
    {
      when: "the set-up of a connection fails",
      fails: connect({ setup: () => Effect.fail(new SqlError({ cause: new RangeError("not today") })) }),
      next: /its setup failed; mend what is said here: not today/,
      origin: { name: "RangeError" }
    },
    {
      when: "the server breaks the rules",
      fails: refusedLogin({ C: "08P01", M: "invalid message length" }),
      facts: { sqlState: "08P01" },
      next: /mend what is said here: invalid message length/,
      origin: server("08P01")
    }
  ]
}
