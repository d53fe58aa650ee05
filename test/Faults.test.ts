import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { DsqlAuth, DsqlClient, DsqlConfig, DsqlConnection, DsqlErrors } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { withInstruments } from "./support/instruments.js"
import { makeProxy, type Proxy } from "./support/proxy.js"
import { until } from "./support/sockets.js"

const live = { excludeTestServices: true, timeout: "60 seconds" } as const

const soon = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutFail(Effect.disconnect(effect), { duration: "8 seconds", onTimeout: () => new Error("it hangs") })

const clientOf = (
  proxy: Proxy,
  options: Partial<DsqlConfig.Options> = {},
  connections: typeof DsqlConnection.layer = DsqlConnection.layer
) =>
  DsqlClient.layer.pipe(
    Layer.provideMerge(connections),
    Layer.provide(DsqlAuth.layerToken),
    Layer.provide(proxy.credentials),
    Layer.provide(DsqlConfig.layer({ ...proxy.options, pool: { max: 1 }, ...options }))
  )

const running = (text: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql<{
      n: number
    }>`SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE ${`${text}%`} AND state = 'active'`.pipe(
      Effect.repeat({ until: ([row]) => row!.n === 1 })
    )
  }).pipe(Effect.provide(DsqlLocal.layerClient()))

layer(DsqlLocal.layer(withInstruments), live)("faults", (it) => {
  it.scoped("a server that does not answer the goodbye does not keep a layer from closing", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(clientOf(proxy), scope)
      yield* proxy.freeze
      yield* soon(Scope.close(scope, Exit.void))
    })
  )

  it.scoped("a layer built where nothing can be interrupted closes all the same", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const scope = yield* Scope.make()
      yield* Effect.uninterruptible(Layer.buildWithScope(clientOf(proxy), scope))
      yield* soon(Scope.close(scope, Exit.void))
    })
  )

  it.scoped("a statement whose answer is lost is not retryable, but one inside a transaction is", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const lost = (marker: string, statement: Effect.Effect<unknown, unknown>) =>
          Effect.gen(function* () {
            const fiber = yield* Effect.fork(Effect.flip(statement))
            yield* running(`SELECT pg_sleep(60), '${marker}'`)
            yield* proxy.cut
            return DsqlErrors.unwrap(yield* Fiber.join(fiber))
          })
        const alone = yield* lost("alone", sql.unsafe("SELECT pg_sleep(60), 'alone'"))
        assert(alone?._tag === "DsqlConnectionError")
        assert.deepStrictEqual([alone.reason, alone.outcomeUnknown, alone.isRetryable], ["Closed", true, false])
        assert.match(alone.message, /look whether it took effect/)
        const inside = yield* lost("inside", sql.withTransaction(sql.unsafe("SELECT pg_sleep(60), 'inside'")))
        assert(inside?._tag === "DsqlConnectionError")
        assert.deepStrictEqual([inside.reason, inside.outcomeUnknown, inside.isRetryable], ["Closed", undefined, true])
        const streamed = yield* lost("streamed", Stream.runDrain(sql.unsafe("SELECT pg_sleep(60), 'streamed'").stream))
        assert(streamed?._tag === "DsqlConnectionError")
        assert.isFalse(streamed.isRetryable)
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped.each([
    ["outside of a transaction", <A, E>(_: SqlClient.SqlClient, stream: Effect.Effect<A, E>) => stream],
    ["inside of one", <A, E>(sql: SqlClient.SqlClient, stream: Effect.Effect<A, E>) => sql.withTransaction(stream)]
  ] as const)("a stream whose connection is lost between two fetches fails, typed, %s", ([, wrap]) =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        let seen = 0
        const read = sql<{ n: number }>`SELECT n FROM generate_series(1, 1000) AS n`.stream.pipe(
          Stream.runForEachChunk((chunk) =>
            Effect.zipRight(
              Effect.sync(() => (seen += chunk.length)),
              Effect.zipRight(
                proxy.cut,
                until(() => proxy.present() === 0)
              )
            )
          )
        )
        const error = DsqlErrors.unwrap(yield* soon(Effect.flip(wrap(sql, read))))
        assert(error?._tag === "DsqlConnectionError")
        assert.strictEqual(error.reason, "Closed")
        assert.isBelow(seen, 1000)
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped("the server's last word ends a connection, also where its closing never arrives", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy({ passesEnds: false })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const text = "SELECT pg_terminate_backend(pg_backend_pid())"
        for (const way of [
          sql.unsafe(text),
          Stream.runDrain(sql.unsafe(text).stream),
          sql.withTransaction(sql.unsafe(text))
        ]) {
          const error = DsqlErrors.unwrap(yield* soon(Effect.flip(way)))
          assert(error?._tag === "DsqlConnectionError")
          assert.strictEqual(error.reason, "Closed")
          assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
          yield* until(() => proxy.present() === 1)
        }
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped("a COMMIT whose answer is lost is reported as such", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE committed (id int)`
        const cutWhenCommitted = Effect.gen(function* () {
          const other = yield* SqlClient.SqlClient
          yield* other`SELECT id FROM committed`.pipe(Effect.repeat({ until: (rows) => rows.length === 1 }))
          yield* proxy.cut
        }).pipe(Effect.provide(DsqlLocal.layerClient()))
        const cluster = yield* Effect.context<DsqlLocal>()
        const error = yield* sql`INSERT INTO committed VALUES (1)`.pipe(
          Effect.zipRight(proxy.silence),
          Effect.zipRight(Effect.forkDaemon(Effect.provide(cutWhenCommitted, cluster))),
          sql.withTransaction,
          Effect.flip
        )
        assert.strictEqual(DsqlErrors.unwrap(error)?._tag, "DsqlCommitOutcomeUnknownError")
        assert.isFalse(DsqlErrors.isRetryable(error))
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped("a failed statement hands its connection on only when the server has said in which state it is", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const late = new WeakSet<object>()
      /** Lets ReadyForQuery come some time after the error, as it does when the network parts the two. */
      const delay = (connection: DsqlConnection.Connection) => {
        const emitter: NodeJS.EventEmitter = connection.driver
        if (late.has(emitter)) return
        late.add(emitter)
        const emit = emitter.emit.bind(emitter)
        emitter.emit = (name, ...args) =>
          name === "readyForQuery" ? setTimeout(() => emit(name, ...args), 5) !== undefined : emit(name, ...args)
      }
      const connections = Layer.effect(
        DsqlConnection.DsqlConnection,
        Effect.map(DsqlConnection.DsqlConnection, ({ request, reserve, use }) => ({
          use: <A, E, R>(f: (connection: DsqlConnection.Connection) => Effect.Effect<A, E, R>) =>
            use((connection) => Effect.suspend(() => (delay(connection), f(connection)))),
          reserve: Effect.tap(reserve, (connection) => Effect.sync(() => delay(connection))),
          request: <A, E>({ start, stop }: DsqlConnection.Request<A, E>) =>
            request<A, E>({ start: (connection, end) => (delay(connection), start(connection, end)), stop })
        }))
      ).pipe(Layer.provide(DsqlConnection.layer))
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const pid = Effect.map(sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row!.pid)
        yield* Effect.flip(sql.unsafe("BEGIN; SELECT 1/0"))
        const first = yield* pid
        yield* Effect.flip(sql`SELECT 1/0`)
        assert.strictEqual(yield* pid, first, "a good connection was thrown away after a statement")
        yield* Effect.flip(sql.withTransaction(sql`SELECT 1/0`))
        assert.strictEqual(yield* pid, first, "a good connection was thrown away after a transaction")
        yield* Effect.flip(Stream.runDrain(sql`SELECT 1/0`.stream))
        assert.strictEqual(yield* pid, first, "a good connection was thrown away after a stream")
      }).pipe(Effect.provide(clientOf(proxy, {}, connections)))
    })
  )

  it.scoped("a parser that throws fails the statement or the stream, typed, and nothing else", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const types = {
        getTypeParser: () => (text: string | Buffer) => {
          if (String(text) === "bad") throw new TypeError("this certificate is bad")
          return String(text)
        }
      }
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const text = "SELECT CASE n WHEN 200 THEN 'bad' ELSE 'good' END AS x FROM generate_series(1, 1000) AS n"
        const failures = yield* Effect.all([
          Effect.flip(DsqlErrors.refine(sql.unsafe(text))),
          Effect.flip(DsqlErrors.refine(Stream.runDrain(sql.unsafe(text).stream)))
        ])
        for (const failure of failures) {
          assert(failure._tag === "DsqlQueryError")
          assert.strictEqual(failure.sqlState, "22000")
          assert.match(failure.message, /certificate is bad/)
        }
        assert.deepStrictEqual(yield* sql`SELECT 'good' AS x`, [{ x: "good" }])
      }).pipe(Effect.provide(clientOf(proxy, { types })))
    })
  )

  it.scoped("COPY through a statement or a stream ends, typed, and the pool goes on", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE copied (id int)`
        for (const text of ["COPY copied FROM STDIN", "COPY (SELECT 1) TO STDOUT"]) {
          yield* soon(Effect.exit(sql.unsafe(text)))
          yield* soon(Effect.exit(Stream.runDrain(sql.unsafe(text).stream)))
          assert.deepStrictEqual(yield* soon(sql`SELECT 1 AS one`), [{ one: 1 }])
        }
        yield* sql`DROP TABLE copied`
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped("a parameter that cannot be sent fails typed, in a statement, a stream and as JSON", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const circular: Record<string, unknown> = {}
      circular["self"] = circular
      yield* Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const statement = () => sql.unsafe("SELECT $1::jsonb", [circular as unknown as object])
        const failures = yield* Effect.all([
          Effect.flip(DsqlErrors.refine(statement())),
          Effect.flip(DsqlErrors.refine(Stream.runDrain(statement().stream))),
          Effect.flip(DsqlErrors.refine(sql`SELECT ${sql.json({ big: 1n })}::jsonb`))
        ])
        assert.deepStrictEqual(
          failures.map((failure) => (failure._tag === "DsqlQueryError" ? failure.sqlState : failure._tag)),
          ["22000", "22000", "22000"]
        )
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped("JSON that cannot be sent fails typed also where its keys are renamed", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const circular: Record<string, unknown> = { firstName: "Ana" }
      circular["self"] = [circular]
      yield* Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        for (const value of [circular, { big: 1n }]) {
          const statement = sql`SELECT ${sql.json(value)}::jsonb`
          for (const run of [statement, Stream.runDrain(statement.stream), sql.withTransaction(statement)]) {
            const exit = yield* Effect.exit(DsqlErrors.refine(run))
            assert(Exit.isFailure(exit) && exit.cause._tag === "Fail", String(exit))
            const failure = exit.cause.error
            assert(failure._tag === "DsqlQueryError")
            assert.strictEqual(failure.sqlState, "22000")
          }
        }
        assert.deepStrictEqual(yield* sql`SELECT 1 AS one`, [{ one: 1 }])
      }).pipe(Effect.provide(clientOf(proxy, { transformQueryNames: (name) => name.toLowerCase() })))
    })
  )

  it.scoped("nothing of a session reaches the next borrower: settings by stream, role, prepared statements", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE ROLE other_role`
        yield* sql`GRANT other_role TO admin`
        const state = sql`SELECT current_user AS who, current_setting('search_path') AS path`
        const before = yield* state
        yield* Stream.runDrain(sql`SELECT set_config('search_path', 'leaked', false)`.stream)
        assert.deepStrictEqual(yield* state, before)
        yield* sql`SET ROLE other_role`
        assert.deepStrictEqual(yield* state, before)
        yield* sql`PREPARE p AS SELECT 1`
        yield* sql`PREPARE p AS SELECT 1`
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped("a reserved connection that is kept beyond its scope refuses to work", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const kept = yield* Effect.scoped(
          Effect.tap(sql.reserve, (connection) => connection.executeRaw("SELECT 1", []))
        )
        const error = DsqlErrors.unwrap(yield* Effect.flip(kept.executeRaw("BEGIN", [])))
        assert(error?._tag === "DsqlTransactionError")
        assert.strictEqual(error.reason, "Finished")
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )

  it.scoped("a client whose layer is closed fails typed and says so", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      const sql = yield* Effect.provide(SqlClient.SqlClient, clientOf(proxy))
      const error = DsqlErrors.unwrap(yield* Effect.flip(sql`SELECT 1`))
      assert(error?._tag === "DsqlConnectionError")
      assert.strictEqual(error.reason, "PoolClosed")
      assert.isFalse(error.isRetryable)
    })
  )

  it.scoped("statements work in the finalizers of an interrupted fiber", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy()
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const started = yield* Deferred.make<void>()
        const seen = yield* Deferred.make<unknown>()
        const fiber = yield* Effect.fork(
          Deferred.succeed(started, undefined).pipe(
            Effect.zipRight(Effect.never),
            Effect.ensuring(Effect.flatMap(Effect.exit(sql`SELECT 1 AS one`), (exit) => Deferred.succeed(seen, exit)))
          )
        )
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* Deferred.await(seen), Exit.succeed([{ one: 1 }]))
      }).pipe(Effect.provide(clientOf(proxy)))
    })
  )
})
