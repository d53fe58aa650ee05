/**
 * Logs in to Aurora DSQL with a real token and runs typed SQL: on a local cluster, or with DSQL_HOST set, on the service.
 *
 *   npm run quickstart
 *   DSQL_HOST=<cluster endpoint or id> npm run quickstart
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient, SqlSchema } from "@effect/sql"
import { Config, Console, Effect, Layer, Option, Redacted, Schema, Stream } from "effect"
import { DsqlAuth, DsqlConfig, DsqlErrors, DsqlLayer, DsqlLive } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"

class Owner extends Schema.Class<Owner>("Owner")({
  id: Schema.UUID,
  name: Schema.NonEmptyString,
  city: Schema.String,
  since: Schema.DateFromSelf
}) {}

const NewOwner = Schema.Struct({ name: Schema.NonEmptyString, city: Schema.String })

/** After a schema change the service may refuse a session's next statement once (OC001). */
const retryConflicts = Effect.retry({ while: DsqlErrors.isRetryable, times: 3 })

const typedSql = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE IF NOT EXISTS quickstart_owner (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      name text NOT NULL,
      city text NOT NULL,
      since timestamptz NOT NULL DEFAULT now()
    )`.pipe(retryConflicts)

  const insert = SqlSchema.single({
    Request: NewOwner,
    Result: Owner,
    execute: (owner) => sql`INSERT INTO quickstart_owner ${sql.insert(owner)} RETURNING *`
  })
  const byCity = SqlSchema.findAll({
    Request: Schema.String,
    Result: Owner,
    execute: (city) => sql`SELECT * FROM quickstart_owner WHERE city = ${city} ORDER BY name`
  })

  for (const owner of [
    { name: "Ana", city: "Lisbon" },
    { name: "Rui", city: "Lisbon" },
    { name: "Eva", city: "Porto" }
  ]) {
    const { id, name } = yield* insert(owner).pipe(retryConflicts)
    yield* Console.log(`inserted  ${name} as ${id}`)
  }

  const owners = yield* byCity("Lisbon")
  yield* Console.log(`queried   ${owners.map((owner) => owner.name).join(", ")} in Lisbon`)

  const count = yield* sql`SELECT n FROM generate_series(1, 10000) AS n`.stream.pipe(Stream.runCount)
  yield* Console.log(`streamed  ${count} rows`)

  yield* sql`DROP TABLE quickstart_owner`.pipe(retryConflicts)
})

/** The date that the service counts a token's life from is part of the token, and no secret. */
const signedAt = (token: Redacted.Redacted) =>
  new URL(`https://${Redacted.value(token)}`).searchParams.get("X-Amz-Date") ?? "?"

const tokenRenewal = Effect.gen(function* () {
  const tokens = yield* DsqlAuth.DsqlToken
  const first = yield* tokens.get
  yield* Console.log(`token     signed at ${signedAt(first)}, valid for 4 seconds`)
  const second = yield* tokens.get.pipe(
    Effect.delay("100 millis"),
    Effect.repeat({ until: (token) => signedAt(token) !== signedAt(first) })
  )
  yield* Console.log(`renewed   in the background, signed at ${signedAt(second)}`)
})

/** The same cluster with a token that nobody signed. */
const wrongToken = (options: DsqlConfig.DataOptions) =>
  Effect.void.pipe(
    Effect.provide(
      DsqlLayer.layer(options, {
        token: Layer.succeed(DsqlAuth.DsqlToken, { get: Effect.succeed(Redacted.make("not-a-token")) })
      })
    ),
    Effect.matchEffect({
      onFailure: (error) => Console.log(`refused   ${error._tag}: ${error.message}`),
      onSuccess: () => Effect.dieMessage("the cluster accepted a token that nobody signed")
    })
  )

const quickstart = (
  options: DsqlConfig.DataOptions,
  credentials: Layer.Layer<DsqlAuth.DsqlCredentials, never, DsqlConfig.DsqlConfig>
) =>
  Effect.gen(function* () {
    yield* Console.log(`cluster   ${options.host}`)
    yield* typedSql
    yield* tokenRenewal.pipe(
      Effect.provide(DsqlAuth.layerToken.pipe(Layer.provide(credentials))),
      Effect.provide(DsqlConfig.layer({ ...options, tokenDuration: "4 seconds" }))
    )
    yield* wrongToken(options)
  })

const onService = Effect.flatMap(DsqlConfig.environment, (options) =>
  quickstart(options, DsqlAuth.layerCredentials).pipe(Effect.provide(DsqlLive))
)

const onThisMachine = Effect.flatMap(DsqlLocal, ({ credentials, options }) =>
  quickstart(options, DsqlAuth.layerStatic(credentials))
).pipe(Effect.provide(DsqlLocal.layerLive()))

Config.option(Config.string("DSQL_HOST")).pipe(
  Effect.flatMap((host) => (Option.isSome(host) ? onService : onThisMachine)),
  NodeRuntime.runMain
)
