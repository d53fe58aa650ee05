/**
 * Kysely on the pool of `effect-dsql/pg`. Queries go to the pool; a transaction that is to survive conflicts gets a Kysely of
 * its own on the client of that transaction. Creates and drops the table `example_kysely`.
 *
 *   CLUSTER_ENDPOINT=… npx tsx examples/kysely.ts
 */
import { createPool, transaction } from "effect-dsql/pg"
import { Kysely, PostgresDialect, type PostgresPoolClient } from "kysely"

interface Schema {
  readonly example_kysely: { readonly owner: string; readonly cents: number }
}

/** All statements on one client, which whoever lent it takes back. */
const on = (client: PostgresPoolClient) =>
  new Kysely<Schema>({
    dialect: new PostgresDialect({ pool: { connect: async () => client, end: async () => {} } })
  })

const main = async (): Promise<void> => {
  const pool = await createPool(process.env["CLUSTER_ENDPOINT"])
  // Ends the pool with itself.
  await using db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
  await db.schema
    .createTable("example_kysely")
    .ifNotExists()
    .addColumn("owner", "text", (column) => column.primaryKey())
    .addColumn("cents", "integer", (column) => column.notNull())
    .execute()
  await db.deleteFrom("example_kysely").execute()
  const accounts = [
    { owner: "ana", cents: 1000 },
    { owner: "bo", cents: 0 }
  ]
  await db.insertInto("example_kysely").values(accounts).execute()

  const pay = (cents: number) =>
    transaction(pool, async (client) => {
      const tx = on(client)
      const add = (owner: string, cents: number) =>
        tx
          .updateTable("example_kysely")
          .set(({ eb }) => ({ cents: eb("cents", "+", cents) }))
          .where("owner", "=", owner)
          .execute()
      await add("ana", -cents)
      await add("bo", cents)
    })
  await Promise.all(Array.from({ length: 10 }, () => pay(25)))

  const rows = await db.selectFrom("example_kysely").selectAll().orderBy("owner").execute()
  console.log(rows.map(({ cents, owner }) => `${owner} ${cents}`).join(", "))
  await db.schema.dropTable("example_kysely").execute()
}

await main()
