import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, type ClusterOptions, startCluster } from "../../src/local/cluster.js"
import { connect, ended, eventually, query, rawSession, refusal, withClient } from "./support.js"

const second = 1_000
const minute = 60 * second

/** Starts a cluster before the tests around it, and leaves no connection between them. */
const clusterWith = (options: ClusterOptions): { readonly current: Cluster } => {
  const holder: { current: Cluster } = { current: undefined as unknown as Cluster }
  beforeAll(async () => {
    holder.current = await startCluster(options)
  })
  afterAll(() => holder.current.stop())
  afterEach(async () => {
    holder.current.dropConnections()
    await eventually(() => holder.current.connectionCount() === 0)
  })
  return holder
}

describe.each([{ conflicts: "postgres" }, { conflicts: "service" }] as const)(
  "a transaction, with conflicts: $conflicts",
  (options) => {
    const cluster = clusterWith(options)
    let client: pg.Client
    beforeEach(async () => {
      client = await connect(cluster.current)
      await client.query("CREATE TABLE IF NOT EXISTS aged (n int)")
      await client.query("DELETE FROM aged")
    })

    const tooOld = (age: number) => ({
      severity: "ERROR",
      code: "54000",
      message: "transaction age limit of 300s exceeded",
      detail: `Current transaction age ${age}s exceeds 300s`
    })

    it.each([
      ["simple", (sql: string) => client.query(sql)],
      ["named", (sql: string) => client.query({ name: sql, text: sql })]
    ] as const)("older than 300 seconds fails at its next statement, and is aborted (%s)", async (_, run) => {
      await run("BEGIN")
      await run("INSERT INTO aged VALUES (1)")
      cluster.current.sessionClock.advance(365 * second)
      await expect(run("SELECT 1")).rejects.toMatchObject(tooOld(365))
      await expect(run("SELECT 1")).rejects.toMatchObject({ code: "25P02" })
      expect((await run("ROLLBACK")).command).toBe("ROLLBACK")
      expect((await run("SELECT n FROM aged")).rows).toEqual([])
      await run("BEGIN")
      await run("SELECT 1")
      expect((await run("COMMIT")).command).toBe("COMMIT")
    })

    it.each(["BEGIN", "BEGIN READ ONLY"])("fails at COMMIT as well (%s)", async (begin) => {
      await client.query(begin)
      await client.query("SELECT n FROM aged")
      cluster.current.sessionClock.advance(301 * second)
      await expect(client.query("COMMIT")).rejects.toMatchObject(tooOld(301))
      await expect(client.query("SELECT 1")).rejects.toMatchObject({ code: "25P02" })
      expect((await client.query("COMMIT")).command).toBe("ROLLBACK")
    })

    it("may be rolled back at any age, and be as old as 300 seconds", async () => {
      await client.query("BEGIN")
      cluster.current.sessionClock.advance(299 * second)
      await client.query("INSERT INTO aged VALUES (1)")
      expect((await client.query("COMMIT")).command).toBe("COMMIT")
      await client.query("BEGIN")
      cluster.current.sessionClock.advance(301 * second)
      expect((await client.query("ROLLBACK")).command).toBe("ROLLBACK")
    })

    it("is young again behind a COMMIT, also in the same text", async () => {
      await client.query("BEGIN")
      cluster.current.sessionClock.advance(200 * second)
      await client.query("COMMIT; BEGIN")
      cluster.current.sessionClock.advance(200 * second)
      await client.query("SELECT 1")
      cluster.current.sessionClock.advance(200 * second)
      await expect(client.query("ROLLBACK; SELECT 1; BEGIN; SELECT 1")).resolves.toHaveLength(4)
      await client.query("SELECT 1")
    })
  }
)

describe("a connection", () => {
  const cluster = clusterWith({})

  it("is closed after 60 minutes, whatever it is doing", async () => {
    const [idle, busy] = [await connect(cluster.current), await connect(cluster.current)]
    cluster.current.sessionClock.advance(59 * minute)
    await idle.query("SELECT 1")
    await busy.query("BEGIN")
    const running = busy.query("SELECT pg_sleep(60)").catch((error: unknown) => error)
    const late = await connect(cluster.current)
    const over = Promise.all([ended(idle), ended(busy)])
    cluster.current.sessionClock.advance(minute)
    await over
    expect(await running).toMatchObject({ message: "Connection terminated unexpectedly" })
    expect((await late.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
    await late.end()
  })
})

describe("logins", () => {
  const cluster = clusterWith({ limits: { connections: 3, connectRate: 2, connectBurst: 5 } })
  beforeEach(() => cluster.current.sessionClock.advance(minute))

  it("are refused when there are too many connections, until one closes", async () => {
    const clients = await Promise.all([1, 2, 3].map(() => connect(cluster.current)))
    const full = {
      severity: "FATAL",
      code: "53300",
      message: "Unable to accept connection, too many open connections.",
      hint: undefined
    }
    expect(await refusal(cluster.current)).toEqual(full)
    await clients[0]!.end()
    await eventually(() => cluster.current.connectionCount() === 2)
    await withClient(cluster.current, (client) => client.query("SELECT 1"))
  })

  it("count when they are at it at the same time", async () => {
    const outcomes = await Promise.allSettled([1, 2, 3, 4, 5].map(() => connect(cluster.current)))
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(3)
  })

  it("do not count when their token is refused", async () => {
    const denied = await Promise.all(Array.from({ length: 8 }, () => refusal(cluster.current, { password: "wrong" })))
    expect(denied.map(({ code }) => code)).toEqual(denied.map(() => "08006"))
    await withClient(cluster.current, (client) => client.query("SELECT 1"))
  })
})

describe("logins that come too fast", () => {
  // So slow that the real time, which goes on as well, makes no difference.
  const cluster = clusterWith({ limits: { connectRate: 0.01, connectBurst: 3 } })
  const tooFast = { severity: "FATAL", code: "53400", message: "Unable to accept connection, rate exceeded." }

  /** How many can come one after the other. */
  const opened = async (): Promise<number> => {
    for (let count = 0; ; count++) {
      const outcome = await connect(cluster.current).then(
        (client) => client.end(),
        (error: unknown) => error
      )
      if (outcome === undefined) continue
      expect(outcome).toMatchObject(tooFast)
      return count
    }
  }

  it("are refused, and let in at the rate that is allowed, never more at once than a burst", async () => {
    expect(await opened()).toBe(3)
    cluster.current.sessionClock.advance(100 * second)
    expect(await opened()).toBe(1)
    cluster.current.sessionClock.advance(60 * minute)
    expect(await opened()).toBe(3)
  })
})

describe("an inactive cluster", () => {
  const cluster = clusterWith({ idleTime: 10 * minute, wakeTime: 20 * second })
  const waking = {
    severity: "FATAL",
    code: "XX000",
    message: "unable to accept connection, waking up cluster, please retry later",
    hint: undefined
  }

  it("is woken up by a login, and refuses all of them until it is awake", async () => {
    const client = await connect(cluster.current)
    const over = ended(client)
    cluster.current.inactivate()
    await over
    cluster.current.sessionClock.advance(minute)
    expect(await refusal(cluster.current)).toEqual(waking)
    cluster.current.sessionClock.advance(10 * second)
    expect(await refusal(cluster.current)).toEqual(waking)
    cluster.current.sessionClock.advance(10 * second)
    await withClient(cluster.current, (client) => client.query("SELECT 1"))
  })

  it("is one without connections for as long as was set", async () => {
    const client = await connect(cluster.current)
    cluster.current.sessionClock.advance(11 * minute)
    await withClient(cluster.current, (other) => other.query("SELECT 1"))
    await client.end()
    await eventually(() => cluster.current.connectionCount() === 0)
    cluster.current.sessionClock.advance(9 * minute)
    await withClient(cluster.current, (other) => other.query("SELECT 1"))
    await eventually(() => cluster.current.connectionCount() === 0)
    cluster.current.sessionClock.advance(10 * minute)
    expect(await refusal(cluster.current)).toEqual(waking)
    cluster.current.sessionClock.advance(20 * second)
    await withClient(cluster.current, (other) => other.query("SELECT 1"))
  })

  it("is not woken up by who has no right to it", async () => {
    cluster.current.inactivate()
    expect((await refusal(cluster.current, { password: "wrong" })).code).toBe("08006")
    cluster.current.sessionClock.advance(minute)
    expect(await refusal(cluster.current)).toEqual(waking)
    cluster.current.sessionClock.advance(minute)
  })
})

describe("a message", () => {
  const cluster = clusterWith({ limits: { messageSize: 1000 }, oversizedMessage: "error" })

  it("may be as long as was set", async () => {
    const { incoming, socket } = await rawSession(cluster.current)
    const text = (length: number) => query(`SELECT '${"x".repeat(length - 14)}'`)
    expect(text(1000).length).toBe(1001)
    socket.write(text(1000))
    expect((await incoming.until("Z")).map(({ type }) => type).join("")).toBe("TDCZ")
    socket.write(text(1001))
    expect((await incoming.lastError())?.get("C")).toBe("08P01")
  })
})
