/** What `transaction` of `effect-dsql/postgres` does where postgres.js alone would end the process, hang or forget. */
import { Effect } from "effect"
import { options, transaction, withErrors } from "effect-dsql/postgres"
import { connectionLost } from "effect-dsql/Testing"
import postgres from "postgres"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Cluster, startCluster } from "../src/local/cluster.js"
import { fromCluster } from "../src/LocalCluster.js"
import { failure, type Local, optionsFor } from "./support/drivers/driver.js"

let cluster: Cluster
let local: Local

beforeAll(async () => {
  cluster = await startCluster()
  local = fromCluster(cluster)
})
afterAll(() => cluster.stop())

/** With one connection, so that one that is lost for good shows. */
const withSql = async (f: (sql: postgres.Sql) => Promise<unknown>): Promise<void> => {
  const pool = { max: 1, acquireTimeout: 300 }
  const sql = withErrors(postgres(await options({ ...optionsFor(local), pool, retry: { times: 0 } })))
  try {
    await f(sql)
    assert.deepStrictEqual(Array.from(await sql`SELECT 1 AS one`), [{ one: 1 }])
  } finally {
    await sql.end()
  }
}

describe("a connection that is lost inside of a transaction", () => {
  const bodies: Readonly<Record<string, (tx: postgres.TransactionSql) => Promise<unknown>>> = {
    "lets the error through": (tx) => tx`SELECT 1`,
    "goes on": (tx) => tx`SELECT 1`.catch(() => "went on"),
    "asks again": (tx) => tx`SELECT 1`.catch(() => tx`SELECT 2`)
  }

  it.each(Object.entries(bodies))("fails typed when the body %s, and others are opened", (_, body) =>
    withSql(async (sql) => {
      await Effect.runPromise(local.failNext("statement", connectionLost()))
      const error = await failure(transaction(sql, body))
      assert.deepInclude(error, { _tag: "DsqlConnectionError", reason: "Closed" })
    })
  )
})

describe("a transaction", () => {
  it("does not run its body later when it was given up before it began", () =>
    withSql(async (sql) => {
      let end = () => {}
      const first = transaction(sql, () => new Promise<void>((resolve) => (end = resolve)))
      let ran = false
      const second = failure(transaction(sql, async () => void (ran = true)))
      assert.deepInclude(await second, { _tag: "DsqlConnectionError", reason: "AcquireTimeout" })
      end()
      await first
      await sql`SELECT 1`
      assert.isFalse(ran)
    }))

  it("refuses queries behind its end where they are waited for, and helpers not at all", () =>
    withSql(async (sql) => {
      const tx = await transaction(sql, async (tx) => ({ tx }))
      const leaked = tx.tx
      const helper = leaked({ id: 1 })
      void leaked`SELECT 1`
      for (const query of [
        leaked`SELECT ${1}::int`,
        leaked`SELECT 1`.values(),
        leaked.unsafe("SELECT 1"),
        leaked`INSERT INTO t ${helper}`
      ]) {
        assert.deepInclude(await failure(query), { _tag: "DsqlTransactionError", reason: "Finished" })
      }
    }))
})
