/** `effect-dsql local`: a cluster on this machine, for as long as the command runs. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Auth from "../Auth.js"
import type { LocalCluster } from "../Local.js"
import * as Local from "../Local.js"

const port = Options.integer("port").pipe(
  Options.withDescription("Port on 127.0.0.1. Default: any free one."),
  Options.withSchema(Schema.Int.pipe(Schema.between(0, 65535))),
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

const forPeople = (cluster: LocalCluster, token: Redacted.Redacted): string =>
  `Aurora DSQL local cluster ${cluster.clusterId} is ready on ${cluster.hostaddr}:${cluster.port}. Ctrl-C ends it.

For DsqlLive and the AWS SDK:

export DSQL_HOST='${cluster.endpoint}'
export DSQL_HOSTADDR='${cluster.hostaddr}'
export DSQL_PORT='${cluster.port}'
export DSQL_SSLROOTCERT='${cluster.caFile}'
export AWS_ACCESS_KEY_ID='${cluster.credentials.accessKeyId}'
export AWS_SECRET_ACCESS_KEY='${Redacted.value(cluster.credentials.secretAccessKey)}'
unset AWS_SESSION_TOKEN AWS_PROFILE DSQL_PROFILE DSQL_REGION DSQL_USER DSQL_DATABASE

For psql (the token is valid for 7 days):

PGPASSWORD='${Redacted.value(token)}' psql 'host=${cluster.endpoint} hostaddr=${cluster.hostaddr} port=${cluster.port} user=${cluster.user} dbname=${cluster.database} sslmode=verify-full sslrootcert=${cluster.caFile}'

To leave it again:

unset DSQL_HOST DSQL_HOSTADDR DSQL_PORT DSQL_SSLROOTCERT AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY`

const signFor = (cluster: LocalCluster) =>
  Auth.sign({
    host: cluster.endpoint,
    region: cluster.region,
    action: "DbConnectAdmin",
    duration: tokenDuration,
    credentials: cluster.credentials
  })

/** Whoever started us through a pipe ends us by closing it. */
const endOfInput = Effect.async<void>((resume) => {
  const done = () => resume(Effect.void)
  process.stdin.once("end", done).once("error", done).resume()
  return Effect.sync(() => {
    process.stdin.off("end", done).off("error", done).pause()
  })
})

export const local = Command.make("local", { port, json }, ({ json, port }) =>
  Effect.gen(function* () {
    const cluster = yield* Local.make({ port: Option.getOrUndefined(port) })
    if (json) {
      yield* Console.log(forPrograms(cluster))
      return yield* endOfInput
    }
    yield* Console.log(forPeople(cluster, yield* signFor(cluster)))
    return yield* Effect.never
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription(
    "Runs a cluster on this machine that demands verified TLS and real tokens, like the service, and prints how to reach it: what to export for DsqlLive, and a line for psql. Its data is gone when it ends."
  )
)
