/** Unmodified Drizzle on node-postgres. */
import { DrizzleQueryError, eq, relations, sql } from "drizzle-orm"
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres"
import { bigint, boolean, date, integer, jsonb, numeric, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core"
import pg from "pg"
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { poolConfig } from "./support.js"

const owner = pgTable("owner", {
  id: uuid().primaryKey().defaultRandom(),
  name: text().notNull().unique(),
  born: date({ mode: "date" }),
  seen: timestamp({ withTimezone: true }),
  visits: bigint({ mode: "bigint" }),
  debt: numeric({ precision: 12, scale: 2 }),
  info: jsonb().$type<{ readonly vip: boolean }>(),
  active: boolean().default(true)
})
const pet = pgTable("pet", { id: integer().primaryKey(), name: text().notNull(), ownerId: uuid("owner_id") })
const schema = {
  owner,
  pet,
  ownerRelations: relations(owner, ({ many }) => ({ pets: many(pet) })),
  petRelations: relations(pet, ({ one }) => ({ owner: one(owner, { fields: [pet.ownerId], references: [owner.id] }) }))
}

let cluster: Cluster
let pool: pg.Pool
let db: NodePgDatabase<typeof schema>
beforeAll(async () => {
  cluster = await startCluster()
  pool = new pg.Pool(poolConfig(cluster))
  db = drizzle(pool, { schema })
  await db.execute(sql`CREATE TABLE owner (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE, born date,
    seen timestamptz, visits bigint, debt numeric(12, 2), info jsonb, active boolean DEFAULT true)`)
  await db.execute(sql`CREATE TABLE pet (id int PRIMARY KEY, name text NOT NULL, owner_id uuid)`)
})
afterAll(async () => {
  await pool.end()
  await cluster.stop()
})
beforeEach(async () => {
  await db.delete(pet)
  await db.delete(owner)
})

const insertOwner = async (name: string) => {
  const [row] = await db.insert(owner).values({ name }).returning()
  return row!
}

it("inserts and selects values of every usual type", async () => {
  const values = {
    name: "Ana",
    born: new Date("1990-02-03"),
    seen: new Date("2026-11-24T20:30:00.123Z"),
    visits: 9007199254740993n,
    debt: "1234567890.12",
    info: { vip: true }
  }
  const [inserted] = await db.insert(owner).values(values).returning()
  expect(inserted).toEqual({ ...values, id: inserted!.id, active: true })
  expect(await db.select().from(owner).where(eq(owner.name, "Ana"))).toEqual([inserted])
})

it("updates, upserts, deletes, joins and aggregates", async () => {
  const { id } = await insertOwner("Bo")
  await db.insert(pet).values([1, 2].map((n) => ({ id: n, name: `pet ${n}`, ownerId: id })))
  await db.update(pet).set({ name: "Rex" }).where(eq(pet.id, 1))
  await db
    .insert(pet)
    .values({ id: 2, name: "Max" })
    .onConflictDoUpdate({ target: pet.id, set: { name: "Max" } })
  const joined = await db
    .select({ owner: owner.name, pet: pet.name })
    .from(pet)
    .innerJoin(owner, eq(pet.ownerId, owner.id))
  expect(joined.toSorted((a, b) => a.pet.localeCompare(b.pet))).toEqual([
    { owner: "Bo", pet: "Max" },
    { owner: "Bo", pet: "Rex" }
  ])
  expect((await db.delete(pet).where(eq(pet.id, 1))).rowCount).toBe(1)
  expect(await db.$count(pet)).toBe(1)
})

it("reads along relations", async () => {
  const { id } = await insertOwner("Cy")
  await db.insert(pet).values({ id: 3, name: "Tom", ownerId: id })
  expect(
    await db.query.owner.findMany({ columns: { name: true }, with: { pets: { columns: { name: true } } } })
  ).toEqual([{ name: "Cy", pets: [{ name: "Tom" }] }])
  expect(await db.query.pet.findFirst({ with: { owner: true } })).toMatchObject({ name: "Tom", owner: { name: "Cy" } })
})

it("commits and rolls back", async () => {
  await db.transaction(async (tx) => {
    await tx.insert(owner).values({ name: "Di" })
  })
  const failing = db.transaction(async (tx) => {
    await tx.delete(owner)
    tx.rollback()
  })
  await expect(failing).rejects.toThrow("Rollback")
  expect(await db.select({ name: owner.name }).from(owner)).toEqual([{ name: "Di" }])
})

it("keeps what PostgreSQL said about an error", async () => {
  await insertOwner("Ed")
  const error = await insertOwner("Ed").catch((error: unknown) => error)
  expect(error).toBeInstanceOf(DrizzleQueryError)
  expect((error as DrizzleQueryError).cause).toMatchObject({ code: "23505", constraint: "owner_name_key" })
})

it("prepares statements", async () => {
  await insertOwner("Fa")
  const byName = db
    .select({ name: owner.name })
    .from(owner)
    .where(eq(owner.name, sql.placeholder("name")))
    .prepare("by_name")
  expect(await byName.execute({ name: "Fa" })).toEqual([{ name: "Fa" }])
  expect(await byName.execute({ name: "nobody" })).toEqual([])
})
