import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type pg from "pg"
import { type Action, type Cluster, type Identity, startCluster } from "../../src/local/cluster.js"
import { connect, frame, query, rawSession, refusal, withClient } from "./support.js"

let cluster: Cluster
let admin: pg.Client
beforeAll(async () => {
  // Several of its statements in one text would be refused, and they are what some of these tests are about.
  cluster = await startCluster({ rules: "off" })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  admin = await connect(cluster)
})
afterEach(() => admin.end())

const account = "123456789012"
const roleArn = `arn:aws:iam::${account}:role/orders`
const keys = (name: string): Identity => ({ accessKeyId: `AKIA${name}`.padEnd(20, "0"), secretAccessKey: name })

const denied = (hint: string) => ({
  severity: "FATAL",
  code: "08006",
  message: "unable to accept connection, access denied",
  hint
})

const mappings = async () => {
  const { rows } = await admin.query("SELECT pg_role_name AS role, arn FROM sys.iam_pg_role_mappings ORDER BY 1, 2")
  return (rows as Array<{ role: string; arn: string }>).map(({ arn, role }) => `${role} ${arn}`)
}

describe("an identity", () => {
  const clusterArn = () => `arn:aws:dsql:${cluster.region}:${account}:cluster/${cluster.clusterId}`
  const notAllowed = (arn: string, action: Action) =>
    denied(
      `User: ${arn} is not authorized to perform: ${action} on resource: ${clusterArn()} because no identity-based policy allows the ${action} action`
    )

  it("may do what its policy allows, and is refused the rest", async () => {
    const reader: Identity = { ...keys("READER"), arn: `arn:aws:iam::${account}:user/reader` }
    const owner: Identity = { ...keys("OWNER"), arn: `arn:aws:iam::${account}:user/owner` }
    cluster.addIdentity({ ...reader, allowedActions: ["dsql:DbConnect"] })
    cluster.addIdentity({ ...owner, allowedActions: ["dsql:DbConnectAdmin"] })
    await admin.query("CREATE ROLE app LOGIN")
    for (const { arn } of [reader, owner]) await admin.query(`AWS IAM GRANT app TO '${arn}'`)
    const asApp = { user: "app", action: "DbConnect" } as const

    expect(await refusal(cluster, { identity: reader })).toEqual(notAllowed(reader.arn!, "dsql:DbConnectAdmin"))
    await withClient(cluster, (client) => client.query("SELECT 1"), { identity: reader, ...asApp })
    expect(await refusal(cluster, { identity: owner, ...asApp })).toEqual(notAllowed(owner.arn!, "dsql:DbConnect"))
    await withClient(cluster, (client) => client.query("SELECT 1"), { identity: owner })

    cluster.addIdentity({ ...reader, allowedActions: [] })
    expect(await refusal(cluster, { identity: reader, ...asApp })).toEqual(notAllowed(reader.arn!, "dsql:DbConnect"))
  })

  it("has an ARN of AWS's shape, and a session of a role is granted what the role is", () => {
    expect(cluster.arn).toBe(`arn:aws:iam::${account}:user/${cluster.accessKeyId}`)
    const temporary = { ...keys("TEMP"), sessionToken: "t" }
    expect(cluster.addIdentity(temporary)).toBe(`arn:aws:iam::${account}:role/${temporary.accessKeyId}`)
    const grantees = [
      [`arn:aws:sts::${account}:assumed-role/orders/i-0abc`, roleArn],
      [`arn:aws-cn:sts::${account}:assumed-role/orders/s@x`, `arn:aws-cn:iam::${account}:role/orders`],
      [`arn:aws:iam::${account}:role/path/orders`, `arn:aws:iam::${account}:role/path/orders`]
    ] as const
    for (const [arn, grantee] of grantees) expect(cluster.addIdentity({ ...keys("A"), arn })).toBe(grantee)
    const wrong = [
      "",
      "orders",
      `arn:aws:s3::${account}:role/a`,
      "arn:aws:iam::12:user/a",
      `arn:aws:iam::${account}:user/`
    ]
    for (const arn of wrong) {
      expect(() => cluster.addIdentity({ ...keys("A"), arn })).toThrow(
        expect.objectContaining({ name: "LocalClusterError", reason: "InvalidArn" })
      )
    }
  })

  it("is unknown once it is removed, but its sessions stay", async () => {
    const identity = keys("LEAVER")
    cluster.addIdentity(identity)
    await withClient(
      cluster,
      async (client) => {
        cluster.removeIdentity(identity.accessKeyId)
        expect(await refusal(cluster, { identity })).toEqual(
          denied("The security token included in the request is invalid")
        )
        await client.query("SELECT 1")
      },
      { identity }
    )
  })
})

describe("a role", () => {
  const identity: Identity = {
    ...keys("ORDERS"),
    sessionToken: "token",
    arn: `arn:aws:sts::${account}:assumed-role/orders/session`
  }
  const asOrders = { user: "orders", action: "DbConnect", identity } as const
  beforeEach(() => void cluster.addIdentity(identity))

  it("is run as by whom it is granted to, with its privileges alone", async () => {
    await admin.query(`CREATE ROLE orders WITH LOGIN; AWS IAM GRANT orders TO '${roleArn}'`)
    await admin.query("CREATE SCHEMA shop; CREATE TABLE shop.item (id int); CREATE TABLE shop.secret (id int)")
    await admin.query("GRANT USAGE ON SCHEMA shop TO orders; GRANT SELECT ON shop.item TO orders")
    await withClient(
      cluster,
      async (client) => {
        const { rows } = await client.query("SELECT current_user, session_user")
        expect(rows).toEqual([{ current_user: "orders", session_user: "orders" }])
        await client.query("SELECT * FROM shop.item")
        await expect(client.query("SELECT * FROM shop.secret")).rejects.toMatchObject({ code: "42501" })
        await expect(client.query("SET ROLE admin")).rejects.toMatchObject({ code: "42501" })
      },
      asOrders
    )
  })

  it("needs the mapping only at login", async () => {
    const notMapped = denied(`User: ${identity.arn} is not authorized to access this resource`)
    await admin.query("CREATE ROLE orders LOGIN")
    expect(await refusal(cluster, asOrders)).toEqual(notMapped)
    await admin.query(`AWS IAM GRANT orders TO '${cluster.arn}'`)
    expect(await refusal(cluster, asOrders)).toEqual(notMapped)
    await admin.query(`AWS IAM GRANT orders TO '${roleArn}'`)
    await withClient(
      cluster,
      async (client) => {
        await admin.query(`AWS IAM REVOKE orders FROM '${roleArn}'`)
        expect(await refusal(cluster, asOrders)).toEqual(notMapped)
        await client.query("SELECT 1")
      },
      asOrders
    )
  })

  it("must exist, may log in, and wants the action of its kind", async () => {
    expect(await refusal(cluster, asOrders)).toEqual(denied("Role orders does not exist"))
    await admin.query(`CREATE ROLE orders; AWS IAM GRANT orders TO '${roleArn}'`)
    expect(await refusal(cluster, asOrders)).toEqual(denied("role orders must have the LOGIN attribute"))
    expect(await refusal(cluster, { ...asOrders, user: "Orders" })).toEqual(denied("Role Orders does not exist"))
    expect(await refusal(cluster, { ...asOrders, user: "o'rders" })).toEqual(denied("Role o'rders does not exist"))
    expect(await refusal(cluster, { ...asOrders, action: "DbConnectAdmin" })).toEqual(
      denied("Wrong user to action mapping. user: orders, action: DbConnectAdmin")
    )
  })

  it("cannot be dropped while it is mapped", async () => {
    await admin.query(`CREATE ROLE orders LOGIN; AWS IAM GRANT orders TO '${roleArn}'`)
    await admin.query(`AWS IAM GRANT orders TO '${cluster.arn}'; AWS IAM REVOKE orders FROM '${cluster.arn}'`)
    await expect(admin.query("DROP ROLE orders")).rejects.toMatchObject({
      code: "2BP01",
      message: 'role "orders" cannot be dropped because some objects depend on it'
    })
    await admin.query(`AWS IAM REVOKE orders FROM '${roleArn}'; DROP ROLE orders`)
    expect(await mappings()).toEqual([])
  })
})

describe("sys.iam_pg_role_mappings", () => {
  it("is a relation with the documented columns", async () => {
    await admin.query(`CREATE ROLE orders; AWS IAM GRANT orders TO '${roleArn}'`)
    const { fields, rows } = await admin.query("SELECT * FROM sys.iam_pg_role_mappings")
    expect(fields.map(({ name }) => name)).toEqual([
      "iam_oid",
      "arn",
      "pg_role_oid",
      "pg_role_name",
      "grantor_pg_role_oid",
      "grantor_pg_role_name"
    ])
    expect(rows).toMatchObject([{ arn: roleArn, pg_role_name: "orders", grantor_pg_role_name: "admin" }])
    const joined = await admin.query(
      "SELECT r.rolname, g.rolname AS grantor FROM sys.iam_pg_role_mappings m JOIN pg_roles r ON r.oid = m.pg_role_oid JOIN pg_roles g ON g.oid = m.grantor_pg_role_oid WHERE m.arn = $1 AND m.pg_role_name = $2",
      [roleArn, "orders"]
    )
    expect(joined.rows).toEqual([{ rolname: "orders", grantor: "admin" }])
    await expect(admin.query("TABLE _dsql.mapping")).rejects.toMatchObject({ code: "42501" })
  })
})

describe("AWS IAM GRANT and REVOKE", () => {
  beforeEach(() => admin.query('CREATE ROLE orders; CREATE ROLE "Über ""it\'s"" a\\b"; CREATE ROLE data'))

  const spellings: ReadonlyArray<readonly [string, string]> = [
    [`AWS IAM GRANT orders TO '${roleArn}'`, "orders"],
    [`  aws iam\n-- why\ngrant ORDERS /* to */ to '${roleArn}' ;`, "orders"],
    [`AWS IAM GRANT "orders" TO E'${roleArn}'`, "orders"],
    [`AWS IAM GRANT orders TO $a$${roleArn}$a$`, "orders"],
    [`AWS IAM GRANT orders TO 'arn:aws:iam::${account}'\n':role/orders'`, "orders"],
    [`AWS IAM GRANT U&"d\\0061ta" TO '${roleArn}'`, "data"],
    [`AWS IAM GRANT "Über ""it's"" a\\b" TO '${roleArn}'`, `Über "it's" a\\b`]
  ]
  it.each(spellings)("are understood as %j", async (sql, role) => {
    await admin.query(sql)
    expect(await mappings()).toEqual([`${role} ${roleArn}`])
    await admin.query(sql.replace(/grant/i, "REVOKE").replace(/ to (?!\*)/i, " FROM "))
    expect(await mappings()).toEqual([])
  })

  const untouched = [
    `SELECT 'AWS IAM GRANT orders TO ''${roleArn}''' AS text`,
    `SELECT $$;AWS IAM GRANT orders TO '${roleArn}';$$ AS text`,
    `/* ; AWS IAM GRANT orders TO '${roleArn}'; */ SELECT 1 -- ; AWS IAM GRANT orders TO '${roleArn}'`
  ]
  it.each(untouched)("are not seen in %j", async (sql) => {
    await admin.query(sql)
    expect(await mappings()).toEqual([])
  })

  const malformed = [
    "AWS IAM GRANT",
    "AWS IAM GRANT orders TO orders",
    `AWS IAM GRANT orders FROM '${roleArn}'`,
    `AWS IAM GRANT 'orders' TO '${roleArn}'`,
    `AWS IAM GRANT orders TO '${roleArn}' CASCADE`,
    `"AWS" IAM GRANT orders TO '${roleArn}'`,
    `AWS IAM GRANT orders TO '${roleArn}`
  ]
  it.each(malformed)("are a syntax error as %j", async (sql) => {
    await expect(admin.query(sql)).rejects.toMatchObject({ code: "42601" })
  })

  const refused: ReadonlyArray<readonly [string, string, string]> = [
    [`AWS IAM GRANT nobody TO '${roleArn}'`, "42704", "Role nobody does not exist"],
    [`AWS IAM REVOKE nobody FROM '${roleArn}'`, "42704", "Role nobody does not exist"],
    [`AWS IAM GRANT dsql_internal TO '${roleArn}'`, "42704", "Role dsql_internal does not exist"],
    [`AWS IAM GRANT admin TO '${roleArn}'`, "0A000", "Cannot establish trust with role admin"],
    ["AWS IAM GRANT orders TO 'orders'", "22023", "IAM role must look like an IAM ARN"],
    [
      `AWS IAM GRANT orders TO 'arn:aws:sts::${account}:assumed-role/a/b'`,
      "22023",
      "IAM role must look like an IAM ARN"
    ],
    [`AWS IAM REVOKE orders FROM '${roleArn}'`, "42704", `IAM role ${roleArn} does not exist`]
  ]
  it.each(refused)("are refused as %j, with no word of how they are run", async (sql, code, message) => {
    await expect(admin.query(sql)).rejects.toMatchObject({ severity: "ERROR", code, message, where: undefined })
    expect(await mappings()).toEqual([])
  })

  it("are refused if they change nothing", async () => {
    await admin.query(`AWS IAM GRANT orders TO '${roleArn}'`)
    await expect(admin.query(`AWS IAM GRANT orders TO '${roleArn}'`)).rejects.toMatchObject({ code: "42710" })
    expect(await mappings()).toEqual([`orders ${roleArn}`])
  })

  it("are for admin alone", async () => {
    await admin.query(`ALTER ROLE orders LOGIN; AWS IAM GRANT orders TO '${cluster.arn}'`)
    const asOrders = { user: "orders", action: "DbConnect" } as const
    for (const sql of [`AWS IAM GRANT data TO '${roleArn}'`, `AWS IAM REVOKE data FROM '${roleArn}'`]) {
      await withClient(
        cluster,
        (client) =>
          expect(client.query(sql)).rejects.toMatchObject({
            code: "42501",
            message: "permission denied to grant IAM trust with role data"
          }),
        asOrders
      )
    }
  })

  it("belong to their transaction", async () => {
    await admin.query(`BEGIN; AWS IAM GRANT orders TO '${roleArn}'`)
    expect(await mappings()).toEqual([`orders ${roleArn}`])
    await withClient(cluster, async (other) => {
      expect((await other.query("SELECT FROM sys.iam_pg_role_mappings")).rows).toEqual([])
    })
    await admin.query("ROLLBACK")
    expect(await mappings()).toEqual([])
    await expect(admin.query(`BEGIN; AWS IAM GRANT orders TO '${roleArn}'; SELECT 1/0`)).rejects.toThrow("division")
    await expect(admin.query(`AWS IAM GRANT orders TO '${roleArn}'`)).rejects.toMatchObject({ code: "25P02" })
    await admin.query("ROLLBACK")
    expect(await mappings()).toEqual([])
    await admin.query(`BEGIN READ ONLY`)
    await expect(admin.query(`AWS IAM GRANT orders TO '${roleArn}'`)).rejects.toMatchObject({
      code: "25006",
      where: undefined
    })
    await admin.query("ROLLBACK")
  })

  it("do not move the positions of errors behind them", async () => {
    for (const before of ["", "/* ü */ "]) {
      const sql = `${before}AWS  IAM GRANT orders TO '${roleArn}'; SELECT oops`
      await expect(admin.query(sql)).rejects.toMatchObject({ position: String(sql.indexOf("oops") + 1) })
    }
  })

  it("wait for each other", async () => {
    const sessions = await Promise.all(Array.from({ length: 5 }, () => connect(cluster)))
    await Promise.all(
      sessions.map((client, n) => client.query(`AWS IAM GRANT orders TO 'arn:aws:iam::${account}:role/r${n}'`))
    )
    expect((await mappings()).length).toBe(5)
    await Promise.all(sessions.map((client) => client.end()))
  })
})

describe("on the wire, AWS IAM statements", () => {
  const textOf = ({ raw }: { raw: Buffer }) => raw.toString("latin1", 5)
  const shape = (messages: ReadonlyArray<{ type: string; raw: Buffer }>) =>
    messages.map((message) => (message.type === "C" ? textOf(message).slice(0, -1) : message.type))
  const grant = `AWS IAM GRANT orders TO '${roleArn}'`
  const revoke = `AWS IAM REVOKE orders FROM '${roleArn}'`
  beforeEach(() => admin.query("CREATE ROLE orders"))

  it("have tags of their own among other statements", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(query(`SELECT 1; ${grant}; CREATE TABLE t (n int);${revoke};`))
    expect(shape(await incoming.until("Z"))).toEqual([
      "T",
      "D",
      "SELECT 1",
      "AWS IAM GRANT",
      "CREATE TABLE",
      "AWS IAM REVOKE",
      "Z"
    ])
    socket.write(query("CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; END"))
    socket.write(query(`CALL p(); ${revoke}; CALL p()`))
    socket.write(query("CALL p()"))
    expect(shape(await incoming.until("Z"))).toEqual(["CREATE PROCEDURE", "Z"])
    expect(shape(await incoming.until("Z"))).toEqual(["CALL", "E", "Z"])
    expect(shape(await incoming.until("Z"))).toEqual(["CALL", "Z"])
    socket.destroy()
  })

  it("run in the extended protocol, prepared and again, in a pipeline", async () => {
    const { incoming, socket } = await rawSession(cluster)
    const parse = (name: string, sql: string) => frame("P", `${name}\0${sql}\0\0\0`)
    const bind = (name: string) => frame("B", `\0${name}\0\0\0\0\0\0\0`)
    const execute = frame("E", "\0\0\0\0\0")
    const sync = frame("S", "")
    socket.write(Buffer.concat([parse("g", grant), frame("D", "Sg\0"), bind("g"), frame("D", "P\0"), execute, sync]))
    const first = await incoming.until("Z")
    expect(shape(first)).toEqual(["1", "t", "n", "2", "n", "AWS IAM GRANT", "Z"])
    expect(textOf(first[1]!)).toBe("\0\0")
    socket.write(Buffer.concat([parse("r", revoke), bind("r"), execute, bind("g"), execute, bind("r"), execute, sync]))
    expect(shape(await incoming.until("Z"))).toEqual([
      "1",
      "2",
      "AWS IAM REVOKE",
      "2",
      "AWS IAM GRANT",
      "2",
      "AWS IAM REVOKE",
      "Z"
    ])
    socket.write(Buffer.concat([bind("r"), execute, bind("g"), execute, sync]))
    expect(shape(await incoming.until("Z"))).toEqual(["2", "E", "Z"])
    socket.destroy()
  })

  it("change no byte of what else is sent and answered", async () => {
    const { incoming, socket } = await rawSession(cluster)
    socket.write(query(grant))
    await incoming.until("Z")
    // Not valid in any encoding: what is not ours is PostgreSQL's to judge.
    const strange = Buffer.concat([query("").subarray(0, 5), Buffer.from("SELECT 'aws \xff\xfe'\0", "latin1")])
    strange.writeInt32BE(strange.length - 1, 1)
    socket.write(strange)
    const [error] = await incoming.until("Z")
    expect(error?.raw.toString("latin1")).toContain('invalid byte sequence for encoding "UTF8": 0xff')
    // Nor is the encoding of what stands beside a statement of ours.
    socket.write(query("SET client_encoding = 'LATIN1'"))
    await incoming.until("Z")
    socket.write(frame("Q", Buffer.from(`SELECT '\xfc', length('\xfc'); ${revoke}\0`, "latin1")))
    expect((await incoming.until("Z"))[1]?.raw.toString("latin1", 7)).toBe("\0\0\0\x01\xfc\0\0\0\x011")
    socket.write(query("DO $$ BEGIN RAISE NOTICE 'hello'; RAISE 'no'; END $$"))
    const [notice, raised] = await incoming.until("Z")
    expect(textOf(notice!)).toContain("hello")
    expect(textOf(raised!)).toContain("PL/pgSQL function inline_code_block")
    socket.destroy()
  })
})
