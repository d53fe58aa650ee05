/**
 * An HTTP API that ends gracefully: on SIGTERM or SIGINT it takes no more requests, answers those it has begun, and only then
 * gives up its connections. Creates the table `example_note`.
 *
 *   CLUSTER_ENDPOINT=… PORT=3000 npx tsx examples/httpApi.ts
 *   curl localhost:3000/notes -H 'content-type: application/json' -d '{"text":"call Ana"}'
 */
import {
  HttpApi,
  HttpApiBuilder,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiSchema,
  HttpMiddleware,
  HttpServer
} from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { SqlClient, SqlSchema } from "@effect/sql"
import { Config, Effect, Layer, Schema } from "effect"
import { DsqlErrors, DsqlLayer, DsqlTransaction } from "effect-dsql"
import { createServer } from "node:http"

/** Nobody waits a minute for an answer, which is how long a conflict is retried by default. */
const Db = DsqlLayer.layerConfig({
  host: Config.string("CLUSTER_ENDPOINT"),
  retry: { deadline: Config.succeed("3 seconds") }
})

// ------------------------------------------------------------------------------------------------- what is offered

class Note extends Schema.Class<Note>("Note")({ id: Schema.UUID, text: Schema.NonEmptyString }) {}

const NewNote = Schema.Struct({ text: Schema.NonEmptyString })

class NoteNotFound extends Schema.TaggedError<NoteNotFound>()(
  "NoteNotFound",
  { id: Schema.UUID },
  HttpApiSchema.annotations({ status: 404 })
) {}

/** It may be tried again. */
class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  {},
  HttpApiSchema.annotations({ status: 503 })
) {}

const Api = HttpApi.make("Notes").add(
  HttpApiGroup.make("notes")
    .add(HttpApiEndpoint.post("add", "/notes").setPayload(NewNote).addSuccess(Note, { status: 201 }))
    .add(
      HttpApiEndpoint.get("find", "/notes/:id")
        .setPath(Schema.Struct({ id: Schema.UUID }))
        .addSuccess(Note)
        .addError(NoteNotFound)
    )
    .addError(Unavailable)
)

// ---------------------------------------------------------------------------------------------------- what is done

/** What passes by itself is a 503, everything else a 500: it is logged, and its text is nobody's business. */
const orUnavailable = Effect.catchAll((error: unknown) =>
  DsqlErrors.isRetryable(error) ? Effect.fail(new Unavailable()) : Effect.die(error)
)

const Notes = HttpApiBuilder.group(Api, "notes", (handlers) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const add = SqlSchema.single({
      Request: NewNote,
      Result: Note,
      execute: (note) => sql`INSERT INTO example_note ${sql.insert(note).returning("id, text")}`
    })
    const find = SqlSchema.findOne({
      Request: Schema.UUID,
      Result: Note,
      execute: (id) => sql`SELECT id, text FROM example_note WHERE id = ${id}`
    })
    return handlers
      .handle("add", ({ payload }) => add(payload).pipe(DsqlTransaction.withRetry({ name: "add" }), orUnavailable))
      .handle("find", ({ path: { id } }) =>
        find(id).pipe(
          DsqlTransaction.withRetry({ name: "find", readOnly: true }),
          orUnavailable,
          Effect.flatMap(Effect.mapError(() => new NoteNotFound({ id })))
        )
      )
  })
)

const Table = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      CREATE TABLE IF NOT EXISTS example_note (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), text text NOT NULL)`
  }).pipe(DsqlTransaction.retryStatement())
)

// What comes last here is built first and ends last: the server, which waits for its requests, before their database.
HttpApiBuilder.serve(HttpMiddleware.logger).pipe(
  HttpServer.withLogAddress,
  Layer.provide(HttpApiBuilder.api(Api)),
  Layer.provide(Notes),
  Layer.provide(
    NodeHttpServer.layerConfig(createServer, { port: Config.integer("PORT").pipe(Config.withDefault(3000)) })
  ),
  Layer.provide(Table),
  Layer.provide(Db),
  Layer.launch,
  NodeRuntime.runMain
)
