/**
 * A function for AWS Lambda. One runtime for the life of its container: the token and the connection are kept from one
 * invocation to the next. Between two of them a container may be frozen for minutes or hours, and no timer runs; what has
 * expired meanwhile is found out when it is asked for, so the first invocation after that signs a token and connects anew.
 * Needs the table `example_hit (page text PRIMARY KEY, hits int NOT NULL)`.
 *
 *   npx esbuild examples/lambda.ts --bundle --minify --platform=node --format=esm --outfile=index.mjs --external:pg-native \
 *     --banner:js='import { createRequire } from "node:module"; const require = createRequire(import.meta.url)'
 *   npm run bench:lambda                  # how long a cold start takes, and an invocation
 */
import { SqlClient } from "@effect/sql"
import { Config, Effect, ManagedRuntime } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

const Db = DsqlLayer.layerConfig({
  host: Config.string("CLUSTER_ENDPOINT"),
  // A container has one invocation at a time.
  pool: { max: Config.succeed(1) },
  // Shorter than the function's timeout, so that who calls it learns why it failed.
  retry: { deadline: Config.succeed("5 seconds") }
})

const runtime = ManagedRuntime.make(Db)

// Connects while the container is initialized. Lambda says when it ends one, if the function has an extension.
await runtime.runtime()
process.once("SIGTERM", () => void runtime.dispose().finally(() => process.exit()))

interface Hit {
  readonly page: string
}

/** With retries, since a connection that was cut off during a freeze may show that only when it is used. */
const hit = (page: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ hits: number }>`
      INSERT INTO example_hit VALUES (${page}, 1)
      ON CONFLICT (page) DO UPDATE SET hits = example_hit.hits + 1 RETURNING hits`
    return { hits: row?.hits ?? 0 }
  }).pipe(DsqlTransaction.withRetry({ name: "hit" }))

export const handler = (event: Hit) => runtime.runPromise(hit(event.page))
