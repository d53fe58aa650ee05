import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { bind, closeStatement, copyData, copyDone, execute, flush, parse, readable, sync } from "./protocol.js"
import { connect, ended, eventually, query, rawSession, withClient } from "./support.js"

const conflict = { code: "40001", message: "change conflicts with another transaction (OC000)" }
const schemaConflict = { code: "40001", message: "schema has been updated by another transaction (OC001)" }
const unavailable = { code: "XX000", message: "server unavailable" }
const aborted = { code: "25P02" }

/** How a client says something: in a simple query, in the extended protocol, or by a name that it prepared before. */
const protocols: ReadonlyArray<[string, (sql: string) => string | pg.QueryConfig]> = [
  ["simple", (sql) => sql],
  ["extended", (sql) => ({ text: sql, queryMode: "extended" }) as pg.QueryConfig],
  ["named", (sql) => ({ name: sql, text: sql })]
]

describe.each([{ conflicts: "postgres" }, { conflicts: "service" }] as const)(
  "with conflicts: $conflicts",
  (options) => {
    let cluster: Cluster
    let client: pg.Client
    beforeAll(async () => {
      cluster = await startCluster(options)
      await withClient(cluster, (client) => client.query("CREATE TABLE stored (n int PRIMARY KEY)"))
    })
    afterAll(() => cluster.stop())
    beforeEach(async () => {
      client = await connect(cluster)
      await client.query("DELETE FROM stored")
    })
    afterEach(async () => {
      cluster.faults.clear()
      cluster.dropConnections()
      await eventually(() => cluster.connectionCount() === 0)
    })

    const stored = () =>
      withClient(cluster, async (other) =>
        (await other.query("SELECT n FROM stored ORDER BY n")).rows.map(({ n }: { n: number }) => n)
      )

    describe.each(protocols)("a session in the %s protocol", (_, said) => {
      const run = (sql: string) => client.query(said(sql))
      /** So that the named ones exist before anything goes wrong. */
      const prepare = async (): Promise<void> => {
        await run("BEGIN")
        await run("INSERT INTO stored VALUES (1)")
        await run("COMMIT")
        await client.query("DELETE FROM stored")
      }

      it.each([false, true])(
        "loses as many COMMITs as it was told, with nothing left behind (known: %s)",
        async (known) => {
          if (known) await prepare()
          cluster.faults.failNext("COMMIT", conflict, { times: 2 })
          for (const _ of [1, 2]) {
            await run("BEGIN")
            expect((await run("INSERT INTO stored VALUES (1)")).rowCount).toBe(1)
            await expect(run("COMMIT")).rejects.toMatchObject({ ...conflict, severity: "ERROR" })
            // The transaction is over: this is none of its statements.
            expect((await run("SELECT count(*)::int AS n FROM stored")).rows).toEqual([{ n: 0 }])
          }
          await run("BEGIN")
          await run("INSERT INTO stored VALUES (1)")
          expect((await run("COMMIT")).command).toBe("COMMIT")
          expect(await stored()).toEqual([1])
        }
      )

      it("knows END for a COMMIT, and not the COMMIT of no transaction", async () => {
        cluster.faults.failNext("COMMIT", conflict)
        await run("COMMIT")
        await run("BEGIN")
        await run("INSERT INTO stored VALUES (1)")
        await expect(run("/* the */ end -- of it")).rejects.toMatchObject(conflict)
        expect(await stored()).toEqual([])
      })

      it("counts no COMMIT that only ends an aborted transaction", async () => {
        cluster.faults.failNext("COMMIT", conflict)
        await run("BEGIN")
        await expect(run("SELECT 1/0")).rejects.toMatchObject({ code: "22012" })
        expect((await run("COMMIT")).command).toBe("ROLLBACK")
        expect(cluster.faults.pending().map(({ step, times }) => [step, times])).toEqual([["COMMIT", 1]])
      })

      it.each([schemaConflict, unavailable])(
        "fails at a statement, which aborts its transaction ($message)",
        async (error) => {
          await run("BEGIN")
          await run("INSERT INTO stored VALUES (1)")
          cluster.faults.failNext("statement", error)
          await expect(run("INSERT INTO stored VALUES (2)")).rejects.toMatchObject({ ...error, severity: "ERROR" })
          await expect(run("SELECT 1")).rejects.toMatchObject(aborted)
          expect((await run("COMMIT")).command).toBe("ROLLBACK")
          expect(await stored()).toEqual([])
        }
      )

      it("fails at a statement outside of any, and goes on", async () => {
        await run("INSERT INTO stored VALUES (2)")
        cluster.faults.failNext("statement", schemaConflict, { times: 2 })
        await expect(run("INSERT INTO stored VALUES (1)")).rejects.toMatchObject(schemaConflict)
        await run("SET application_name = 'uncounted'")
        await expect(run("INSERT INTO stored VALUES (1)")).rejects.toMatchObject(schemaConflict)
        await run("INSERT INTO stored VALUES (1)")
        expect(await stored()).toEqual([1, 2])
      })

      it("fails at BEGIN, which begins nothing, and at ROLLBACK, which ends nothing", async () => {
        cluster.faults.failNext("BEGIN", unavailable)
        await expect(run("BEGIN")).rejects.toMatchObject(unavailable)
        await run("INSERT INTO stored VALUES (1)")
        await run("BEGIN")
        await run("INSERT INTO stored VALUES (2)")
        cluster.faults.failNext("ROLLBACK", unavailable, { times: 2 })
        await expect(run("ROLLBACK")).rejects.toMatchObject(unavailable)
        await expect(run("ROLLBACK")).rejects.toMatchObject(unavailable)
        await expect(run("SELECT 1")).rejects.toMatchObject(aborted)
        expect((await run("ROLLBACK")).command).toBe("ROLLBACK")
        expect(await stored()).toEqual([1])
      })

      it.each([
        ["before", []],
        ["after", [1]]
      ] as const)("loses its connection %s COMMIT", async (moment, left) => {
        cluster.faults.dropAtCommit(moment)
        await run("BEGIN")
        await run("INSERT INTO stored VALUES (1)")
        const over = ended(client)
        await expect(run("COMMIT")).rejects.toThrow("Connection terminated unexpectedly")
        await over
        expect(await stored()).toEqual(left)
        expect(cluster.faults.pending()).toEqual([])
      })

      it("loses its connection during COMMIT, which takes effect none the less", async () => {
        cluster.faults.dropAtCommit("during")
        await run("BEGIN")
        await run("INSERT INTO stored VALUES (1)")
        await expect(run("COMMIT")).rejects.toThrow("Connection terminated unexpectedly")
        await eventually(async () => (await stored()).length === 1)
      })

      it("loses its connection at a statement", async () => {
        await run("BEGIN")
        await run("INSERT INTO stored VALUES (1)")
        cluster.faults.dropNext("statement")
        await expect(run("INSERT INTO stored VALUES (2)")).rejects.toThrow("Connection terminated unexpectedly")
        expect(await stored()).toEqual([])
      })

      it("waits by the session clock, and fails after that", async () => {
        cluster.faults.delayNext("statement", 1_800_000)
        cluster.faults.failNext("statement", unavailable)
        const outcome = run("SELECT 1").catch((error: unknown) => error)
        await eventually(() => cluster.faults.pending().length === 1)
        cluster.sessionClock.advance(1_800_000)
        expect(await outcome).toMatchObject(unavailable)
      })
    })

    describe("several statements in one text", () => {
      it("fail where they are to, with what stands before undone", async () => {
        cluster.faults.failNext("COMMIT", conflict)
        await expect(client.query("BEGIN; INSERT INTO stored VALUES (1); COMMIT; SELECT 1")).rejects.toMatchObject(
          conflict
        )
        cluster.faults.failNext("statement", schemaConflict)
        await expect(client.query("INSERT INTO stored VALUES (1); SELECT 1")).rejects.toMatchObject(schemaConflict)
        await client.query("INSERT INTO stored VALUES (2)")
        expect(await stored()).toEqual([2])
      })

      it("are not struck behind one that fails by itself", async () => {
        cluster.faults.failNext("COMMIT", conflict)
        await expect(client.query("BEGIN; SELECT 1/0; COMMIT")).rejects.toMatchObject({ code: "22012" })
        await client.query("ROLLBACK; BEGIN")
        await expect(client.query("COMMIT")).rejects.toMatchObject(conflict)
      })
    })

    it("strikes sessions in the order in which they come", async () => {
      const others = [await connect(cluster), await connect(cluster)] as const
      cluster.faults.failNext("statement", schemaConflict)
      cluster.faults.failNext("statement", unavailable)
      await expect(others[1].query("SELECT 1")).rejects.toMatchObject(schemaConflict)
      await expect(client.query("SELECT 1")).rejects.toMatchObject(unavailable)
      expect((await others[0].query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
    })

    it("strikes at random, in the same way for the same seed", async () => {
      const struck = async (seed: number): Promise<string> => {
        cluster.faults.failNext("statement", unavailable, { times: Infinity, probability: 0.3, seed })
        let outcomes = ""
        for (let n = 0; n < 40; n++)
          outcomes += await client.query("SELECT 1").then(
            () => ".",
            () => "x"
          )
        cluster.faults.clear()
        return outcomes
      }
      const first = await struck(7)
      expect(await struck(7)).toBe(first)
      expect(await struck(8)).not.toBe(first)
      expect(first.replaceAll(".", "").length).toBeGreaterThan(4)
      expect(first.replaceAll("x", "").length).toBeGreaterThan(12)
    })

    describe("a pipeline", () => {
      const types = (bytes: ReadonlyArray<{ type: string; raw: Buffer }>): ReadonlyArray<string> =>
        readable(Buffer.concat(bytes.map(({ raw }) => raw))).map((line) => line.replace(/^(\w)\d+ /, "$1 "))

      it("is struck at the COMMIT whose transaction was begun in front of it", async () => {
        const { incoming, socket } = await rawSession(cluster)
        cluster.faults.failNext("COMMIT", conflict)
        socket.write(
          Buffer.concat([
            query("BEGIN"),
            query("INSERT INTO stored VALUES (1)"),
            query("COMMIT"),
            query("SELECT 1 AS one")
          ])
        )
        const answers = [
          ...(await incoming.until("Z")),
          ...(await incoming.until("Z")),
          ...(await incoming.until("Z")),
          ...(await incoming.until("Z"))
        ]
        const states = answers.filter(({ type }) => type === "Z").map(({ raw }) => String.fromCharCode(raw[5]!))
        expect(answers.map(({ type }) => type).join("")).toBe("CZCZEZTDCZ")
        expect(states).toEqual(["T", "T", "I", "I"])
        expect(await stored()).toEqual([])
      })

      it("is skipped up to its Sync behind a statement that fails", async () => {
        const { incoming, socket } = await rawSession(cluster)
        cluster.faults.failNext("statement", unavailable)
        const insert = (n: number) => [parse(`INSERT INTO stored VALUES (${n})`), bind(), execute()]
        socket.write(Buffer.concat([...insert(1), ...insert(2), sync, ...insert(3), sync]))
        const [first, second] = [await incoming.until("Z"), await incoming.until("Z")]
        expect(first.map(({ type }) => type).join("")).toBe("12EZ")
        expect(second.map(({ type }) => type).join("")).toBe("12CZ")
        expect(await stored()).toEqual([3])
      })

      it("gets its error at a Flush, and loses its transaction at the Sync", async () => {
        const { incoming, socket } = await rawSession(cluster)
        socket.write(Buffer.concat([query("BEGIN"), query("INSERT INTO stored VALUES (1)")]))
        await incoming.until("Z")
        await incoming.until("Z")
        cluster.faults.failNext("COMMIT", conflict)
        socket.write(Buffer.concat([parse("COMMIT", "c"), bind([], { statement: "c" }), execute(), flush]))
        expect(types(await incoming.until("E")).at(-1)).toContain("OC000")
        socket.write(Buffer.concat([closeStatement("c"), sync, query("SELECT count(*) FROM stored")]))
        expect(types(await incoming.until("Z"))).toEqual(["Z I"])
        expect((await incoming.until("Z")).map(({ type }) => type).join("")).toBe("TDCZ")
      })

      it("may carry the data of a COPY while faults wait", async () => {
        const { incoming, socket } = await rawSession(cluster)
        cluster.faults.failNext("COMMIT", conflict)
        const data = [copyData("1\n"), copyData("2\n"), copyDone]
        socket.write(Buffer.concat([query("COPY stored FROM STDIN"), ...data, query("SELECT 1")]))
        expect((await incoming.until("Z")).map(({ type }) => type).join("")).toBe("GCZ")
        await incoming.until("Z")
        socket.write(Buffer.concat([parse("COPY stored FROM STDIN"), bind(), execute(), sync]))
        await incoming.until("G")
        socket.write(Buffer.concat([copyData("3\n"), copyDone, sync, query("SELECT 1")]))
        expect((await incoming.until("Z")).map(({ type }) => type).join("")).toBe("CZ")
        expect((await incoming.until("Z")).map(({ type }) => type).join("")).toBe("TDCZ")
        expect(await stored()).toEqual([1, 2, 3])
      })
    })
  }
)

describe("a connection that breaks during COMMIT", () => {
  it("is gone before the COMMIT takes effect", async () => {
    const cluster = await startCluster({ rules: "off" })
    try {
      await withClient(cluster, (client) =>
        client.query(
          `CREATE TABLE late (n int);
          CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
          CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON late
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`
        )
      )
      const [holder, client] = [await connect(cluster), await connect(cluster)]
      const count = async () => (await holder.query("SELECT count(*)::int AS n FROM late")).rows[0].n
      await holder.query("SELECT pg_advisory_lock(1)")
      cluster.faults.dropAtCommit("during")
      await client.query("BEGIN; INSERT INTO late VALUES (1)")
      await expect(client.query("COMMIT")).rejects.toThrow("Connection terminated unexpectedly")
      expect(await count()).toBe(0)
      await holder.query("SELECT pg_advisory_unlock(1)")
      await eventually(async () => (await count()) === 1)
    } finally {
      await cluster.stop()
    }
  })
})
