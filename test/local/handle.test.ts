import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type pg from "pg"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import {
  connect,
  dialTcp,
  dialTls,
  ended,
  eventually,
  query,
  rawSession,
  refusal,
  sslRequest,
  withClient
} from "./support.js"

let cluster: Cluster
beforeAll(async () => {
  // It is looked at, and filled with what must not be left, by means that the service does not have.
  cluster = await startCluster({ rules: "off", lockProbe: 60_000 })
})
afterAll(() => cluster.stop())
afterEach(async () => {
  cluster.resume()
  cluster.dropConnections()
  await eventually(() => cluster.connectionCount() === 0)
})

const pidOf = async (client: pg.Client): Promise<number> =>
  (await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid

const mapRole = (role: string) =>
  withClient(cluster, (client) => client.query(`CREATE ROLE ${role} LOGIN; AWS IAM GRANT ${role} TO '${cluster.arn}'`))

describe("connections", () => {
  it("are listed with who they are, from login to close", async () => {
    await mapRole("listed")
    const before = Date.now()
    const half = await dialTls(cluster)
    const first = await connect(cluster)
    const second = await connect(cluster, { user: "listed", action: "DbConnect", applicationName: "shop" })
    const [one, two, ...more] = cluster.connections()
    expect(one).toMatchObject({ id: await pidOf(first), user: "admin", applicationName: "" })
    expect(two).toMatchObject({ id: await pidOf(second), user: "listed", applicationName: "shop" })
    expect(more).toEqual([])
    expect(one!.since.getTime()).toBeGreaterThanOrEqual(before)
    expect(one!.since.getTime()).toBeLessThanOrEqual(two!.since.getTime())
    await first.end()
    await eventually(() => cluster.connections().length === 1)
    half.destroy()
  })

  it("are dropped one, those of a user, or all", async () => {
    await mapRole("dropped")
    const asDropped = { user: "dropped", action: "DbConnect" } as const
    const clients = [await connect(cluster), await connect(cluster), await connect(cluster, asDropped)] as const
    const [first, second, third] = clients
    const firstEnded = ended(first)
    expect(cluster.dropConnection(await pidOf(first))).toBe(true)
    await firstEnded
    expect(cluster.dropConnection(-1)).toBe(false)
    const thirdEnded = ended(third)
    cluster.dropConnections({ user: "nobody" })
    cluster.dropConnections({ user: "dropped" })
    await thirdEnded
    await second.query("SELECT 1")
    const secondEnded = ended(second)
    cluster.dropConnections()
    await secondEnded
    await eventually(() => cluster.connectionCount() === 0)
    expect(cluster.connections()).toEqual([])
  })
})

describe("pause", () => {
  it("leaves clients without an answer until resume, and loses nothing", async () => {
    const { incoming, socket } = await rawSession(cluster)
    await withClient(cluster, (client) => client.query("CREATE TABLE paused (n int)"))
    cluster.pause()
    cluster.pause()
    socket.write(query("INSERT INTO paused VALUES (1)"))
    socket.write(query("SELECT count(*) FROM paused"))
    let isAnswered = false
    const answers = incoming.until("Z").then(async (first) => {
      isAnswered = true
      return [first, await incoming.until("Z")]
    })
    // Another client dials and gets a connection, but not a byte.
    const dialled = await dialTcp(cluster)
    dialled.write(sslRequest)
    let received = 0
    dialled.on("data", (chunk: Buffer) => (received += chunk.length))
    // A cluster that is not paused does its work in the meantime.
    const other = await startCluster()
    await withClient(other, (client) => client.query("SELECT 1"))
    await other.stop()
    expect([isAnswered, received]).toEqual([false, 0])
    expect(socket.destroyed).toBe(false)

    cluster.resume()
    const types = (await answers).map((messages) => messages.map(({ type }) => type).join(""))
    expect(types).toEqual(["CZ", "TDCZ"])
    if (received === 0) await once(dialled, "data")
    dialled.destroy()
    socket.destroy()
  })

  it("holds back the answer to a statement that runs, and a login", async () => {
    const { incoming, socket } = await rawSession(cluster)
    const holder = await connect(cluster)
    await holder.query("SELECT pg_advisory_lock(7)")
    const waiting = async () =>
      (await holder.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'")).rows.length === 1
    socket.write(query("SELECT pg_advisory_lock(7)"))
    await eventually(waiting)
    let isAnswered = false
    const answer = incoming.until("Z").then((messages) => {
      isAnswered = true
      return messages.map(({ type }) => type).join("")
    })
    const dead = ended(holder)
    cluster.pause()
    cluster.dropConnection(cluster.connections()[1]!.id)
    await dead
    const logins = cluster.loginCount()
    const login = connect(cluster)
    const isFirst = await Promise.race([login.then(() => "login"), startCluster().then((other) => other.stop())])
    expect([isFirst, isAnswered]).toEqual([undefined, false])
    expect(cluster.loginCount()).toBe(logins)
    cluster.resume()
    expect(await answer).toBe("TDCZ")
    await (await login).query("SELECT 1")
  })

  it("may end with the cluster's end", async () => {
    const other = await startCluster()
    const client = await connect(other)
    const dead = ended(client)
    other.pause()
    await other.stop()
    await dead
  })
})

describe("reset", () => {
  it("leaves nothing of the database, its settings and its roles", async () => {
    await mapRole("leftover")
    await withClient(cluster, async (client) => {
      await client.query(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE SEQUENCE s; CREATE SCHEMA shop; CREATE TABLE shop.t ()"
      )
      await client.query("CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE FUNCTION f() RETURNS int RETURN 1")
      await client.query(
        "CREATE ROLE owner; GRANT owner TO leftover, admin; GRANT CREATE ON DATABASE postgres TO owner"
      )
      await client.query(
        "CREATE SCHEMA owned AUTHORIZATION owner; CREATE TABLE owned.t (); ALTER TABLE owned.t OWNER TO owner"
      )
      await client.query(
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO owner; REVOKE ALL ON SCHEMA public FROM PUBLIC"
      )
      await client.query("ALTER ROLE admin SET search_path = shop; ALTER DATABASE postgres SET timezone = 'Asia/Tokyo'")
      await client.query("COMMENT ON DATABASE postgres IS 'mine'; SELECT lo_create(4711)")
    })
    const state = (which: Cluster) =>
      withClient(which, async (client) => {
        const queries = [
          "SELECT count(*)::int AS n FROM pg_class",
          "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname NOT LIKE 'pg_temp%' AND nspname NOT LIKE 'pg_toast_temp%' ORDER BY 1",
          "SELECT count(*)::int AS n FROM pg_type",
          "SELECT count(*)::int AS n FROM pg_proc",
          "SELECT rolname FROM pg_roles ORDER BY 1",
          "SELECT setdatabase, setrole FROM pg_db_role_setting",
          "SELECT count(*)::int AS n FROM pg_default_acl",
          "SELECT count(*)::int AS n FROM pg_largeobject_metadata",
          "SELECT datname, datacl::text, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1",
          "SELECT * FROM sys.iam_pg_role_mappings",
          "SELECT current_setting('search_path'), current_setting('timezone')"
        ]
        const answers: Array<unknown> = []
        for (const sql of queries) answers.push([sql, (await client.query(sql)).rows])
        return answers
      })
    await cluster.reset()
    const fresh = await startCluster()
    expect(await state(cluster)).toEqual(await state(fresh))
    await fresh.stop()
    expect(await refusal(cluster, { user: "leftover", action: "DbConnect" })).toMatchObject({
      hint: "Role leftover does not exist"
    })
    await mapRole("leftover")
  })

  it("drops clients, even those at work, and lets new ones in when it is done", async () => {
    const idle = await connect(cluster)
    const busy = await connect(cluster)
    await busy.query("BEGIN; CREATE TABLE locked ()")
    const failed = busy.query("SELECT pg_sleep(60)").catch((error: Error) => error)
    const dead = ended(idle)
    const isDone = cluster.reset()
    // These come while there is no database.
    const clients = await Promise.all(Array.from({ length: 3 }, () => connect(cluster)))
    await Promise.all([isDone, dead])
    expect(await failed).toBeInstanceOf(Error)
    for (const client of clients) {
      expect((await client.query("SELECT to_regclass('locked') AS found")).rows).toEqual([{ found: null }])
    }
  })

  it("runs one after the other, as often as one likes, and keeps identities", async () => {
    const identity = { accessKeyId: "AKIAKEPT000000000000", secretAccessKey: "kept" }
    cluster.addIdentity(identity)
    await Promise.all([cluster.reset(), cluster.reset(), cluster.reset()])
    await withClient(cluster, (client) => client.query("SELECT 1"), { identity })
    const times: Array<number> = []
    for (let round = 0; round < 20; round++) {
      await withClient(cluster, (client) =>
        client.query("CREATE ROLE r; CREATE TABLE t AS SELECT n, repeat('x', 100) FROM generate_series(1, 1000) n")
      )
      const start = performance.now()
      await cluster.reset()
      times.push(performance.now() - start)
    }
    const median = times.sort((a, b) => a - b)[10]!
    console.log(`median of 20 resets: ${median.toFixed(0)} ms, longest ${times.at(-1)!.toFixed(0)} ms`)
  })

  it("fails as a typed error when PostgreSQL is gone, and logins do not hang", async () => {
    const other = await startCluster()
    await other.stop()
    await expect(other.reset()).rejects.toMatchObject({ name: "LocalClusterError", reason: "ResetFailed" })
  })
})

describe("logs", () => {
  it("are the end of PostgreSQL's, with the statements that failed", async () => {
    await withClient(cluster, (client) => client.query("SELECT 1 / 0 AS marked").catch(() => undefined))
    const logs = await cluster.logs()
    expect(logs).toMatch(/ERROR: {2}division by zero\n.*STATEMENT: {2}SELECT 1 \/ 0 AS marked\n/)
    expect(logs).toContain("database system is ready")
  })

  it("are cut at a line when they are long", async () => {
    const log = join(dirname(cluster.caFile), "postgres.log")
    await writeFile(log, `first line\n${"x".repeat(99)}\n`.repeat(1000), { flag: "a" })
    const logs = await cluster.logs()
    expect(Buffer.byteLength(logs)).toBeLessThanOrEqual(64 * 1024)
    expect(logs).toMatch(/^(?:first line|x{99})\n/)
    expect(logs.endsWith(`${"x".repeat(99)}\n`)).toBe(true)
  })
})
