import { DsqlSigner } from "@aws-sdk/dsql-signer"
import pg from "pg"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { connect } from "../local/support.js"
import type { Target } from "./run.js"

export interface OpenTarget extends Target {
  readonly name: string
  readonly close: () => Promise<void>
}

/** A local cluster with everything on that makes it answer like the service. */
export const localTarget = async (): Promise<OpenTarget> => {
  const cluster: Cluster = await startCluster({ conflicts: "service", rules: "service" })
  return {
    name: "the local cluster",
    connect: () => connect(cluster),
    prepare: () => cluster.reset(),
    close: () => cluster.stop()
  }
}

/** A real cluster, as `admin` with the AWS credentials of the environment. Works in a schema that it drops each time. */
export const liveTarget = async (host: string): Promise<OpenTarget> => {
  const schema = "effect_dsql_conformance"
  const connectLive = async (options?: string): Promise<pg.Client> => {
    const password = await new DsqlSigner({ hostname: host }).getDbConnectAdminAuthToken()
    const client = new pg.Client({
      host,
      port: 5432,
      user: "admin",
      database: "postgres",
      password,
      options,
      ssl: true
    })
    await client.connect()
    return client
  }
  const drop = async (client: pg.Client): Promise<void> => {
    await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  }
  const alone = async (use: (client: pg.Client) => Promise<void>): Promise<void> => {
    const client = await connectLive()
    try {
      await use(client)
    } finally {
      await client.end()
    }
  }
  return {
    name: host,
    connect: () => connectLive(`-c search_path=${schema}`),
    prepare: () =>
      alone(async (client) => {
        await drop(client)
        await client.query(`CREATE SCHEMA ${schema}`)
      }),
    close: () => alone(drop)
  }
}
