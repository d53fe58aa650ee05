/**
 * Drizzle on the pool of `effect-dsql/pg`. Queries go to the pool; a transaction that is to survive conflicts gets a Drizzle
 * of its own on the client of that transaction. Creates and drops the table `example_drizzle`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/drizzle.ts
 */
import { eq, sql } from "drizzle-orm"
import { drizzle } from "drizzle-orm/node-postgres"
import { integer, pgTable, text } from "drizzle-orm/pg-core"
import { createPool, transaction } from "effect-dsql/pg"

const account = pgTable("example_drizzle", { owner: text().primaryKey(), cents: integer().notNull() })

const main = async (): Promise<void> => {
  await using pool = await createPool(process.env["CLUSTER_ENDPOINT"])
  const db = drizzle(pool)
  await db.execute(sql`CREATE TABLE IF NOT EXISTS example_drizzle (owner text PRIMARY KEY, cents int NOT NULL)`)
  await db.delete(account)
  await db.insert(account).values([
    { owner: "ana", cents: 1000 },
    { owner: "bo", cents: 0 }
  ])

  const pay = (cents: number) =>
    transaction(pool, async (client) => {
      const tx = drizzle(client)
      const [ana] = await tx.select().from(account).where(eq(account.owner, "ana"))
      await tx
        .update(account)
        .set({ cents: ana!.cents - cents })
        .where(eq(account.owner, "ana"))
      await tx
        .update(account)
        .set({ cents: sql`${account.cents} + ${cents}` })
        .where(eq(account.owner, "bo"))
    })
  await Promise.all(Array.from({ length: 10 }, () => pay(25)))

  const accounts = await db.select().from(account).orderBy(account.owner)
  console.log(accounts.map(({ cents, owner }) => `${owner} ${cents}`).join(", "))
  await db.execute(sql`DROP TABLE example_drizzle`)
}

await main()
