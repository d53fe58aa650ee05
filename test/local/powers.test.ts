import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connect, withClient } from "./support.js"

let cluster: Cluster
let admin: pg.Client
beforeAll(async () => {
  cluster = await startCluster({ rules: "service" })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  admin = await connect(cluster)
})
afterEach(() => admin.end())

const run = async (...statements: ReadonlyArray<string>): Promise<void> => {
  for (const sql of statements) await admin.query(sql)
}

const asRole = <A>(role: string, use: (client: pg.Client) => Promise<A>): Promise<A> =>
  withClient(cluster, use, { user: role, action: "DbConnect" })

/** A role that the owner of the cluster may log in as. */
const makeRole = (role: string) => run(`CREATE ROLE ${role} WITH LOGIN`, `AWS IAM GRANT ${role} TO '${cluster.arn}'`)

describe("admin", () => {
  const systemEntity = { code: "0A000", message: "feature not supported on system entity" }
  const untouchable = [
    "GRANT USAGE ON SCHEMA public TO app",
    "GRANT CREATE ON SCHEMA sys, public TO app",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "GRANT SELECT ON sys.jobs TO app",
    "ALTER ROLE admin CREATEDB",
    "ALTER USER admin SET search_path = app",
    'ALTER ROLE "admin" RESET ALL',
    "ALTER ROLE admin RENAME TO root",
    "DROP ROLE app, admin",
    "DROP SCHEMA public CASCADE",
    "DROP SCHEMA IF EXISTS sys",
    "ALTER SCHEMA public RENAME TO private",
    "ALTER SCHEMA public OWNER TO app"
  ]
  it.each(untouchable)("cannot do to the system: %s", async (sql) => {
    await run("CREATE ROLE app")
    await expect(admin.query(sql)).rejects.toMatchObject(systemEntity)
  })

  const beyond: ReadonlyArray<readonly [string, string, string]> = [
    ["CREATE ROLE root SUPERUSER", "42501", "permission denied to create role"],
    ["CREATE ROLE root BYPASSRLS", "42501", "permission denied to create role"],
    ["CREATE ROLE app", "42710", 'role "app" already exists'],
    ["GRANT admin TO app", "42501", 'permission denied to grant role "admin"'],
    ["GRANT pg_read_all_data TO app", "42501", 'permission denied to grant role "pg_read_all_data"'],
    ["CREATE TABLE sys.mine (id int)", "42501", "permission denied for schema sys"],
    ["DELETE FROM sys.jobs", "42501", "permission denied for view jobs"],
    ["SELECT * FROM pg_authid", "42501", "permission denied for table pg_authid"],
    ["SELECT pg_read_file('/etc/passwd')", "42501", "permission denied for function pg_read_file"]
  ]
  it.each(beyond)("has no power to do %s", async (sql, code, message) => {
    await run("CREATE ROLE app")
    await expect(admin.query(sql)).rejects.toMatchObject({ code, message })
  })

  it("makes roles and schemas, and hands them out", async () => {
    await makeRole("app")
    await run("CREATE SCHEMA shop", "CREATE TABLE shop.item (id int)", "GRANT ALL ON SCHEMA shop TO app")
    await run("ALTER ROLE app SET search_path = shop", "ALTER TABLE shop.item OWNER TO admin")
    await run("CREATE TABLE item (id int)", "GRANT INSERT ON item TO app")
    await asRole("app", async (app) => {
      await app.query("CREATE TABLE own (id int)")
      await app.query("INSERT INTO public.item VALUES (1)")
    })
  })

  it("has no rights on what others own until it grants itself their role", async () => {
    await makeRole("app")
    await run("CREATE SCHEMA shop", "GRANT ALL ON SCHEMA shop TO app")
    await asRole("app", (app) => app.query("CREATE TABLE shop.own (id int)"))
    await expect(admin.query("SELECT * FROM shop.own")).rejects.toMatchObject({
      code: "42501",
      message: "permission denied for table own"
    })
    await run("GRANT app TO admin", "SELECT * FROM shop.own", "DROP TABLE shop.own")
  })
})

describe("a role with SELECT on one table", () => {
  beforeEach(async () => {
    await makeRole("report")
    await run("CREATE SCHEMA shop", "CREATE TABLE shop.sale (id int PRIMARY KEY)", "CREATE TABLE shop.secret (id int)")
    await run("CREATE SEQUENCE shop.numbers CACHE 1", "INSERT INTO shop.sale VALUES (1)")
    await run("GRANT USAGE ON SCHEMA shop TO report", "GRANT SELECT ON shop.sale TO report")
  })

  it("reads that table", () =>
    asRole("report", async (report) => {
      expect((await report.query("SELECT id FROM shop.sale")).rows).toEqual([{ id: 1 }])
    }))

  const refused: ReadonlyArray<readonly [string, string]> = [
    ["INSERT INTO shop.sale VALUES (2)", "permission denied for table sale"],
    ["UPDATE shop.sale SET id = 2", "permission denied for table sale"],
    ["DELETE FROM shop.sale", "permission denied for table sale"],
    ["SELECT * FROM shop.sale FOR UPDATE", "permission denied for table sale"],
    ["SELECT * FROM shop.secret", "permission denied for table secret"],
    ["SELECT nextval('shop.numbers')", "permission denied for sequence numbers"],
    ["CREATE TABLE shop.own (id int)", "permission denied for schema shop"],
    ["CREATE TABLE public.own (id int)", "permission denied for schema public"],
    ["CREATE SCHEMA own", "permission denied for database postgres"],
    ["CREATE INDEX ASYNC ON shop.sale (id)", "must be owner of table sale"],
    ["ALTER TABLE shop.sale ADD COLUMN name text", "must be owner of table sale"],
    ["DROP TABLE shop.sale", "must be owner of table sale"],
    ["CREATE ROLE other", "permission denied to create role"],
    [
      "AWS IAM GRANT report TO 'arn:aws:iam::123456789012:role/a'",
      "permission denied to grant IAM trust with role report"
    ]
  ]
  it.each(refused)("is refused %s", (sql, message) =>
    asRole("report", (report) => expect(report.query(sql)).rejects.toMatchObject({ code: "42501", message }))
  )

  it("loses it with the next transaction after it is revoked", () =>
    asRole("report", async (report) => {
      await report.query("SELECT id FROM shop.sale")
      await run("REVOKE SELECT ON shop.sale FROM report")
      await expect(report.query("SELECT id FROM shop.sale")).rejects.toMatchObject({ code: "42501" })
    }))
})
