/** `effect-dsql local`: a cluster on this machine, for as long as the command runs. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { LocalCluster } from "../Local.js"
import { load } from "./load.js"
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

const json = Options.boolean("json").pipe(
  Options.withDescription(
    "Print one line of JSON when ready, for programs. Ends at SIGINT, SIGTERM or the end of standard input."
  )
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

For DsqlLive and the AWS SDK:

export DSQL_HOST=${shellWord(endpoint)}
export DSQL_HOSTADDR=${shellWord(hostaddr)}
export DSQL_PORT=${shellWord(String(port))}
export DSQL_SSLROOTCERT=${shellWord(caFile)}
export AWS_ACCESS_KEY_ID=${shellWord(credentials.accessKeyId)}
export AWS_SECRET_ACCESS_KEY=${shellWord(Redacted.value(credentials.secretAccessKey))}
unset AWS_SESSION_TOKEN AWS_PROFILE DSQL_PROFILE DSQL_REGION DSQL_USER DSQL_DATABASE

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

/** Whoever started us through a pipe ends us by closing it. */
const endOfInput = Effect.async<void>((resume) => {
  const done = () => resume(Effect.void)
  process.stdin.once("end", done).once("error", done).resume()
  return Effect.sync(() => {
    process.stdin.off("end", done).off("error", done).pause()
  })
})

export const local = Command.make("local", { port, data, json }, ({ data, json, port }) =>
  Effect.gen(function* () {
    const { make } = yield* load(() => import("../Local.js"))
    const folder = Option.getOrUndefined(data)
    const cluster = yield* make({ port: Option.getOrUndefined(port), data: folder })
    if (json) {
      yield* Console.log(forPrograms(cluster))
      return yield* endOfInput
    }
    yield* Console.log(forPeople(cluster, yield* signFor(cluster), folder))
    return yield* Effect.never
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription(
    "Runs a cluster on this machine that demands verified TLS and real tokens, like the service, and prints how to reach it: what to export for DsqlLive, and a line for psql. Ends at Ctrl-C or SIGTERM; then its data are gone, unless --data keeps them."
  )
)
