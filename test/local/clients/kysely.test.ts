/** Unmodified Kysely on node-postgres and its cursor. */
import { type ColumnType, type Generated, Kysely, PostgresDialect, sql } from "kysely"
import { jsonArrayFrom } from "kysely/helpers/postgres"
import pg from "pg"
import Cursor from "pg-cursor"
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { poolConfig } from "./support.js"

interface Schema {
  readonly owner: {
    readonly id: number
    readonly name: string
    readonly seen: ColumnType<Date, Date, Date>
    readonly visits: Generated<string>
    readonly info: ColumnType<{ readonly vip: boolean }, string, string> | null
  }
  readonly pet: { readonly id: number; readonly owner_id: number; readonly name: string }
}

let cluster: Cluster
let db: Kysely<Schema>
beforeAll(async () => {
  cluster = await startCluster()
  db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: new pg.Pool(poolConfig(cluster)), cursor: Cursor }) })
  await db.schema
    .createTable("owner")
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("name", "varchar(40)", (column) => column.notNull().unique())
    .addColumn("seen", "timestamptz", (column) => column.notNull())
    .addColumn("visits", "bigint", (column) => column.defaultTo(0).notNull())
    .addColumn("info", "jsonb")
    .execute()
  await db.schema
    .createTable("pet")
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("owner_id", "integer", (column) => column.references("owner.id"))
    .addColumn("name", "text")
    .execute()
})
afterAll(async () => {
  await db.destroy()
  await cluster.stop()
})

const seen = new Date("2026-11-24T20:30:00.123Z")
beforeEach(async () => {
  await db.deleteFrom("pet").execute()
  await db.deleteFrom("owner").execute()
  const owners = ["Ana", "Bo", "Cy"].map((name, index) => ({ id: index + 1, name, seen }))
  await db.insertInto("owner").values(owners).execute()
})

it("inserts, selects, updates and deletes", async () => {
  const row = { id: 4, name: "Di", seen, visits: "9007199254740993", info: JSON.stringify({ vip: true }) }
  const inserted = await db.insertInto("owner").values(row).returningAll().executeTakeFirstOrThrow()
  expect(inserted).toEqual({ ...row, info: { vip: true } })
  const changed = await db
    .updateTable("owner")
    .set({ name: "Ed" })
    .where("id", ">", 2)
    .where("id", "<", 4)
    .executeTakeFirst()
  expect(changed.numUpdatedRows).toBe(1n)
  const upserted = db.insertInto("owner").values({ id: 3, name: "Fa", seen })
  await upserted.onConflict((conflict) => conflict.column("id").doUpdateSet({ name: "Fa" })).execute()
  expect((await db.deleteFrom("owner").where("id", "=", 1).executeTakeFirst()).numDeletedRows).toBe(1n)
  expect(await db.selectFrom("owner").select("name").orderBy("id").execute()).toEqual([
    { name: "Bo" },
    { name: "Fa" },
    { name: "Di" }
  ])
})

it("reads along relations", async () => {
  await db
    .insertInto("pet")
    .values([1, 2].map((id) => ({ id, owner_id: 1, name: `pet ${id}` })))
    .execute()
  const rows = await db
    .selectFrom("owner")
    .select((eb) => [
      "owner.name",
      jsonArrayFrom(eb.selectFrom("pet").select("pet.name").whereRef("pet.owner_id", "=", "owner.id").orderBy("id")).as(
        "pets"
      )
    ])
    .where("id", "<", 3)
    .orderBy("id")
    .execute()
  expect(rows).toEqual([
    { name: "Ana", pets: [{ name: "pet 1" }, { name: "pet 2" }] },
    { name: "Bo", pets: [] }
  ])
})

it("commits and rolls back", async () => {
  await db.transaction().execute((tx) => tx.deleteFrom("owner").where("id", "=", 3).execute())
  const failing = db.transaction().execute(async (tx) => {
    await tx.deleteFrom("owner").execute()
    throw new Error("changed my mind")
  })
  await expect(failing).rejects.toThrow("changed my mind")
  expect(await db.selectFrom("owner").select("id").orderBy("id").execute()).toEqual([{ id: 1 }, { id: 2 }])
})

it("tells errors by their SQLSTATE", async () => {
  const twice = db.insertInto("owner").values({ id: 1, name: "Gi", seen }).execute()
  await expect(twice).rejects.toMatchObject({ code: "23505", constraint: "owner_pkey" })
  const orphan = db.insertInto("pet").values({ id: 1, owner_id: 99, name: "x" }).execute()
  await expect(orphan).rejects.toMatchObject({ code: "23503" })
})

it("streams", async () => {
  const names: Array<string> = []
  for await (const { name } of db.selectFrom("owner").select("name").orderBy("id").stream(2)) names.push(name)
  expect(names).toEqual(["Ana", "Bo", "Cy"])
})

it("runs SQL as it is, and looks into the catalog", async () => {
  expect((await sql<{ n: number }>`SELECT ${1}::int AS n`.execute(db)).rows).toEqual([{ n: 1 }])
  const tables = await db.introspection.getTables()
  expect(tables.filter(({ schema }) => schema === "public").map(({ name }) => name)).toEqual(["owner", "pet"])
})
