/** AWS's own connector for node-postgres, which signs tokens itself. */
import { AuroraDSQLClient, type AuroraDSQLConfig, AuroraDSQLPool } from "@aws/aurora-dsql-node-postgres-connector"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, type Identity, startCluster } from "../../../src/local/cluster.js"
import { credentialsOf, dialling } from "../support.js"

let cluster: Cluster
let pool: AuroraDSQLPool
const configOf = (identity: Identity = cluster): AuroraDSQLConfig => ({
  host: cluster.endpoint,
  port: cluster.port,
  ssl: { ca: cluster.ca },
  stream: () => dialling(cluster),
  customCredentialsProvider: async () => credentialsOf(identity)
})

beforeAll(async () => {
  cluster = await startCluster()
  pool = new AuroraDSQLPool({ ...configOf(), max: 3 })
  await pool.query("CREATE TABLE account (id int PRIMARY KEY, cents bigint NOT NULL)")
  await pool.query("INSERT INTO account VALUES (1, 100), (2, 0)")
})
afterAll(async () => {
  await pool.end()
  await cluster.stop()
})

describe("AWS's connector", () => {
  it("logs in as admin, with nothing but a host and credentials", async () => {
    const { rows } = await pool.query("SELECT current_user, current_database() AS database")
    expect(rows).toEqual([{ current_user: "admin", database: "postgres" }])
    expect(cluster.connections().map(({ applicationName }) => applicationName.replace(/\d.*/, ""))).toContain(
      "aurora-dsql-nodejs-pg/"
    )
  })

  it("takes the id of the cluster and a region in the place of a host", async () => {
    const client = new AuroraDSQLClient({ ...configOf(), host: cluster.clusterId, region: cluster.region })
    await client.connect()
    expect((await client.query("SELECT $1::int AS one", [1])).rows).toEqual([{ one: 1 }])
    await client.end()
  })

  it("logs in as another role that its identity is mapped to", async () => {
    const identity = { accessKeyId: "AKIAORDERS0000000000", secretAccessKey: "orders" }
    const arn = cluster.addIdentity(identity)
    await pool.query("CREATE ROLE orders WITH LOGIN")
    await pool.query(`AWS IAM GRANT orders TO '${arn}'`)
    const client = new AuroraDSQLClient({ ...configOf(identity), user: "orders" })
    await client.connect()
    expect((await client.query("SELECT current_user")).rows).toEqual([{ current_user: "orders" }])
    await expect(client.query("TABLE account")).rejects.toMatchObject({ code: "42501" })
    await client.end()
  })

  it("runs transactions with its retry, and rolls back", async () => {
    const moved = await pool.transaction(async (client) => {
      await client.query("UPDATE account SET cents = cents - $1 WHERE id = $2", [30, 1])
      await client.query("UPDATE account SET cents = cents + $1 WHERE id = $2", [30, 2])
      return client.query("SELECT cents FROM account ORDER BY id")
    })
    expect(moved.rows).toEqual([{ cents: "70" }, { cents: "30" }])
    const failing = pool.transaction((client) => client.query("INSERT INTO account VALUES (1, 1)"))
    await expect(failing).rejects.toMatchObject({ code: "23505" })
  })

  it("counts right with many at once, by retrying conflicts", async () => {
    const times = 8
    const increment = () =>
      pool.transaction(
        async (client) => {
          const { rows } = await client.query("SELECT cents FROM account WHERE id = 2")
          await client.query("UPDATE account SET cents = $1 WHERE id = 2", [Number(rows[0].cents) + 1])
        },
        { maxRetries: 100 }
      )
    await Promise.all(Array.from({ length: times }, increment))
    expect((await pool.query("SELECT cents FROM account WHERE id = 2")).rows).toEqual([{ cents: String(30 + times) }])
  })

  it("is told why its login is refused", async () => {
    const stranger = new AuroraDSQLClient(configOf({ accessKeyId: "AKIASTRANGER00000000", secretAccessKey: "x" }))
    await expect(stranger.connect()).rejects.toMatchObject({
      code: "08006",
      message: "unable to accept connection, access denied",
      hint: "The security token included in the request is invalid"
    })
  })
})
