/** What the pool of `effect-dsql/pg` has of node-postgres, and what it does better. */
import { Effect, Redacted } from "effect"
import { DsqlErrors } from "effect-dsql"
import { connect, createPool, type Options, type Pool, transaction } from "effect-dsql/pg"
import { conflict, unavailable } from "effect-dsql/Testing"
import { AsyncLocalStorage } from "node:async_hooks"
import pg from "pg"
import Cursor from "pg-cursor"
import { afterAll, afterEach, assert, beforeAll, describe, it, vi } from "vitest"
import { type Cluster, startCluster } from "../src/local/cluster.js"
import { fromCluster } from "../src/LocalCluster.js"
import { eventually } from "./local/support.js"
import { failure, type Local, optionsFor } from "./support/drivers/driver.js"
import { startProgram } from "./support/program.js"
import { tcpSockets } from "./support/sockets.js"

let cluster: Cluster
let local: Local
let sockets: number

beforeAll(async () => {
  cluster = await startCluster()
  local = fromCluster(cluster)
  sockets = tcpSockets()
  await withPool((pool) => pool.query("CREATE TABLE item (id int PRIMARY KEY, n int)"))
})
afterAll(() => cluster.stop())
afterEach(async () => {
  vi.unstubAllEnvs()
  assert.deepStrictEqual(await Effect.runPromise(local.pendingFaults), [])
  await eventually(() => tcpSockets() === sockets)
})

const options = (): Options => optionsFor(local)

const withPool = async <A>(f: (pool: Pool) => Promise<A>, change: Options = {}): Promise<A> => {
  await using pool = await createPool({ ...options(), ...change })
  return await f(pool)
}

describe("the pool", () => {
  it("is one of node-postgres, without a password", () =>
    withPool(async (pool) => {
      assert.instanceOf(pool, pg.Pool)
      const { database, host, max, password, user } = pool.options
      assert.deepStrictEqual(
        [host, user, database, max, password],
        [local.endpoint, "admin", "postgres", 10, undefined]
      )
    }))

  it("gives clients that hold the token no longer", () =>
    withPool(async (pool) => {
      const client = await pool.connect()
      const { connectionParameters, password } = client as unknown as {
        readonly connectionParameters: { readonly password: unknown }
        readonly password: unknown
      }
      client.release()
      assert.deepStrictEqual([password, connectionParameters.password], [null, null])
    }))

  it("counts its connections", () =>
    withPool(
      async (pool) => {
        assert.deepStrictEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [1, 1, 0])
        const client = await pool.connect()
        const waiting = pool.query("SELECT 1 AS one")
        await eventually(() => pool.waitingCount === 1)
        assert.deepStrictEqual([pool.totalCount, pool.idleCount], [1, 0])
        client.release()
        assert.deepStrictEqual((await waiting).rows, [{ one: 1 }])
      },
      { pool: { max: 1 } }
    ))

  it("takes every form of a query", () =>
    withPool(async (pool) => {
      const config = Object.freeze({ text: "SELECT $1::int AS n" })
      const called = (...args: ReadonlyArray<unknown>) =>
        new Promise((resolve, reject) => {
          const query = pool.query as (...args: ReadonlyArray<unknown>) => unknown
          const callback = (error: unknown, result: pg.QueryResult) => (error ? reject(error) : resolve(result.rows))
          assert.isUndefined(query(...args, callback))
        })
      assert.deepStrictEqual((await pool.query("SELECT 1 AS n")).rows, [{ n: 1 }])
      assert.deepStrictEqual((await pool.query("SELECT $1::int AS n", [2])).rows, [{ n: 2 }])
      assert.deepStrictEqual((await pool.query({ text: "SELECT $1::int AS n", values: [3] })).rows, [{ n: 3 }])
      assert.deepStrictEqual((await pool.query({ name: "named", text: "SELECT 4", rowMode: "array" })).rows, [[4]])
      assert.deepStrictEqual(await called("SELECT 5 AS n"), [{ n: 5 }])
      assert.deepStrictEqual(await called(config, [6]), [{ n: 6 }])
      assert.deepStrictEqual(await called("SELECT $1::int AS n", [7]), [{ n: 7 }])
      assert.deepStrictEqual((await pool.query(config, [8])).rows, [{ n: 8 }])
      const error = await called("SELECT nothing").catch((error: unknown) => error)
      assert.instanceOf(error, DsqlErrors.DsqlQueryError)
    }))

  it("gives the error of a statement, with the driver's and the caller's stack, and keeps the connection", () =>
    withPool(async (pool) => {
      const { rows } = await pool.query("SELECT pg_backend_pid() AS id")
      await pool.query("INSERT INTO item VALUES (1, 1)")
      const error = await (async function caller() {
        return await failure(pool.query("INSERT INTO item VALUES ($1, $2)", [1, 1]))
      })()
      assert(error._tag === "DsqlConstraintError", String(error))
      assert.deepStrictEqual([error.reason, error.table, error.constraint], ["Unique", "item", "item_pkey"])
      assert.instanceOf(error.cause, pg.DatabaseError)
      const stacked: unknown = await (async function callerOfQuery() {
        try {
          return await pool.query("SELECT nothing")
        } catch (error) {
          return error
        }
      })()
      assert.include((stacked as Error).stack, "callerOfQuery")
      assert.deepStrictEqual((await pool.query("SELECT pg_backend_pid() AS id")).rows, rows)
    }))

  it("survives a value that cannot be sent", () =>
    withPool(async (pool) => {
      const unsendable = {
        toPostgres: () => {
          throw new Error("unsendable")
        }
      }
      const error = await failure(pool.query("SELECT $1::text AS value", [unsendable]))
      assert(error._tag === "DsqlQueryError", String(error))
      assert.match(error.message, /could not be converted: unsendable/)
      assert.deepStrictEqual((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }])
    }))

  it("lends a session as it was at first, whatever has been set in it", () =>
    withPool(
      async (pool) => {
        const client = await pool.connect()
        await client.query("SET search_path TO archive")
        client.release()
        const { rows } = await pool.query("SELECT current_setting('search_path') AS path")
        assert.deepStrictEqual(rows, [{ path: '"$user", public' }])
        assert.strictEqual(pool.totalCount, 1)
      },
      { pool: { max: 1 } }
    ))

  it("lends a client until it is released", () =>
    withPool(
      async (pool) => {
        const client = await pool.connect()
        assert.instanceOf(client, pg.Client)
        const { rows } = await client.query("SELECT pg_backend_pid() AS id")
        client.release()
        const late = await failure(client.query("SELECT 1"))
        assert(late._tag === "DsqlTransactionError", String(late))
        assert.strictEqual(late.reason, "Finished")
        assert.throws(() => client.release(), /already been released/)
        const next = await pool.connect()
        assert.deepStrictEqual((await next.query("SELECT pg_backend_pid() AS id")).rows, rows)
        next.release(true)
        const other = await pool.query("SELECT pg_backend_pid() AS id")
        assert.notDeepEqual(other.rows, rows)
      },
      { pool: { max: 1 } }
    ))

  it("says what happens to the clients of connect, and to no others", () =>
    withPool(
      async (pool) => {
        const events: Array<string> = []
        for (const event of ["connect", "acquire", "release", "remove"] as const) {
          pool.on(event, () => events.push(event))
        }
        await pool.query("SELECT 1")
        await transaction(pool, (client) => client.query("SELECT 1"))
        assert.deepStrictEqual(events, [])
        const client = await pool.connect()
        client.release()
        await new Promise<void>((resolve) =>
          pool.connect((_, client, release) => {
            assert.isDefined(client)
            release(true)
            resolve()
          })
        )
        await eventually(() => events.includes("remove"))
        assert.deepStrictEqual(events, ["connect", "acquire", "release", "acquire", "release", "remove"])
      },
      { pool: { max: 1 } }
    ))

  it("outlives a listener that throws, whose error the caller is given", () =>
    withPool(
      async (pool) => {
        const thrown = new Error("a listener's own")
        const fail = () => {
          throw thrown
        }
        for (const event of ["connect", "acquire"] as const) {
          pool.once(event, fail)
          assert.strictEqual(await pool.connect().catch((error: unknown) => error), thrown)
          assert.strictEqual(pool.totalCount, 0)
          assert.deepStrictEqual((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }])
        }
        const client = await pool.connect()
        pool.once("release", fail)
        assert.throws(() => client.release(), thrown)
        assert.deepStrictEqual((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }])
      },
      { pool: { max: 1, acquireTimeout: "2 seconds" } }
    ))

  it("waits for a connection as long as it may", () =>
    withPool(
      async (pool) => {
        const client = await pool.connect()
        const error = await failure(pool.query("SELECT 1"))
        assert(error._tag === "DsqlConnectionError", String(error))
        assert.strictEqual(error.reason, "AcquireTimeout")
        client.release()
        await pool.query("SELECT 1")
      },
      { pool: { max: 1, acquireTimeout: "3 seconds" } }
    ))

  it("gives cursors and other senders the driver itself", () =>
    withPool(async (pool) => {
      const client = await pool.connect()
      const cursor = client.query(new Cursor<{ n: number }>("SELECT n FROM generate_series(1, 5) AS n"))
      assert.deepStrictEqual(await cursor.read(3), [{ n: 1 }, { n: 2 }, { n: 3 }])
      await cursor.close()
      client.release()
      const rows = await new Promise((resolve, reject) =>
        (pool.query as (...args: ReadonlyArray<unknown>) => void)(
          new pg.Query("SELECT 1 AS one"),
          (error: unknown, result: pg.QueryResult) => (error ? reject(error) : resolve(result.rows))
        )
      )
      assert.deepStrictEqual(rows, [{ one: 1 }])
    }))

  it("ends when all that has begun is over, as often as it is told to", async () => {
    const pool = await createPool({ ...options(), pool: { max: 1 } })
    const client = await pool.connect()
    const waiting = pool.query("SELECT 1 AS one")
    const first = pool.end()
    let isOver = false
    void first.then(() => (isOver = true))
    const refused = await failure(pool.query("SELECT 1"))
    assert(refused._tag === "DsqlConnectionError", String(refused))
    assert.strictEqual(refused.reason, "PoolClosed")
    assert.deepStrictEqual((await client.query("SELECT 2 AS two")).rows, [{ two: 2 }])
    assert.deepStrictEqual([isOver, pool.ending, pool.ended], [false, true, false])
    client.release()
    assert.deepStrictEqual((await waiting).rows, [{ one: 1 }])
    await Promise.all([first, pool.end(), pool[Symbol.asyncDispose]()])
    assert.deepStrictEqual([pool.ended, pool.totalCount], [true, 0])
    await new Promise<void>((resolve) => pool.end(() => resolve()))
  })

  it("takes what is not in the options from the environment", async () => {
    const { accessKeyId, secretAccessKey } = local.credentials
    vi.stubEnv("DSQL_HOST", local.endpoint)
    vi.stubEnv("DSQL_HOSTADDR", local.hostaddr)
    vi.stubEnv("DSQL_PORT", String(local.port))
    vi.stubEnv("DSQL_SSLROOTCERT", local.caFile)
    vi.stubEnv("DSQL_POOL_MAX", "7")
    vi.stubEnv("AWS_ACCESS_KEY_ID", accessKeyId)
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", Redacted.value(secretAccessKey))
    for (const [given, max] of [
      [undefined, 7],
      [{ pool: { max: 3 } }, 3]
    ] as const) {
      await using pool = await createPool(given)
      assert.strictEqual(pool.options.max, max)
      assert.deepStrictEqual((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }])
    }
    vi.stubEnv("DSQL_HOST", "")
    const error = await failure(createPool())
    assert.deepInclude(error, { _tag: "DsqlConfigError", reason: "Missing", option: "DSQL_HOST" })
  })

  it("takes a connection string", async () => {
    const { host } = options()
    const error = await failure(createPool(`postgresql://${host}/postgres?sslmode=disable`))
    assert.deepInclude(error, { _tag: "DsqlConfigError", option: "sslmode" })
  })

  it("refuses what is no options at all", async () => {
    for (const given of [null, 5, true, []]) {
      const error = await failure(createPool(given as never))
      assert.deepInclude(error, { _tag: "DsqlConfigError", reason: "InvalidOption", option: "options" })
    }
  })
})

describe("a transaction that a program makes by itself", () => {
  it("fails with a conflict at COMMIT", () =>
    withPool(async (pool) => {
      await pool.query("INSERT INTO item VALUES (2, 0)")
      const client = await pool.connect()
      await client.query("BEGIN")
      await client.query("UPDATE item SET n = n + 1 WHERE id = 2")
      await pool.query("UPDATE item SET n = n + 1 WHERE id = 2")
      const error = await failure(client.query("COMMIT"))
      client.release()
      assert(error._tag === "DsqlConflictError", String(error))
    }))

  it("is told of its lost COMMIT also by what it does after that", () =>
    withPool(async (pool) => {
      const client = await pool.connect()
      await client.query("BEGIN")
      await client.query("INSERT INTO item VALUES (3, 0)")
      await Effect.runPromise(local.dropAtCommit("after"))
      const error = await failure(client.query("/* the end */ COMMIT"))
      assert.strictEqual(error._tag, "DsqlCommitOutcomeUnknownError")
      assert.strictEqual((await failure(client.query("ROLLBACK")))._tag, "DsqlCommitOutcomeUnknownError")
      client.release()
      assert.lengthOf((await pool.query("SELECT 1 FROM item WHERE id = 3")).rows, 1)
    }))

  it("is told when COMMIT has rolled it back", () =>
    withPool(async (pool) => {
      const client = await pool.connect()
      await client.query("BEGIN")
      await failure(client.query("SELECT nothing"))
      const error = await failure(client.query("COMMIT"))
      client.release()
      assert.deepInclude(error, { _tag: "DsqlTransactionError", reason: "Aborted" })
    }))

  it("is rolled back when its client is released in the middle of it", () =>
    withPool(
      async (pool) => {
        const client = await pool.connect()
        await client.query("BEGIN")
        await client.query("INSERT INTO item VALUES (4, 0)")
        client.release()
        assert.lengthOf((await pool.query("SELECT 1 FROM item WHERE id = 4")).rows, 0)
      },
      { pool: { max: 1 } }
    ))
})

describe("transaction", () => {
  it("runs a body in the asynchronous context of its caller, at every attempt", () =>
    withPool(async (pool) => {
      const storage = new AsyncLocalStorage<string>()
      await Effect.runPromise(local.failNext("BEGIN", unavailable()))
      await Effect.runPromise(local.failNext("COMMIT", conflict()))
      const seen: Array<unknown> = []
      await storage.run("request 7", () =>
        transaction(pool, async (client) => {
          seen.push(storage.getStore())
          await client.query("SELECT 1")
          seen.push(storage.getStore())
        })
      )
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 4 }, () => "request 7")
      )
    }))

  it("is given up by a signal, with its reason, and rolled back", () =>
    withPool(
      async (pool) => {
        const controller = new AbortController()
        const reason = new Error("no longer wanted")
        const late: Array<unknown> = []
        const given = transaction(
          pool,
          async (client) => {
            await client.query("INSERT INTO item VALUES (5, 0)")
            controller.abort(reason)
            for (const _ of [1, 2]) late.push(await client.query("SELECT 1").catch((error: unknown) => error))
          },
          { signal: controller.signal }
        )
        assert.strictEqual(await given.catch((error: unknown) => error), reason)
        assert.lengthOf((await pool.query("SELECT 1 FROM item WHERE id = 5")).rows, 0)
        await eventually(() => late.length === 2)
        assert.deepInclude(late[0], { _tag: "DsqlConnectionError", reason: "Closed" })
        assert.deepInclude(late[1], { _tag: "DsqlTransactionError", reason: "Finished" })
        const never = transaction(pool, async () => assert.fail("it ran"), { signal: controller.signal })
        assert.strictEqual(await never.catch((error: unknown) => error), reason)
      },
      { pool: { max: 1 } }
    ))

  it("refuses its client when it is over", () =>
    withPool(async (pool) => {
      const finished = { _tag: "DsqlTransactionError", reason: "Finished" } as const
      const client = await transaction(pool, async (client) => client)
      assert.deepInclude(await failure(client.query("SELECT 1")), finished)
      assert.deepInclude(await failure(client.query(new Cursor("SELECT 1")).read(1)), finished)
    }))

  it("reads only where it is told so, and does not grow older than it may", () =>
    withPool(async (pool) => {
      const write = transaction(pool, (client) => client.query("INSERT INTO item VALUES (6, 0)"), { readOnly: true })
      assert.deepInclude(await failure(write), { _tag: "DsqlQueryError", sqlState: "25006" })
      const endless = transaction(pool, () => new Promise(() => {}), { maxAge: "20 millis" })
      assert.deepInclude(await failure(endless), { _tag: "DsqlLimitError", reason: "Age" })
      const wrong = transaction(pool, async () => assert.fail("it ran"), { times: -1 })
      assert.deepInclude(await failure(wrong), { _tag: "DsqlConfigError", option: "times" })
    }))

  it("refuses a pool of another package", async () => {
    const stock = new pg.Pool() as Pool
    assert.strictEqual((await failure(transaction(stock, async () => 1)))._tag, "DsqlUnsupportedError")
  })
})

describe("the client", () => {
  it("is one of node-postgres, connected, and ends as often as it is told to", async () => {
    const client = await connect(options())
    assert.instanceOf(client, pg.Client)
    assert.deepStrictEqual((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }])
    await Promise.all([client.end(), client.end(), client[Symbol.asyncDispose]()])
    assert.deepInclude(await failure(client.query("SELECT 1")), { _tag: "DsqlTransactionError", reason: "Finished" })
    await new Promise<void>((resolve) => client.end(() => resolve()))
  })

  it("is one connection, however many a pool keeps", async () => {
    vi.stubEnv("DSQL_POOL_MIN", "3")
    const { host: _, ...fromEnvironment } = options()
    vi.stubEnv("DSQL_HOST", local.endpoint)
    for (const given of [fromEnvironment, { ...options(), pool: { min: 3 } }]) {
      await using client = await connect(given)
      await client.query("SELECT 1")
      assert.strictEqual(Effect.runSync(local.connectionCount), 1)
    }
  })

  it("is told when its connection is lost, and stays lost", async () => {
    await using client = await connect(options())
    await Effect.runPromise(local.dropConnections)
    await eventually(() => Effect.runSync(local.connectionCount) === 0)
    for (const attempt of [1, 2]) {
      const error = await failure(client.query("SELECT $1::int", [attempt]))
      assert.deepInclude(error, { _tag: "DsqlConnectionError", reason: "Closed" })
    }
  })
})

describe("a program", () => {
  it.each(["end", "dispose"])("exits by itself after %s", async (way) => {
    const access = JSON.stringify({ ...options() })
    const program = startProgram(["test/support/pgProgram.ts"], { OPTIONS: access, WAY: way })
    try {
      assert.deepStrictEqual(await program.exited, { code: 0, signal: null }, program.errors())
      assert.strictEqual(program.errors(), "")
      assert.strictEqual(program.output(), "1 21\n")
      assert.deepStrictEqual(program.leftovers(), [])
    } finally {
      program.cleanUp()
    }
  })
})
