/**
 * One connection of node-postgres without Effect, closed at the end of its block, and an error that says what to do.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/pgClient.ts
 */
import { connect } from "effect-dsql/pg"
import { isDsqlError } from "effect-dsql/Errors"

const main = async (): Promise<void> => {
  await using client = await connect(process.env["CLUSTER_ENDPOINT"])
  const { rows } = await client.query<{ user: string }>("SELECT current_user AS user")
  console.log(`connected as ${rows[0]!.user}`)
  try {
    await client.query("LISTEN orders")
  } catch (error) {
    console.log(isDsqlError(error) ? `${error._tag}: ${error.message}` : error)
  }
}

await main()
