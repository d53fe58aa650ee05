/** The HTTP API of the examples as its users see it, while it works, while the database makes trouble and while it ends. */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { conflict } from "effect-dsql/Testing"
import { programOnCluster } from "./support/onCluster.js"

const startApi = Effect.gen(function* () {
  const { endpoint, region } = yield* DsqlLocal
  const program = yield* programOnCluster(["examples/httpApi.ts"], {
    AWS_REGION: region,
    CLUSTER_ENDPOINT: endpoint,
    PORT: "0"
  })
  const [, listening] = yield* Effect.promise(() => program.printed(/Listening on http:\/\/[\d.]+:(\d+)/))
  const call = (path: string, body?: object) =>
    Effect.tryPromise(async () => {
      const response = await fetch(`http://127.0.0.1:${listening}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { "content-type": "application/json" },
        body: body === undefined ? null : JSON.stringify(body)
      })
      const text = await response.text()
      return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
    })
  return { program, call }
})

const nobody = "00000000-0000-4000-8000-000000000000"

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("the HTTP API", (it) => {
  it.scoped(
    "answers, keeps conflicts to itself as long as it can, and says no more of other errors than that there was one",
    () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        const { call, program } = yield* startApi
        const added = yield* call("/notes", { text: "call Ana" })
        assert.strictEqual(added.status, 201)
        assert.deepStrictEqual(yield* call(`/notes/${added.body.id}`), {
          status: 200,
          body: { id: added.body.id, text: "call Ana" }
        })
        const missing = { status: 404, body: { _tag: "NoteNotFound", id: nobody } }
        assert.deepStrictEqual(yield* call(`/notes/${nobody}`), missing)
        assert.strictEqual((yield* call("/notes", { text: "" })).status, 400)

        yield* local.failNext("COMMIT", conflict(), { times: 3 })
        assert.strictEqual((yield* call("/notes", { text: "contended" })).status, 201)
        yield* local.failNext("COMMIT", conflict(), { times: Infinity })
        assert.deepStrictEqual(yield* call("/notes", { text: "in vain" }), {
          status: 503,
          body: { _tag: "Unavailable" }
        })
        yield* local.clearFaults
        yield* local.dropAtCommit("during")
        assert.deepStrictEqual(yield* call("/notes", { text: "lost" }), { status: 500, body: undefined })
        yield* Effect.promise(() => program.printed(/COMMIT was sent, but its answer was lost/))
      }),
    60_000
  )

  it.scoped(
    "answers what it has begun when it is told to end, takes nothing more, and leaves no connection",
    () =>
      Effect.gen(function* () {
        const local = yield* DsqlLocal
        const { call, program } = yield* startApi
        yield* local.delayNext("COMMIT", "1 second")
        const slow = yield* Effect.fork(call("/notes", { text: "just in time" }))
        yield* Effect.repeat(Effect.delay(local.pendingFaults, "1 millis"), { until: (faults) => faults.length === 0 })
        yield* local.pause
        program.signal("SIGTERM")
        yield* Effect.repeat(Effect.delay(Effect.isFailure(call(`/notes/${nobody}`)), "1 millis"), { until: (x) => x })
        yield* local.resume
        const { body, status } = yield* Fiber.join(slow)
        assert.deepStrictEqual([status, body.text], [201, "just in time"])
        assert.deepStrictEqual(yield* Effect.promise(() => program.exited), { code: 0, signal: null })
        assert.strictEqual(program.errors(), "")
        yield* Effect.repeat(Effect.delay(local.connectionCount, "1 millis"), { until: (count) => count === 0 })
      }),
    60_000
  )
})
