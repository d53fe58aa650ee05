import type pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connect, frame, query, rawSession, withClient } from "./support.js"

let cluster: Cluster
let client: pg.Client
beforeAll(async () => {
  cluster = await startCluster()
  client = await connect(cluster)
})
afterAll(async () => {
  await client.end()
  await cluster.stop()
})

/** The values of the only row. */
const row = async (sql: string, values: ReadonlyArray<unknown> = [], from = client) => {
  const result = await from.query({ text: sql, values: [...values], rowMode: "array" })
  return (result.rows as Array<Array<unknown>>)[0]
}

describe("the version of the server", () => {
  it.each([
    ["SELECT version()", "PostgreSQL 16"],
    ["SHOW server_version", "16.15"],
    ["show /* a */ SERVER_VERSION;", "16.15"],
    ['SHOW "server_version_num"', "160015"],
    ["SELECT current_setting('server_version')", "16.15"],
    ["SELECT pg_catalog.current_setting('SERVER_VERSION_NUM', true)", "160015"]
  ])("is the service's in the answer to %s", async (sql, value) => {
    expect(await row(sql)).toEqual([value])
  })

  it("is that to a parameter too, and other settings stay as they are", async () => {
    expect(await row("SELECT current_setting($1), current_setting($2)", ["server_version", "timezone"])).toEqual([
      "16.15",
      "UTC"
    ])
    expect(await row("SELECT current_setting('no.such', true), current_setting(NULL)")).toEqual([null, null])
    await expect(client.query("SELECT current_setting('no_such')")).rejects.toMatchObject({
      code: "42704",
      message: 'unrecognized configuration parameter "no_such"'
    })
  })

  it("is shown with the tag and the column of SHOW, in both protocols", async () => {
    const { incoming, socket } = await rawSession(cluster)
    const shown = async () =>
      (await incoming.until("Z")).map(({ raw, type }) =>
        type === "C" ? raw.toString("latin1", 5, raw.length - 1) : type === "T" ? raw.toString("latin1", 7, 21) : type
      )
    socket.write(query("SHOW server_version"))
    expect(await shown()).toEqual(["server_version", "D", "SHOW", "Z"])
    const steps = [frame("P", "\0SHOW server_version\0\0\0"), frame("B", "\0\0\0\0\0\0\0\0"), frame("D", "P\0")]
    socket.write(Buffer.concat([...steps, frame("E", "\0\0\0\0\0"), frame("S", "")]))
    expect(await shown()).toEqual(["1", "2", "server_version", "D", "SHOW", "Z"])
    socket.destroy()
  })
})

it("pg_settings shows the version of the service, and everything else as it is", async () => {
  const versions = "SELECT name, setting FROM pg_settings WHERE name LIKE 'server_version%' ORDER BY name"
  expect((await client.query(versions)).rows).toEqual([
    { name: "server_version", setting: "16.15" },
    { name: "server_version_num", setting: "160015" }
  ])
  await client.query("SET search_path = elsewhere")
  expect(await row("SELECT setting FROM pg_settings WHERE name = 'search_path'")).toEqual(["elsewhere"])
  await client.query("RESET search_path")
})

describe("disable_sync_create_index", () => {
  const show = "SHOW disable_sync_create_index"

  it("is on, can be set and is reset", async () => {
    expect(await row(show)).toEqual(["on"])
    await client.query("SET disable_sync_create_index TO off")
    expect(await row(show)).toEqual(["off"])
    expect(await row("SELECT current_setting('disable_sync_create_index')")).toEqual(["off"])
    await client.query("RESET disable_sync_create_index")
    expect(await row(show)).toEqual(["on"])
    await client.query("SELECT set_config('disable_sync_create_index', 'off', false)")
    expect(await row(show)).toEqual(["off"])
    await client.query("RESET ALL")
    expect(await row(show)).toEqual(["on"])
    await client.query("BEGIN")
    await client.query("SET LOCAL disable_sync_create_index = off")
    expect(await row(show)).toEqual(["off"])
    await client.query("ROLLBACK")
    expect(await row(show)).toEqual(["on"])
  })

  it("can be set at login", () =>
    withClient(cluster, async (other) => expect(await row(show, [], other)).toEqual(["off"]), {
      options: "-c disable_sync_create_index=off"
    }))
})

it("pg_indexes calls the access method as the service does, and shows what a primary key includes", async () => {
  await client.query('CREATE TABLE item (a int, "B b" text, c int, PRIMARY KEY (c, a))')
  await client.query('CREATE UNIQUE INDEX ASYNC by_b ON item ("B b")')
  const { rows } = await client.query("SELECT indexdef FROM pg_indexes WHERE tablename = 'item' ORDER BY indexname")
  expect(rows).toEqual([
    { indexdef: 'CREATE UNIQUE INDEX by_b ON public.item USING btree_index ("B b")' },
    { indexdef: 'CREATE UNIQUE INDEX item_pkey ON public.item USING btree_index (c, a) INCLUDE ("B b")' }
  ])
})

it("lists of what there is leave out what is the gateway's own", async () => {
  const schemas = async (view: string, column: string) => {
    const { rows } = await client.query({ text: `SELECT DISTINCT ${column} FROM ${view} ORDER BY 1`, rowMode: "array" })
    return rows.flat() as unknown
  }
  await client.query("CREATE VIEW seen AS SELECT 1 AS one")
  await client.query("CREATE TABLE listed (id int PRIMARY KEY)")
  const system = ["information_schema", "pg_catalog"]
  expect(await schemas("information_schema.schemata", "schema_name")).toEqual([...system, "public", "sys"])
  expect(await schemas("information_schema.tables", "table_schema")).toEqual([...system, "public", "sys"])
  expect(await schemas("pg_views", "schemaname")).toEqual([...system, "public", "sys"])
  expect(await schemas("pg_tables", "schemaname")).toEqual([...system, "public"])
  expect(await schemas("pg_indexes", "schemaname")).toEqual(["pg_catalog", "public"])
  await client.query("DROP VIEW seen")
  await client.query("DROP TABLE listed")
})

it("the database has the service's locale and time zone, and no settings of others", async () => {
  expect(await row("SELECT current_database(), current_schema(), current_setting('timezone')")).toEqual([
    "postgres",
    "public",
    "UTC"
  ])
  expect(await row("SELECT datcollate, datctype, datlocprovider FROM pg_database WHERE datname = 'postgres'")).toEqual([
    "C",
    "C",
    "c"
  ])
  await expect(client.query("SHOW lc_collate")).rejects.toMatchObject({ code: "42704" })
})

describe("functions of the schema sys", () => {
  it("tell who and where a session is", async () => {
    const [arn, session] = (await row("SELECT sys.iam_session_user(), sys.current_session_id()"))!
    expect(arn).toBe(cluster.arn)
    expect(session).toMatch(/^[a-z2-7]{26}$/)
    await withClient(cluster, async (other) => {
      expect(await row("SELECT sys.current_session_id()", [], other)).not.toEqual([session])
    })
  })

  it("tell what the cluster is and takes", async () => {
    expect(await row("SELECT sys.dsql_major_version(), sys.cluster_size() > 0, sys.cluster_size_limit()")).toEqual([
      1,
      true,
      String(10 * 1024 ** 4)
    ])
    const { rows } = await client.query("SELECT * FROM sys.supported_datatypes()")
    expect(rows.length).toBe(20)
    expect(rows).toContainEqual({ supported_datatypes: "timestamp with time zone" })
  })
})
