/** `effect-dsql local`: a cluster on this machine, for as long as the command runs. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { stdin } from "@effect/platform-node/NodeStream"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { execFile } from "node:child_process"
import type { LocalCluster } from "../Local.js"
import { explainFile } from "./explain.js"
import { load } from "./load.js"
import { type Answer, execute } from "./localCommands.js"
import { conninfoValue, shellWord } from "./quote.js"

const port = Options.integer("port").pipe(
  Options.withDescription("Port on 127.0.0.1. Default: any free one."),
  Options.withSchema(Schema.Int.pipe(Schema.between(0, 65535))),
  Options.optional
)

const data = Options.directory("data").pipe(
  Options.withDescription(
    "Folder that keeps the data, and with them id, credentials, certificates and port, for further runs. Made if it is not there; refused if it is in use or holds something else. Default: nothing is kept."
  ),
  Options.optional
)

const conflicts = Options.choice("conflicts", ["service", "postgres"]).pipe(
  Options.withDescription(
    "Who loses when two transactions change the same rows. service: whoever commits second, at COMMIT, and nobody waits. postgres: as PostgreSQL has it, by waiting and at the statement."
  ),
  Options.withDefault("service" as const)
)

const schemaConflicts = Options.choice("schema-conflicts", ["transactions", "sessions", "off"]).pipe(
  Options.withDescription(
    "Who is told (OC001) that another session has changed the schema: transactions that are open then, every session once at its next statement, or nobody who does not use what has changed."
  ),
  Options.withDefault("transactions" as const)
)

const json = Options.boolean("json").pipe(
  Options.withDescription(
    "Print one line of JSON when ready, for programs, and one for each line on standard input. Ends at SIGINT, SIGTERM or the end of standard input."
  )
)

const explainSql = Options.file("explain-sql", { exists: "yes" }).pipe(
  Options.withDescription(
    "Start nothing; say of each statement of a file whether the cluster accepts it, refuses it and by which rule, or does not judge it. Exit code 1 if any is refused or cannot be read."
  ),
  Options.optional
)

/** SigV4's longest life, so that the line can be pasted all week. */
const tokenDuration = 7 * 24 * 60 * 60

const forPrograms = (cluster: LocalCluster): string =>
  JSON.stringify({
    endpoint: cluster.endpoint,
    clusterId: cluster.clusterId,
    region: cluster.region,
    hostaddr: cluster.hostaddr,
    port: cluster.port,
    user: cluster.user,
    database: cluster.database,
    ca: cluster.caFile,
    accessKeyId: cluster.credentials.accessKeyId,
    secretAccessKey: Redacted.value(cluster.credentials.secretAccessKey)
  })

const forPeople = (cluster: LocalCluster, token: Redacted.Redacted, data: string | undefined): string => {
  const { caFile, clusterId, credentials, database, endpoint, hostaddr, port, user } = cluster
  const conninfo = Object.entries({
    host: endpoint,
    hostaddr,
    port: String(port),
    user,
    dbname: database,
    sslmode: "verify-full",
    sslrootcert: caFile
  }).map(([name, value]) => `${name}=${conninfoValue(value)}`)
  return `Aurora DSQL local cluster ${clusterId} is ready on ${hostaddr}:${port}. Ctrl-C ends it${data === undefined ? "" : `; its data stay in ${data}`}.
Lines typed here make things go wrong: help lists them.

For DsqlLive and the AWS SDK:

export DSQL_HOST=${shellWord(endpoint)}
export DSQL_HOSTADDR=${shellWord(hostaddr)}
export DSQL_PORT=${shellWord(String(port))}
export DSQL_SSLROOTCERT=${shellWord(caFile)}
export AWS_ACCESS_KEY_ID=${shellWord(credentials.accessKeyId)}
export AWS_SECRET_ACCESS_KEY=${shellWord(Redacted.value(credentials.secretAccessKey))}
unset AWS_SESSION_TOKEN AWS_PROFILE DSQL_URL DSQL_PROFILE DSQL_REGION DSQL_USER DSQL_DATABASE

For psql (the token is valid for 7 days):

PGPASSWORD=${shellWord(Redacted.value(token))} psql ${shellWord(conninfo.join(" "))}

To leave it again:

unset DSQL_HOST DSQL_HOSTADDR DSQL_PORT DSQL_SSLROOTCERT AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY`
}

const signFor = (cluster: LocalCluster) =>
  Effect.flatMap(
    load(() => import("../Auth.js")),
    ({ sign }) =>
      sign({
        host: cluster.endpoint,
        region: cluster.region,
        action: "DbConnectAdmin",
        duration: tokenDuration,
        credentials: cluster.credentials
      })
  )

/** The answer to a line, where a person reads it. */
const inWords = (answer: Answer): string => {
  const lines = Object.entries(answer).flatMap(([name, value]) =>
    Array.isArray(value)
      ? value.map((item) => (typeof item === "string" ? item : `${name}: ${JSON.stringify(item)}`))
      : [`${name}: ${String(value)}`]
  )
  return lines.length === 0 ? "ok" : lines.join("\n")
}

const obey = (cluster: LocalCluster, json: boolean) => (line: string) =>
  line.trim() === ""
    ? Effect.void
    : Effect.matchEffect(execute(cluster, line), {
        onFailure: ({ message }) =>
          json ? Console.log(JSON.stringify({ ok: false, error: message })) : Console.error(message),
        onSuccess: (answer) => Console.log(json ? JSON.stringify({ ok: true, ...answer }) : inWords(answer))
      })

/** A shell stops programs in its background that read from the terminal. */
const mayReadInput = Effect.async<boolean>((resume) => {
  if (!process.stdin.isTTY) return resume(Effect.succeed(true))
  execFile("ps", ["-o", "stat=", "-p", String(process.pid)], (error, state) =>
    resume(Effect.succeed(error !== null || state.includes("+")))
  )
})

/** Does what the lines of standard input say, until it ends. */
const obeyInput = (cluster: LocalCluster, json: boolean) =>
  Effect.whenEffect(
    stdin.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach(obey(cluster, json)),
      // It cannot be read any more, which is an end as well.
      Effect.ignore
    ),
    mayReadInput
  )

export const local = Command.make(
  "local",
  { port, data, conflicts, schemaConflicts, json, explainSql },
  ({ data, explainSql, json, port, ...behaviour }) =>
    Effect.gen(function* () {
      if (Option.isSome(explainSql)) {
        const { isFine, text } = yield* explainFile(explainSql.value)
        yield* Console.log(text)
        if (!isFine) yield* Effect.sync(() => void (process.exitCode = 1))
        return
      }
      const { make } = yield* load(() => import("../Local.js"))
      const folder = Option.getOrUndefined(data)
      const cluster = yield* make({ port: Option.getOrUndefined(port), data: folder, ...behaviour })
      yield* Console.log(json ? forPrograms(cluster) : forPeople(cluster, yield* signFor(cluster), folder))
      yield* obeyInput(cluster, json)
      // Whoever started us through a pipe ends us by closing it; a person does so with Ctrl-C.
      if (!json) return yield* Effect.never
    }).pipe(Effect.scoped)
).pipe(
  Command.withDescription(
    "Runs a cluster on this machine that demands verified TLS and real tokens, like the service, and prints how to reach it: what to export for DsqlLive, and a line for psql. While it runs, lines on standard input make things go wrong: help lists them. Ends at Ctrl-C or SIGTERM; then its data are gone, unless --data keeps them."
  )
)
