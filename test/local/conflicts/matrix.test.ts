import type pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { connect } from "../support.js"
import { dataConflict, outcome, type Outcome, protocols } from "./support.js"

let cluster: Cluster
let first: pg.Client
let second: pg.Client
beforeAll(async () => {
  cluster = await startCluster({ conflicts: "service" })
  first = await connect(cluster)
  second = await connect(cluster)
  await first.query("CREATE TABLE parent (id int PRIMARY KEY, name text)")
  await first.query("CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)")
})
afterAll(async () => {
  await first.end()
  await second.end()
  await cluster.stop()
})
beforeEach(async () => {
  await first.query("DELETE FROM child")
  await first.query("DELETE FROM parent")
  await first.query("INSERT INTO parent VALUES (1, 'one'), (2, 'two')")
})

interface Operation {
  readonly sql: string
  readonly values: ReadonlyArray<unknown>
  readonly tag: Outcome
}

/** In the classes of the service's matrix; all on one row. */
const operations = {
  "a DELETE": { sql: "DELETE FROM parent WHERE id = $1", values: [1], tag: "DELETE 1" },
  "an UPDATE of the key": { sql: "UPDATE parent SET id = $2 WHERE id = $1", values: [1, 3], tag: "UPDATE 1" },
  "FOR UPDATE": { sql: "SELECT name FROM parent WHERE id = $1 FOR UPDATE", values: [1], tag: "SELECT 1" },
  "an UPDATE beside the key": { sql: "UPDATE parent SET name = $2 WHERE id = $1", values: [1, "uno"], tag: "UPDATE 1" },
  "FOR KEY SHARE": { sql: "SELECT name FROM parent WHERE id = $1 FOR KEY SHARE", values: [1], tag: "SELECT 1" },
  "an INSERT that references it": { sql: "INSERT INTO child VALUES ($1, $2)", values: [1, 1], tag: "INSERT 0 1" }
} satisfies Readonly<Record<string, Operation>>

type Name = keyof typeof operations
const names = Object.keys(operations) as Array<Name>

/** Section "Concurrency control" of the service's guide. To reference a row is to lock its key. */
const classOf: Readonly<Record<Name, "strong" | "update" | "keyShare">> = {
  "a DELETE": "strong",
  "an UPDATE of the key": "strong",
  "FOR UPDATE": "strong",
  "an UPDATE beside the key": "update",
  "FOR KEY SHARE": "keyShare",
  "an INSERT that references it": "keyShare"
}

const conflicts = (one: Name, other: Name): boolean => {
  const classes = [classOf[one], classOf[other]]
  return classes.includes("strong") || classes.every((name) => name === "update")
}

/** A row that is inserted twice under one key is no matter of the row that it references. */
const pairs = names
  .flatMap((one) => names.map((other) => [one, other] as const))
  .filter(([one, other]) => !(one === other && one === "an INSERT that references it"))

const literals = ({ sql, values }: Operation): string =>
  sql.replace(/\$(\d)/g, (_, number) => {
    const value = values[Number(number) - 1]
    return typeof value === "string" ? `'${value}'` : String(value)
  })

describe.each(protocols)("two transactions, by the %s protocol:", (protocol) => {
  const run = (client: pg.Client, operation: Operation): Promise<Outcome> =>
    protocol === "simple"
      ? outcome(client, protocol, literals(operation))
      : outcome(client, protocol, operation.sql, operation.values)

  it.each(pairs)("%s commits before %s, whoever came first", async (one, other) => {
    for (const comesFirst of [true, false]) {
      const [early, late] = comesFirst ? [first, second] : [second, first]
      const work = new Map<pg.Client, Operation>([
        [first, operations[one]],
        [second, operations[other]]
      ])
      for (const client of [early, late]) {
        await outcome(client, protocol, "BEGIN")
        // Both see the same, also where the other commits before they write.
        expect(await outcome(client, protocol, "SELECT id FROM parent ORDER BY id")).toBe("SELECT 2")
      }
      for (const client of [early, late]) expect(await run(client, work.get(client)!)).toBe(work.get(client)!.tag)
      expect(await outcome(first, protocol, "COMMIT")).toBe("COMMIT")
      expect(await outcome(second, protocol, "COMMIT")).toBe(conflicts(one, other) ? dataConflict : "COMMIT")
      await first.query("DELETE FROM child")
      await first.query("DELETE FROM parent")
      await first.query("INSERT INTO parent VALUES (1, 'one'), (2, 'two')")
    }
  })

  it.each(pairs)("%s commits before %s is begun", async (one, other) => {
    for (const client of [first, second]) {
      await outcome(client, protocol, "BEGIN")
      await outcome(client, protocol, "SELECT id FROM parent ORDER BY id")
    }
    expect(await run(first, operations[one])).toBe(operations[one].tag)
    expect(await outcome(first, protocol, "COMMIT")).toBe("COMMIT")
    expect(await run(second, operations[other])).toBe(operations[other].tag)
    expect(await outcome(second, protocol, "COMMIT")).toBe(conflicts(one, other) ? dataConflict : "COMMIT")
  })
})
