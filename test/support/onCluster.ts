/** Programs that find the local cluster of the context without a word about that, as if it were in an account of AWS. */
import { Effect, Redacted } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { startProgram } from "./program.js"

/** What their environment holds for that; see `redirect.ts`. */
export const clusterEnvironment = Effect.map(DsqlLocal, ({ caFile, credentials, hostaddr, port }) => ({
  LOCAL_CLUSTER_ADDRESS: `${hostaddr}:${port}`,
  NODE_EXTRA_CA_CERTS: caFile,
  // It warns of old versions of Node on standard error.
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: Redacted.value(credentials.secretAccessKey)
}))

/** Runs one for the time of a scope. */
export const programOnCluster = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string | undefined>>
) =>
  Effect.flatMap(clusterEnvironment, (cluster) =>
    Effect.acquireRelease(
      Effect.sync(() =>
        startProgram(["--import", "./test/support/redirect.ts", ...args], { ...cluster, ...environment })
      ),
      (program) => Effect.sync(program.cleanUp)
    )
  )
