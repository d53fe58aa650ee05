import { Either } from "effect"
import type pg from "pg"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { quotedName, reservedWords } from "../src/core/quoting.js"
import { clusterArn } from "../src/core/roles.js"
import { account as checkedAccount, accountOf, roleGrants, type RoleOptions } from "../src/internal/roleGrants.js"
import { type Cluster, type Identity, startCluster } from "../src/local/cluster.js"
import { connect, refusal, withClient } from "./local/support.js"
import { makeCommands } from "./support/cli.js"

let cluster: Cluster
let commands: ReturnType<typeof makeCommands>
let admin: pg.Client
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.reset()
  commands = makeCommands()
  admin = await connect(cluster)
})
afterEach(async () => {
  await admin.end()
  commands.cleanUp()
})

const account = "123456789012"
const arn = `arn:aws:iam::${account}:role/app/orders`
const identity: Identity = {
  accessKeyId: "ASIAORDERS0000000000",
  secretAccessKey: "orders",
  arn,
  allowedActions: ["dsql:DbConnect"]
}

/** What the command prints with nothing of AWS or of a cluster in the environment. */
const roles = async (...args: ReadonlyArray<string>) => {
  const nothing = Object.keys(process.env).flatMap((key) => (/^(?:AWS|DSQL)_/.test(key) ? [[key, undefined]] : []))
  const program = commands.cliIn(
    { ...Object.fromEntries(nothing), HOME: commands.folder, AWS_EC2_METADATA_DISABLED: "true" },
    "roles",
    ...args
  )
  const { code } = await program.exited
  return { code, output: program.output(), errors: program.errors() }
}

const printed = async (...args: ReadonlyArray<string>): Promise<string> => {
  const { code, errors, output } = await roles(...args)
  assert.deepStrictEqual([code, errors], [0, ""])
  return output
}

/** One after the other, each a transaction of its own, as psql would. */
const runScript = async (script: string): Promise<void> => {
  const statements = script.split(/;$/m).filter((statement) => statement.trim() !== "")
  for (const statement of statements) await admin.query(statement)
}

const asRole = (user: string) => ({ user, identity, action: "DbConnect" }) as const

const policyOf = (action: string, { clusterId, region }: Pick<Cluster, "clusterId" | "region">) => ({
  Version: "2012-10-17",
  Statement: [
    { Effect: "Allow", Action: `dsql:${action}`, Resource: `arn:aws:dsql:${region}:${account}:cluster/${clusterId}` }
  ]
})

describe("effect-dsql roles", () => {
  it("prints SQL that the cluster takes and that lets the identity log in, with the policy beside it", async () => {
    await admin.query("CREATE SCHEMA shop")
    await admin.query("CREATE TABLE shop.item (id int PRIMARY KEY)")
    const output = await printed("--host", cluster.endpoint, "--arn", arn, "--schema", "shop", "orders")
    const [sql = "", policy = ""] = output.split(/^-- The least .* as orders must allow:$/m)
    assert.strictEqual(
      sql,
      `-- As admin, each statement in a transaction of its own, as psql runs them:
CREATE ROLE orders WITH LOGIN;
AWS IAM GRANT orders TO '${arn}';
CREATE SCHEMA IF NOT EXISTS shop;
GRANT USAGE ON SCHEMA shop TO orders;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop TO orders;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO orders;

`
    )
    assert.deepStrictEqual(JSON.parse(policy), policyOf("DbConnect", cluster))

    cluster.addIdentity(identity)
    assert.include((await refusal(cluster, asRole("orders"))).hint, "Role orders does not exist")
    await runScript(sql)
    await admin.query("CREATE TABLE shop.later (id int PRIMARY KEY)")
    await withClient(
      cluster,
      async (client) => {
        for (const table of ["item", "later"]) {
          await client.query(`INSERT INTO shop.${table} VALUES (1)`)
          await client.query(`UPDATE shop.${table} SET id = 2`)
          assert.deepStrictEqual((await client.query(`SELECT id FROM shop.${table}`)).rows, [{ id: 2 }])
          await client.query(`DELETE FROM shop.${table}`)
        }
      },
      asRole("orders")
    )
  })

  it("grants no more than reading where that is asked for, to every name that there may be", async () => {
    const role = `Über "order"`
    cluster.addIdentity(identity)
    // Its schema is not there before.
    await runScript(await printed("--only", "sql", "--arn", arn, "--schema", "user", "--read-only", role))
    await admin.query(`CREATE TABLE "user".item (id int PRIMARY KEY)`)
    await withClient(
      cluster,
      async (client) => {
        await client.query(`SELECT id FROM "user".item`)
        const error = await client.query(`INSERT INTO "user".item VALUES (1)`).then(String, (error) => error)
        assert.strictEqual(error.code, "42501")
      },
      asRole(role)
    )
  })

  it("leaves out for public what the service refuses there", async () => {
    await admin.query("CREATE TABLE item (id int PRIMARY KEY)")
    cluster.addIdentity(identity)
    const sql = await printed("--only", "sql", "--arn", arn, "--schema", "public", "orders")
    assert.notMatch(sql, /USAGE|CREATE SCHEMA/)
    await runScript(sql)
    await withClient(cluster, (client) => client.query("INSERT INTO item VALUES (1)"), asRole("orders"))
  })

  it("prints JSON for programs, and each part alone", async () => {
    const one = ["--host", cluster.clusterId, "--region", "eu-west-1", "--arn", arn]
    const inIreland = policyOf("DbConnect", { clusterId: cluster.clusterId, region: "eu-west-1" })
    const statements = ["CREATE ROLE orders WITH LOGIN", `AWS IAM GRANT orders TO '${arn}'`]
    assert.deepStrictEqual(JSON.parse(await printed("--json", ...one, "orders")), {
      role: "orders",
      statements,
      policy: inIreland
    })
    assert.deepStrictEqual(JSON.parse(await printed("--only", "policy", ...one, "orders")), inIreland)
    const other = `arn:aws:iam::${account}:user/ana`
    assert.deepStrictEqual(JSON.parse(await printed("--json", "--only", "sql", ...one, "--arn", other, "orders")), {
      role: "orders",
      statements: [...statements, `AWS IAM GRANT orders TO '${other}'`]
    })
  })

  it("prints the policy of admin, which needs no SQL", async () => {
    const output = await printed("--host", cluster.endpoint, "--account", account, "admin")
    const [sql, policy = ""] = output.split(/^-- The least .* as admin must allow:$/m)
    assert.strictEqual(sql, "-- admin is there from the first; no SQL is needed.\n\n")
    assert.deepStrictEqual(JSON.parse(policy), policyOf("DbConnectAdmin", cluster))
  })

  it("refuses in one line on standard error what cannot be right", async () => {
    const { code, errors, output } = await roles("--arn", arn, "orders")
    assert.deepStrictEqual([code, output], [1, ""])
    assert.match(errors, /^DSQL_HOST: is not set.+\n$/)
  })
})

describe("what is granted", () => {
  const session = `arn:aws:sts::${account}:assumed-role/orders/i-0abc`
  const wrong: ReadonlyArray<readonly [option: string, detail: string, given: Partial<RoleOptions>]> = [
    ["arn", "must name who logs in", { arns: [] }],
    ["arn", "must be the ARN of an IAM user or role", { arns: [arn, "orders"] }],
    ["arn", `map the role itself: arn:aws:iam::${account}:role/orders`, { arns: [session] }],
    ["role", "must not be empty", { role: "" }],
    ["role", "must be at most 63 bytes", { role: "ö".repeat(32) }],
    ["role", '"pg_orders" is a name', { role: "pg_orders" }],
    ["schema", "nothing in sys can be granted", { schema: "sys" }],
    ["schema", "must not be empty", { schema: "a\0b" }],
    ["schema", "admin may use", { role: "admin", schema: "shop" }]
  ]
  it.each(wrong)("is refused with the option %s named and why: %s", (option, detail, given) => {
    const refused = Either.flip(roleGrants({ role: "orders", arns: [arn], access: "read-write", ...given }))
    const error = Either.getOrThrow(refused)
    assert.deepStrictEqual([error._tag, error.reason, error.option], ["DsqlConfigError", "InvalidOption", option])
    assert.include(error.detail, detail)
  })

  it("is in the partition of its region", () => {
    const { clusterId } = cluster
    const regions = { "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "eu-west-1": "aws" }
    for (const [region, partition] of Object.entries(regions)) {
      const expected = `arn:${partition}:dsql:${region}:${account}:cluster/${clusterId}`
      assert.strictEqual(clusterArn({ account, clusterId, region }), expected)
    }
  })

  it("needs an account of 12 digits", () => {
    assert.deepStrictEqual(accountOf(arn), account)
    assert.isTrue(Either.isRight(checkedAccount(account)))
    for (const other of ["", "12345678901", "12345678901x"]) assert.isTrue(Either.isLeft(checkedAccount(other)), other)
  })
})

describe("a name in SQL", () => {
  it("is quoted when it is a keyword that PostgreSQL reserves, and only then", async () => {
    const strict = await startCluster({ rules: "off" })
    try {
      await withClient(strict, async (client) => {
        const { rows } = await client.query("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T') ORDER BY 1")
        assert.deepStrictEqual(
          [...reservedWords].sort(),
          rows.map(({ word }) => word)
        )
      })
    } finally {
      await strict.stop()
    }
    assert.deepStrictEqual(["orders", "order", "Orders", 'a"b', "1a", "a b"].map(quotedName), [
      "orders",
      '"order"',
      '"Orders"',
      '"a""b"',
      '"1a"',
      '"a b"'
    ])
  })
})
