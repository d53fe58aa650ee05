/** One of several programs that count with one row of a cluster that runs elsewhere; begins when it is told to. */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Console, Effect } from "effect"
import { DsqlTransaction } from "effect-dsql"
import { DsqlLocal, type LocalAccess } from "effect-dsql/Local"
import { once } from "node:events"
import { increment, race } from "./counter.js"
import { told } from "./transactions.js"

const { ACCESS = "", FIBERS, ROUNDS } = process.env

Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`SELECT 1`
  yield* Console.log("ready")
  yield* Effect.promise(() => once(process.stdin, "data"))
  const exits = yield* race(DsqlTransaction.withRetry(increment), Number(FIBERS), Number(ROUNDS))
  yield* Console.log(`ended ${JSON.stringify(exits.map(told))}`)
  process.stdin.destroy()
}).pipe(
  Effect.provide(DsqlLocal.layerFrom(JSON.parse(ACCESS) as LocalAccess, { pool: { max: 10 } })),
  NodeRuntime.runMain
)
