/**
 * A pool of node-postgres without Effect: one token for all connections, and a transaction that runs again when it loses a
 * conflict. Creates and drops the table `example_stock`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/pgPool.ts
 */
import { createPool, transaction } from "effect-dsql/pg"

const main = async (): Promise<void> => {
  await using pool = await createPool({ host: process.env["CLUSTER_ENDPOINT"]!, pool: { max: 5 } })
  await pool.query("CREATE TABLE IF NOT EXISTS example_stock (item text PRIMARY KEY, n int NOT NULL)")
  await pool.query("INSERT INTO example_stock VALUES ('cup', 100) ON CONFLICT (item) DO UPDATE SET n = 100")

  const sell = (item: string) =>
    transaction(pool, async (client) => {
      const { rows } = await client.query<{ n: number }>("SELECT n FROM example_stock WHERE item = $1", [item])
      await client.query("UPDATE example_stock SET n = $1 WHERE item = $2", [rows[0]!.n - 1, item])
    })
  await Promise.all(Array.from({ length: 20 }, () => sell("cup")))

  const { rows } = await pool.query<{ n: number }>("SELECT n FROM example_stock WHERE item = 'cup'")
  console.log(`sold 20 cups, ${rows[0]!.n} are left`)
  await pool.query("DROP TABLE example_stock")
}

await main()
