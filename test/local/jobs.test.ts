import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connectDirectly } from "./protocol.js"
import { connect, eventually, frame, query, rawSession, withClient } from "./support.js"

const minute = 60_000
// The clock runs with the real time, so there is room between its steps; a transaction may be 5 minutes old.
const jobDuration = 4 * minute

let cluster: Cluster
let admin: pg.Client
beforeAll(async () => {
  cluster = await startCluster({ jobDuration })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  admin = await connect(cluster)
  await admin.query("CREATE TABLE item (id int PRIMARY KEY, name text, price int)")
})
afterEach(() => admin.end())

const idShape = /^[a-z2-7]{26}$/

/** Starts a job and gives its id. */
const start = async (sql: string, client = admin): Promise<string> => {
  const { rows } = await client.query<{ job_id: string }>(sql)
  expect(rows).toEqual([{ job_id: expect.stringMatching(idShape) }])
  return rows[0]!.job_id
}

const advance = async (milliseconds: number): Promise<void> => {
  cluster.sessionClock.advance(milliseconds)
  await cluster.jobsSettled()
}

const jobs = async (): Promise<Array<string>> => {
  const { rows } = await admin.query<Record<string, string | null>>("SELECT * FROM sys.jobs ORDER BY start_time")
  return rows.map(({ details, job_type, object_name, status }) =>
    [job_type, object_name, status, details].filter((part) => part !== null).join(" ")
  )
}

const indexes = async (): Promise<Array<string>> => {
  const { rows } = await admin.query<{ name: string; indisvalid: boolean }>(
    "SELECT indexrelid::regclass::text AS name, indisvalid FROM pg_index WHERE indrelid = 'item'::regclass ORDER BY 1"
  )
  return rows.filter(({ name }) => name !== "item_pkey").map((row) => `${row.name} ${row.indisvalid}`)
}

describe("an index that is built by a job", () => {
  it("is there at once, and valid when the job is completed", async () => {
    await admin.query("INSERT INTO item VALUES (1, 'a', 1)")
    const id = await start("CREATE INDEX ASYNC by_name ON item (name)")
    expect(await jobs()).toEqual(["INDEX_BUILD public.by_name submitted"])
    expect(await indexes()).toEqual(["by_name false"])
    await advance(jobDuration / 2)
    expect(await jobs()).toEqual(["INDEX_BUILD public.by_name processing"])
    expect(await indexes()).toEqual(["by_name false"])
    await admin.query("INSERT INTO item VALUES (2, 'b', 2)")
    await advance(jobDuration / 2)
    expect(await jobs()).toEqual(["INDEX_BUILD completed"])
    expect(await indexes()).toEqual(["by_name true"])
    await admin.query("SET enable_seqscan = off")
    const { rows } = await admin.query("EXPLAIN (COSTS OFF) SELECT * FROM item WHERE name = 'b'")
    expect(JSON.stringify(rows)).toContain("by_name")
    expect((await admin.query("SELECT id FROM item WHERE name = 'b'")).rows).toEqual([{ id: 2 }])

    const { rows: joined } = await admin.query<{ relname: string; class_id: number; start: Date; update: Date }>(
      `SELECT c.relname, j.class_id, j.start_time AS start, j.update_time AS update
       FROM sys.jobs j JOIN pg_class c ON c.oid = j.object_id WHERE j.job_id = $1 AND j.status = ANY ($2)`,
      [id, ["completed"]]
    )
    expect(joined).toMatchObject([{ relname: "by_name", class_id: 1259 }])
    expect(joined[0]!.update.getTime() - joined[0]!.start.getTime()).toBe(jobDuration)
  })

  const statements: ReadonlyArray<readonly [string, string]> = [
    ["create  index\nasync by_name on item(name)", "CREATE INDEX by_name ON public.item USING btree (name)"],
    [
      "/* a */ CREATE INDEX /* b */ ASYNC by_name ON item (name) -- c",
      "CREATE INDEX by_name ON public.item USING btree (name)"
    ],
    ["CREATE INDEX ASYNC ON item (name);", "CREATE INDEX item_name_idx ON public.item USING btree (name)"],
    [
      "CREATE INDEX ASYNC ON item ((lower(name)))",
      "CREATE INDEX item_lower_idx ON public.item USING btree (lower(name))"
    ],
    [
      "CREATE UNIQUE INDEX ASYNC \"It's\" ON item (name) INCLUDE (price) NULLS NOT DISTINCT WHERE name <> 'a\\''",
      "CREATE UNIQUE INDEX \"It's\" ON public.item USING btree (name) INCLUDE (price) NULLS NOT DISTINCT WHERE (name <> 'a\\'''::text)"
    ]
  ]
  it.each(statements)("is asked for as %j", async (sql, definition) => {
    // Where a string ends is PostgreSQL's affair.
    await start(sql.replace("'a\\''", "'a\\'''"))
    const { rows } = await admin.query(
      "SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index WHERE NOT indisvalid"
    )
    expect(rows).toEqual([{ definition }])
  })

  const refused: ReadonlyArray<readonly [string, string, string]> = [
    ["CREATE INDEX ASYNC public.by_name ON item (name)", "42601", 'syntax error at or near "."'],
    ["CREATE INDEX ASYNC by_name ON item (nme)", "42703", 'column "nme" does not exist'],
    ["CREATE INDEX ASYNC by_name ON itm (name)", "42P01", 'relation "itm" does not exist'],
    ["CREATE INDEX ASYNC item_pkey ON item (name)", "42P07", 'relation "item_pkey" already exists']
  ]
  it.each(refused)("is refused as %j, with no word of how that is run", async (sql, code, message) => {
    await expect(admin.query(sql)).rejects.toMatchObject({ code, message, where: undefined })
    expect(await jobs()).toEqual([])
  })

  it("leaves positions of errors where they are", async () => {
    for (const [sql, at] of [
      ["/* ü */ CREATE INDEX ASYNC  by.name ON item (name)", ".name"],
      ["/* ü */ CREATE INDEX ASYNC by_name ON item (name); SELECT oops", "oops"]
    ] as const) {
      await expect(admin.query(sql)).rejects.toMatchObject({ position: String(sql.indexOf(at) + 1) })
    }
  })

  it("is for the owner of the table to ask for", async () => {
    await admin.query("CREATE ROLE app LOGIN")
    await admin.query(`AWS IAM GRANT app TO '${cluster.arn}'`)
    await admin.query("GRANT ALL ON item TO app")
    await withClient(
      cluster,
      (client) =>
        expect(client.query("CREATE INDEX ASYNC ON item (name)")).rejects.toMatchObject({
          code: "42501",
          message: "must be owner of table item"
        }),
      { user: "app", action: "DbConnect" }
    )
  })

  it("is not made if there is one of its name, and that is allowed", async () => {
    await start("CREATE INDEX ASYNC IF NOT EXISTS by_name ON item (name)")
    const notices: Array<string | undefined> = []
    admin.on("notice", ({ message }) => notices.push(message))
    const { command, fields, rows } = await admin.query("CREATE INDEX ASYNC IF NOT EXISTS by_name ON item (name)")
    expect([command, fields.map(({ name }) => name), rows]).toEqual(["CREATE", ["job_id"], []])
    expect(notices).toEqual(['relation "by_name" already exists, skipping'])
    expect((await jobs()).length).toBe(1)
  })

  it("is gone with its transaction, and its job too", async () => {
    await admin.query("BEGIN")
    await start("CREATE INDEX ASYNC by_name ON item (name)")
    await advance(jobDuration)
    expect(await jobs()).toEqual(["INDEX_BUILD public.by_name submitted"])
    await admin.query("ROLLBACK")
    await advance(jobDuration)
    expect([await jobs(), await indexes()]).toEqual([[], []])
  })

  it("is built once its transaction has committed, with the time since the statement", async () => {
    await admin.query("BEGIN")
    await start("CREATE INDEX ASYNC by_name ON item (name)")
    await advance(jobDuration)
    await admin.query("COMMIT")
    await eventually(async () => (await indexes())[0] === "by_name true")
  })

  it("is no more once it is dropped, and its job has failed", async () => {
    await start("CREATE INDEX ASYNC by_name ON item (name)")
    await start("CREATE INDEX ASYNC by_price ON item (price)")
    await advance(jobDuration / 2)
    await admin.query("BEGIN; DROP INDEX by_name; ROLLBACK")
    expect((await jobs())[0]).toBe("INDEX_BUILD public.by_name processing")
    await admin.query("DROP INDEX by_name")
    await admin.query("ALTER TABLE item DROP COLUMN price")
    const failed = ["by_name", "by_price"].map((name) => `INDEX_BUILD public.${name} failed object was dropped`)
    expect(await jobs()).toEqual(failed)
    await advance(jobDuration)
    expect(await jobs()).toEqual(failed)
  })

  const create = { name: "create", text: "CREATE INDEX ASYNC ON item (name)" }
  it.each([
    ["asked for again", create, "processing"],
    ["dropped", "DROP INDEX item_name_idx", "failed object was dropped"]
  ])("can be %s in a transaction that began before its job went on", async (_, statement, state) => {
    await admin.query(create)
    await admin.query("BEGIN")
    await admin.query("SELECT FROM item")
    await advance(jobDuration / 2)
    await admin.query(statement)
    await admin.query("COMMIT")
    expect(await jobs()).toContain(`INDEX_BUILD public.item_name_idx ${state}`)
  })

  it("has all its time also where the clock was moved before it was asked for", async () => {
    cluster.sessionClock.advance(2 * jobDuration)
    for (let n = 0; n < 20; n++) await admin.query(create)
    const { rows } = await admin.query("SELECT DISTINCT status FROM sys.jobs")
    expect(rows).toEqual([{ status: "submitted" }])
  })

  it("waits for those who write the table, and lets everybody pass meanwhile", async () => {
    await start("CREATE INDEX ASYNC by_name ON item (name)")
    await withClient(cluster, async (other) => {
      await other.query("BEGIN; INSERT INTO item VALUES (1, 'a', 1)")
      await advance(jobDuration)
      expect(await jobs()).toEqual(["INDEX_BUILD public.by_name processing"])
      await admin.query("INSERT INTO item VALUES (2, 'b', 2)")
      await other.query("COMMIT")
      await eventually(async () => (await indexes())[0] === "by_name true")
    })
  })

  it("is built although the server was away meanwhile", async () => {
    await start("CREATE INDEX ASYNC by_name ON item (name)")
    await cluster.stopServer()
    cluster.sessionClock.advance(jobDuration)
    await cluster.startServer()
    admin = await connect(cluster)
    await eventually(async () => (await indexes())[0] === "by_name true")
  })
})

describe("a unique index that is built by a job", () => {
  it("stands against duplicates when it is valid, and not before", async () => {
    await start("CREATE UNIQUE INDEX ASYNC by_name ON item (name)")
    await admin.query("INSERT INTO item VALUES (1, 'a'), (2, 'a')")
    await admin.query("DELETE FROM item WHERE id = 2")
    await advance(jobDuration)
    expect(await indexes()).toEqual(["by_name true"])
    await expect(admin.query("INSERT INTO item VALUES (2, 'a')")).rejects.toMatchObject({
      code: "23505",
      message: 'duplicate key value violates unique constraint "by_name"'
    })
    await admin.query("ALTER TABLE item ADD CONSTRAINT named UNIQUE USING INDEX by_name")
  })

  it("cannot be used for a constraint before", async () => {
    await start("CREATE UNIQUE INDEX ASYNC by_name ON item (name)")
    await expect(admin.query("ALTER TABLE item ADD CONSTRAINT named UNIQUE USING INDEX by_name")).rejects.toMatchObject(
      { code: "55000", message: 'index "by_name" is not valid' }
    )
  })

  it("stays invalid if there are duplicates, and stands against more until it is dropped", async () => {
    const id = await start("CREATE UNIQUE INDEX ASYNC by_name ON item (name)")
    await admin.query("INSERT INTO item VALUES (1, 'a'), (2, 'a')")
    await advance(jobDuration)
    expect(await jobs()).toEqual([
      "INDEX_BUILD public.by_name failed found duplicate key(s) while validating index uniqueness"
    ])
    expect(await indexes()).toEqual(["by_name false"])
    expect((await admin.query("CALL sys.wait_for_job($1)", [id])).rows).toEqual([{ succeeded: false }])
    await expect(admin.query("INSERT INTO item VALUES (3, 'a')")).rejects.toMatchObject({ code: "23505" })
    await admin.query("INSERT INTO item VALUES (3, 'b')")
    await admin.query("DROP INDEX by_name")
    await admin.query("INSERT INTO item VALUES (4, 'a')")
  })

  it("stands against duplicates from the first on if that is chosen", async () => {
    const strict = await startCluster({ jobDuration, buildingUniqueIndexes: "enforced" })
    try {
      await withClient(strict, async (client) => {
        await client.query("CREATE TABLE item (id int PRIMARY KEY, name text)")
        await client.query("INSERT INTO item VALUES (1, 'a')")
        await client.query("CREATE UNIQUE INDEX ASYNC by_name ON item (name)")
        await expect(client.query("INSERT INTO item VALUES (2, 'a')")).rejects.toMatchObject({ code: "23505" })
        strict.sessionClock.advance(jobDuration)
        await strict.jobsSettled()
        const { rows } = await client.query("SELECT status FROM sys.jobs")
        expect(rows).toEqual([{ status: "completed" }])
      })
    } finally {
      await strict.stop()
    }
  })
})

describe("a constraint that is validated by a job", () => {
  beforeEach(() => admin.query("ALTER TABLE item ADD CONSTRAINT cheap CHECK (price < 10) NOT VALID"))

  const isValid = async () =>
    (await admin.query("SELECT convalidated FROM pg_constraint WHERE conname = 'cheap'")).rows as unknown

  it("is valid when that is completed", async () => {
    await admin.query("INSERT INTO item VALUES (1, 'a', 1)")
    const { command } = await admin.query("ALTER TABLE ASYNC item VALIDATE CONSTRAINT cheap")
    expect(command).toBe("ALTER")
    expect(await jobs()).toEqual(["VALIDATE_CONSTRAINT public.cheap submitted"])
    expect(await isValid()).toEqual([{ convalidated: false }])
    await advance(jobDuration)
    expect(await jobs()).toEqual(["VALIDATE_CONSTRAINT completed"])
    expect(await isValid()).toEqual([{ convalidated: true }])
  })

  it("stays as it is if a row violates it", async () => {
    await admin.query("ALTER TABLE item DROP CONSTRAINT cheap")
    await admin.query("INSERT INTO item VALUES (1, 'a', 100)")
    await admin.query("ALTER TABLE item ADD CONSTRAINT cheap CHECK (price < 10) NOT VALID")
    await start("ALTER TABLE ASYNC ONLY public.item VALIDATE CONSTRAINT cheap")
    await advance(jobDuration)
    expect(await jobs()).toEqual([
      'VALIDATE_CONSTRAINT public.cheap failed check constraint "cheap" of relation "item" is violated by some row'
    ])
    expect(await isValid()).toEqual([{ convalidated: false }])
  })

  const refused: ReadonlyArray<readonly [string, string, string]> = [
    ["ALTER TABLE ASYNC itm VALIDATE CONSTRAINT cheap", "42P01", 'relation "itm" does not exist'],
    ["ALTER TABLE ASYNC item VALIDATE CONSTRAINT dear", "42704", 'constraint "dear" of relation "item" does not exist'],
    [
      'ALTER TABLE ASYNC "item" VALIDATE CONSTRAINT "item_pkey"',
      "42809",
      'constraint "item_pkey" of relation "item" is not a foreign key or check constraint'
    ]
  ]
  it.each(refused)("is refused as %j", async (sql, code, message) => {
    await expect(admin.query(sql)).rejects.toMatchObject({ code, message, where: undefined })
    expect(await jobs()).toEqual([])
  })

  it("may be one of a table that there is not, if that is allowed", async () => {
    const notices: Array<string | undefined> = []
    admin.on("notice", ({ message }) => notices.push(message))
    expect((await admin.query("ALTER TABLE ASYNC IF EXISTS itm VALIDATE CONSTRAINT cheap")).rows).toEqual([])
    expect(notices).toEqual(['relation "itm" does not exist, skipping'])
  })

  it("is for the owner of the table to ask for", async () => {
    await admin.query("CREATE ROLE app LOGIN")
    await admin.query(`AWS IAM GRANT app TO '${cluster.arn}'`)
    await withClient(
      cluster,
      (client) =>
        expect(client.query("ALTER TABLE ASYNC item VALIDATE CONSTRAINT cheap")).rejects.toMatchObject({
          code: "42501",
          message: "must be owner of table item"
        }),
      { user: "app", action: "DbConnect" }
    )
  })
})

describe("sys.wait_for_job", () => {
  it("answers when the job is done", async () => {
    const id = await start("CREATE INDEX ASYNC by_name ON item (name)")
    await withClient(cluster, async (waiter) => {
      let outcome: unknown
      const waiting = waiter.query(`CALL sys.wait_for_job('${id}')`).then(({ rows }) => (outcome = rows))
      const isWaiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'CALL%'"
      const observer = await connectDirectly(cluster, "observer")
      await eventually(async () => (await observer.query(isWaiting)).rows.length > 0)
      await observer.end()
      await advance(jobDuration - minute)
      expect(outcome).toBeUndefined()
      await advance(minute)
      await waiting
      expect(outcome).toEqual([{ succeeded: true }])
    })
  })

  const someId = "qfzv5uemkrg2lbczil2fim3o2q"
  const refused: ReadonlyArray<readonly [string, string, string]> = [
    [
      "SELECT sys.wait_for_job((SELECT job_id FROM sys.jobs LIMIT 1))",
      "42809",
      "sys.wait_for_job(text) is a procedure"
    ],
    ["CALL sys.wait_for_job((SELECT job_id FROM sys.jobs LIMIT 1))", "0A000", "cannot use subquery in CALL argument"],
    ["CALL sys.wait_for_job('no-such-job')", "22P02", "Unable to convert text to UUID"],
    [`CALL sys.wait_for_job('${someId.slice(0, -1)}r')`, "22P02", "Unable to convert text to UUID"],
    [`CALL sys.wait_for_job('${someId}')`, "42704", `job "${someId}" does not exist`],
    [`BEGIN; CALL sys.wait_for_job('${someId}')`, "2D000", "invalid transaction termination"]
  ]
  it.each(refused)("is refused as %j", async (sql, code, message) => {
    await expect(admin.query(sql)).rejects.toMatchObject({ code, message })
  })
})

describe("sys.jobs", () => {
  it("forgets a job 30 minutes after its end", async () => {
    await start("CREATE INDEX ASYNC by_name ON item (name)")
    await advance(jobDuration + 29 * minute)
    expect(await jobs()).toEqual(["INDEX_BUILD completed"])
    await advance(minute)
    expect(await jobs()).toEqual([])
  })

  it("is for everybody to read and nobody to write", async () => {
    await expect(admin.query("DELETE FROM sys.jobs")).rejects.toMatchObject({ code: "42501" })
    await admin.query("CREATE ROLE app")
    expect((await admin.query("SELECT has_table_privilege('app', 'sys.jobs', 'SELECT') AS may")).rows).toEqual([
      { may: true }
    ])
  })

  it("has ids that are UUIDs", async () => {
    const id = await start("CREATE INDEX ASYNC by_name ON item (name)")
    const { rows } = await admin.query(
      `SELECT sys.uuid_to_base32_str(sys.base32_str_to_uuid($1)) AS same, sys.uuid_to_base32_str('${"0".repeat(32)}') AS zero,
        sys.base32_str_to_uuid('${"7".repeat(25)}4') AS ones`,
      [id]
    )
    expect(rows).toEqual([{ same: id, zero: "a".repeat(26), ones: "ffffffff-ffff-ffff-ffff-ffffffffffff" }])
  })
})

describe("on the wire, statements that start jobs", () => {
  const shape = (messages: ReadonlyArray<{ type: string; raw: Buffer }>) =>
    messages.map(({ raw, type }) => (type === "C" ? raw.toString("latin1", 5, raw.length - 1) : type))
  const sql = "CREATE INDEX ASYNC ON item (name)"

  it("answer a row and a tag of their own, among others", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(query(`SELECT 1; ${sql}; SELECT 2`))
    expect(shape(await incoming.until("Z"))).toEqual([
      "T",
      "D",
      "SELECT 1",
      "T",
      "D",
      "CREATE INDEX",
      "T",
      "D",
      "SELECT 1",
      "Z"
    ])
    socket.destroy()
  })

  it("run in the extended protocol, prepared and again, each time as another job", async () => {
    const { incoming, socket } = await rawSession(cluster)
    const bind = frame("B", "\0s\0\0\0\0\0\0\0")
    const execute = frame("E", "\0\0\0\0\0")
    const sync = frame("S", "")
    socket.write(Buffer.concat([frame("P", `s\0${sql}\0\0\0`), frame("D", "Ss\0"), bind, execute, sync]))
    expect(shape(await incoming.until("Z"))).toEqual(["1", "t", "T", "2", "D", "CREATE INDEX", "Z"])
    socket.write(Buffer.concat([bind, execute, sync]))
    expect(shape(await incoming.until("Z"))).toEqual(["2", "D", "CREATE INDEX", "Z"])
    const { rows } = await admin.query("SELECT count(DISTINCT job_id)::int AS n FROM sys.jobs")
    expect(rows).toEqual([{ n: 2 }])
    socket.destroy()
  })

  const untouched = ["SELECT 'CREATE INDEX ASYNC a ON item (name)'", 'CREATE INDEX "async" ON item (name)']
  it.each(untouched)("are not seen in %j", async (sql) => {
    await withClient(cluster, (client) => client.query(`SET disable_sync_create_index = off; ${sql}`))
    expect(await jobs()).toEqual([])
  })
})

describe("with conflicts as on the service", () => {
  let service: Cluster
  beforeAll(async () => {
    service = await startCluster({ jobDuration, conflicts: "service" })
  })
  afterAll(() => service.stop())

  it("a job that ends is a change of the schema to the transactions that are open", async () => {
    await withClient(service, async (client) => {
      await client.query("CREATE TABLE item (id int PRIMARY KEY, name text)")
      await client.query("CREATE TABLE other (id int PRIMARY KEY)")
      await withClient(service, async (open) => {
        await open.query("BEGIN")
        await open.query("INSERT INTO other VALUES (1)")
        await client.query("CREATE INDEX ASYNC by_name ON item (name)")
        await expect(open.query("COMMIT")).rejects.toMatchObject({ code: "40001" })
        await open.query("BEGIN")
        await open.query("INSERT INTO other VALUES (1)")
        service.sessionClock.advance(jobDuration)
        await service.jobsSettled()
        await expect(open.query("COMMIT")).rejects.toMatchObject({
          code: "40001",
          message: expect.stringContaining("(OC001)")
        })
        await open.query("INSERT INTO other VALUES (1)")
      })
      const { rows } = await client.query("SELECT status FROM sys.jobs")
      expect(rows).toEqual([{ status: "completed" }])
    })
  })

  it("a job is one although its transaction was run again", async () => {
    await withClient(service, async (client) => {
      await client.query("CREATE TABLE again (id int PRIMARY KEY, name text)")
      await client.query("BEGIN")
      const { rows } = await client.query<{ job_id: string }>("CREATE INDEX ASYNC again_name ON again (name)")
      // Takes the locks of the transaction from it.
      await withClient(service, (other) => other.query("SELECT * FROM again"))
      await client.query("COMMIT")
      const { rows: found } = await client.query("SELECT job_id FROM sys.jobs WHERE object_name = 'public.again_name'")
      expect(found).toEqual(rows)
    })
  })
})

it("a job takes 200 ms by default", async () => {
  const quick = await startCluster()
  try {
    await withClient(quick, async (client) => {
      await client.query("CREATE TABLE item (id int PRIMARY KEY, name text)")
      const { rows } = await client.query<{ job_id: string }>("CREATE INDEX ASYNC ON item (name)")
      await client.query("CALL sys.wait_for_job($1)", [rows[0]!.job_id])
      const { rows: found } = await client.query(
        "SELECT status, round(extract(epoch FROM update_time - start_time) * 1000)::int AS duration FROM sys.jobs"
      )
      expect(found).toEqual([{ status: "completed", duration: 200 }])
    })
  } finally {
    await quick.stop()
  }
})
