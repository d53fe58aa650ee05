/** The same suites for every client of ours, each on a cluster of its own machine's. */
import { Effect } from "effect"
import type { Options } from "effect-dsql/pg"
import { afterAll, afterEach, assert, beforeAll } from "vitest"
import { type Cluster, startCluster } from "../src/local/cluster.js"
import { fromCluster } from "../src/LocalCluster.js"
import { eventually } from "./local/support.js"
import { conflictSuite } from "./support/drivers/conflict.js"
import { connectionSuite } from "./support/drivers/connection.js"
import { type Driver, type Local, optionsFor, type Surroundings } from "./support/drivers/driver.js"
import { effectClient } from "./support/drivers/effect.js"
import { pgClient, pgPool } from "./support/drivers/pg.js"
import { postgresJs } from "./support/drivers/postgres.js"
import { poolSuite } from "./support/drivers/pool.js"
import { tcpSockets } from "./support/sockets.js"

let cluster: Cluster
let handle: Local
let sockets: number

beforeAll(async () => {
  cluster = await startCluster()
  handle = fromCluster(cluster)
  sockets = tcpSockets()
})
afterAll(() => cluster.stop())
afterEach(async () => assert.deepStrictEqual(await Effect.runPromise(handle.pendingFaults), []))

const options = (): Options => optionsFor(handle)

const surroundings: Surroundings = {
  local: () => handle,
  options,
  quiet: () => eventually(() => tcpSockets() === sockets)
}

const pools: ReadonlyArray<Driver> = [effectClient, pgPool, postgresJs]

for (const driver of [...pools, pgClient]) connectionSuite(driver, surroundings)
for (const driver of pools) {
  poolSuite(driver, surroundings)
  conflictSuite(driver, surroundings)
}
