import { setTimeout as delay } from "node:timers/promises"
import type pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { asSuperuser } from "../../support/superuser.js"
import { connect, eventually, withClient } from "../support.js"
import { aborted, dataConflict, outcome, type Outcome, protocols } from "./support.js"

let cluster: Cluster
let first: pg.Client
let second: pg.Client
beforeAll(async () => {
  cluster = await startCluster()
  first = await connect(cluster)
  second = await connect(cluster)
  for (const sql of [
    "CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE, n int NOT NULL DEFAULT 0)",
    "CREATE TABLE part (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE)",
    "CREATE TABLE spare (id int PRIMARY KEY, item int REFERENCES item ON DELETE SET NULL)"
  ]) {
    await first.query(sql)
  }
})
afterAll(async () => {
  await first.end()
  await second.end()
  await cluster.stop()
})
beforeEach(async () => {
  await first.query("ROLLBACK")
  await second.query("ROLLBACK")
  await first.query("DELETE FROM item")
  await first.query("DELETE FROM spare")
  await first.query("INSERT INTO item VALUES (1, 'one'), (2, 'two'), (3, 'three')")
})

const rowsOf = async (client: pg.Client, sql: string): Promise<ReadonlyArray<unknown>> =>
  (await client.query({ text: sql, rowMode: "array" })).rows

/** All of a table, as who is in no transaction sees it. */
const table = (name: string): Promise<ReadonlyArray<unknown>> =>
  withClient(cluster, (client) => rowsOf(client, `SELECT * FROM ${name} ORDER BY 1`))

describe.each(protocols)("of two transactions, by the %s protocol,", (protocol) => {
  const run = (client: pg.Client, sql: string, ...values: ReadonlyArray<unknown>): Promise<Outcome> =>
    protocol === "simple"
      ? outcome(
          client,
          protocol,
          sql.replace(/\$(\d)/g, (_, place) =>
            typeof values[place - 1] === "number" ? String(values[place - 1]) : `'${String(values[place - 1])}'`
          )
        )
      : outcome(client, protocol, sql, values)
  /** Both see the same from here. */
  const begin = async (): Promise<void> => {
    for (const client of [first, second]) {
      expect(await run(client, "BEGIN")).toBe("BEGIN")
      expect(await run(client, "SELECT * FROM item")).toBe("SELECT 3")
    }
  }

  it("the first to commit wins although it wrote second, and both were told true counts", async () => {
    await begin()
    expect(await run(second, "UPDATE item SET n = $1 WHERE id <= $2", 5, 2)).toBe("UPDATE 2")
    expect(await run(first, "UPDATE item SET n = $1 WHERE id >= $2", 7, 2)).toBe("UPDATE 2")
    expect(await run(second, "DELETE FROM item WHERE n = $1", 5)).toBe("DELETE 2")
    expect(await run(first, "UPDATE item SET n = n + $1 WHERE n = $2", 1, 7)).toBe("UPDATE 2")
    expect(await run(first, "COMMIT")).toBe("COMMIT")
    expect(await run(second, "DELETE FROM item WHERE id = $1", 3)).toBe("DELETE 1")
    expect(await run(second, "COMMIT")).toBe(dataConflict)
    expect(await run(second, "ROLLBACK")).toBe("ROLLBACK")
    expect(await table("item")).toEqual([
      [1, "one", 0],
      [2, "two", 8],
      [3, "three", 8]
    ])
  })

  it.each([true, false])(
    "one that inserts a key that the other has inserted loses (who wrote first commits first: %s)",
    async (inOrder) => {
      await begin()
      const [winner, loser] = inOrder ? [first, second] : [second, first]
      expect(await run(first, "INSERT INTO item VALUES ($1, $2)", 4, "four")).toBe("INSERT 0 1")
      expect(await run(second, "INSERT INTO item VALUES ($1, $2)", 5, "four")).toBe("INSERT 0 1")
      expect(await run(winner, "COMMIT")).toBe("COMMIT")
      expect(await run(loser, "COMMIT")).toBe(dataConflict)
    }
  )

  it("one that inserts a key that it can see is told at the statement, and is aborted", async () => {
    await begin()
    await run(first, "INSERT INTO item VALUES ($1, $2)", 4, "four")
    await run(first, "COMMIT")
    await run(second, "COMMIT")
    await run(second, "BEGIN")
    expect(await run(second, "INSERT INTO item VALUES ($1, $2)", 4, "vier")).toBe(
      'ERROR 23505 duplicate key value violates unique constraint "item_pkey"'
    )
    expect(await run(second, "SELECT * FROM item")).toBe(aborted)
    expect(await run(second, "COMMIT")).toBe("ROLLBACK")
  })

  it("both commit what touches no common row", async () => {
    await begin()
    expect(await run(first, "UPDATE item SET n = $1 WHERE id = $2", 1, 1)).toBe("UPDATE 1")
    expect(await run(second, "UPDATE item SET n = $1 WHERE id = $2", 2, 2)).toBe("UPDATE 1")
    expect(await run(second, "INSERT INTO item VALUES ($1, $2)", 4, "four")).toBe("INSERT 0 1")
    expect(await run(first, "DELETE FROM item WHERE id = $1", 3)).toBe("DELETE 1")
    expect(await run(second, "COMMIT")).toBe("COMMIT")
    expect(await run(first, "COMMIT")).toBe("COMMIT")
    expect(await table("item")).toEqual([
      [1, "one", 1],
      [2, "two", 2],
      [4, "four", 0]
    ])
  })

  it("both may read what the other writes, and only FOR UPDATE makes that a conflict", async () => {
    for (const [clause, end] of [
      ["", "COMMIT"],
      [" FOR UPDATE", dataConflict]
    ] as const) {
      await begin()
      expect(await run(first, `SELECT n FROM item WHERE id < $1${clause}`, 3)).toBe("SELECT 2")
      expect(await run(second, `SELECT n FROM item WHERE id < $1${clause}`, 3)).toBe("SELECT 2")
      expect(await run(first, "UPDATE item SET n = n + $1 WHERE id = $2", 1, 1)).toBe("UPDATE 1")
      expect(await run(second, "UPDATE item SET n = n + $1 WHERE id = $2", 1, 2)).toBe("UPDATE 1")
      expect(await run(first, "COMMIT")).toBe("COMMIT")
      expect(await run(second, "COMMIT")).toBe(end)
    }
  })

  it("the loser reads what it has written, before and after it has lost", async () => {
    await begin()
    await run(second, "UPDATE item SET n = $1 WHERE id = $2", 5, 1)
    await run(first, "UPDATE item SET n = $1 WHERE id = $2", 6, 1)
    await run(first, "COMMIT")
    expect(await rowsOf(second, "SELECT n FROM item ORDER BY id")).toEqual([[5], [0], [0]])
    expect(await run(second, "UPDATE item SET n = n + $1", 1)).toBe("UPDATE 3")
    expect(await run(second, "INSERT INTO item VALUES ($1, $2)", 4, "four")).toBe("INSERT 0 1")
    expect(await run(second, "DELETE FROM item WHERE id = $1", 2)).toBe("DELETE 1")
    expect(await rowsOf(second, "SELECT id, n FROM item ORDER BY id")).toEqual([
      [1, 6],
      [3, 1],
      [4, 0]
    ])
    expect(await run(second, "COMMIT")).toBe(dataConflict)
    expect(await rowsOf(second, "SELECT id, n FROM item ORDER BY id")).toEqual([
      [1, 6],
      [2, 0],
      [3, 0]
    ])
  })

  it("one that has updated a row before it deletes it conflicts with who holds its key", async () => {
    await begin()
    expect(await run(first, "SELECT n FROM item WHERE id = $1 FOR KEY SHARE", 1)).toBe("SELECT 1")
    expect(await run(second, "UPDATE item SET n = $1 WHERE id = $2", 5, 1)).toBe("UPDATE 1")
    expect(await run(first, "COMMIT")).toBe("COMMIT")
    expect(await run(second, "DELETE FROM item WHERE id = $1", 1)).toBe("DELETE 1")
    expect(await run(second, "COMMIT")).toBe(dataConflict)
  })

  it.each(["part", "spare"])(
    "one that deletes what the other references by %s loses, and the other way round",
    async (name) => {
      for (const deletesFirst of [true, false]) {
        await begin()
        const [deleting, inserting] = deletesFirst ? [first, second] : [second, first]
        expect(await run(deleting, "DELETE FROM item WHERE id = $1", 1)).toBe("DELETE 1")
        expect(await run(inserting, `INSERT INTO ${name} VALUES ($1, $2)`, 1, 1)).toBe("INSERT 0 1")
        expect(await run(first, "COMMIT")).toBe("COMMIT")
        expect(await run(second, "COMMIT")).toBe(dataConflict)
        if (deletesFirst) await run(first, "INSERT INTO item VALUES ($1, $2)", 1, "one")
      }
    }
  )
})

describe("a loser is answered as if it were alone:", () => {
  /** Has `second` lose row 1 to `first`. */
  const lose = async (): Promise<void> => {
    await second.query("BEGIN")
    await second.query("SELECT FROM item")
    await first.query("UPDATE item SET n = 100 WHERE id = 1")
  }

  const statements: ReadonlyArray<readonly [what: string, sql: string, answer: ReadonlyArray<unknown>]> = [
    [
      "RETURNING",
      "UPDATE item SET n = n + id WHERE id < 3 RETURNING id, n",
      [
        [1, 1],
        [2, 2]
      ]
    ],
    ["DELETE RETURNING", "DELETE FROM item WHERE id < 3 RETURNING name", [["one"], ["two"]]],
    [
      "INSERT SELECT",
      "INSERT INTO item SELECT id + 10, name || '!', n FROM item ORDER BY id RETURNING id",
      [[11], [12], [13]]
    ],
    [
      "ON CONFLICT",
      "INSERT INTO item VALUES (1, 'uno', 5), (4, 'four', 6) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, name, n",
      [
        [1, "one", 5],
        [4, "four", 6]
      ]
    ],
    [
      "a CTE that writes",
      "WITH gone AS (DELETE FROM item WHERE id <= 2 RETURNING id) SELECT count(*)::int FROM gone",
      [[2]]
    ]
  ]

  it.each(statements)("%s", async (_, sql, answer) => {
    await lose()
    expect(await rowsOf(second, "UPDATE item SET n = n WHERE id = 1 RETURNING n")).toEqual([[0]])
    expect(await rowsOf(second, sql)).toEqual(answer)
    expect(await outcome(second, "simple", "COMMIT")).toBe(dataConflict)
  })

  it("also while somebody is in the way of the copy it works on, as on a busy machine", async () => {
    await lose()
    await asSuperuser(cluster.caFile, async ({ run }) => {
      // Who makes a table writes there, and nobody else does.
      await run("BEGIN")
      await run("LOCK TABLE pg_depend IN SHARE MODE")
      const rows = rowsOf(second, "UPDATE item SET n = n + 1 WHERE id = 1 RETURNING n")
      await eventually(async () => {
        const waiting = await run("SELECT FROM pg_locks WHERE NOT granted AND relation = 'pg_depend'::regclass")
        return waiting.length === 1
      })
      // Several times as long as a statement waits for another session.
      await delay(50)
      await run("COMMIT")
      expect(await rows).toEqual([[1]])
    })
    expect(await outcome(second, "simple", "COMMIT")).toBe(dataConflict)
  })

  it("several statements in one text", async () => {
    await lose()
    const results = await second.query(
      "UPDATE item SET n = n + 1 WHERE id = 1; SELECT n FROM item WHERE id = 1; DELETE FROM item"
    )
    expect(
      (results as unknown as Array<pg.QueryResult>).map(({ command, rowCount }) => `${command} ${rowCount}`)
    ).toEqual(["UPDATE 1", "SELECT 1", "DELETE 3"])
    expect(await outcome(second, "simple", "COMMIT")).toBe(dataConflict)
  })

  it("a whole transaction in one text, which fails as a whole", async () => {
    await lose()
    expect(await outcome(second, "simple", "UPDATE item SET n = 1 WHERE id = 1; COMMIT")).toBe(dataConflict)
    expect(await table("item")).toContainEqual([1, "one", 100])
  })

  it("what it cannot be told without doing it is a conflict at the statement, and it is aborted", async () => {
    await first.query("CREATE SCHEMA IF NOT EXISTS apart")
    await first.query("CREATE TABLE IF NOT EXISTS apart.item (id int PRIMARY KEY, n int)")
    await first.query("INSERT INTO apart.item VALUES (1, 0) ON CONFLICT DO NOTHING")
    await second.query("BEGIN")
    await second.query("SELECT FROM apart.item")
    await first.query("UPDATE apart.item SET n = 100")
    expect(await outcome(second, "simple", "UPDATE apart.item SET n = n + 1 RETURNING n")).toBe(dataConflict)
    expect(await outcome(second, "simple", "SELECT 1")).toBe(aborted)
    expect(await outcome(second, "simple", "COMMIT")).toBe("ROLLBACK")
  })
})

it("rows are the same ones for a session that has another encoding and time zone, and writes dates in another way", async () => {
  await first.query("CREATE TABLE visit (at timestamptz, who text, note text, PRIMARY KEY (at, who))")
  await first.query("INSERT INTO visit VALUES ('2026-11-24 12:00Z', 'Zoë')")
  const options = "-c client_encoding=LATIN1 -c timezone=Asia/Tokyo -c datestyle=German"
  await withClient(
    cluster,
    async (other) => {
      for (const [clause, end] of [
        ["FOR KEY SHARE", "COMMIT"],
        ["FOR UPDATE", dataConflict]
      ]) {
        await first.query("BEGIN")
        await other.query("BEGIN")
        expect(await outcome(first, "simple", `SELECT FROM visit ${clause}`)).toBe("SELECT 1")
        expect(await outcome(other, "simple", "UPDATE visit SET note = 'late'")).toBe("UPDATE 1")
        expect(await outcome(first, "simple", "COMMIT")).toBe("COMMIT")
        expect(await outcome(other, "simple", "COMMIT")).toBe(end)
      }
    },
    { options }
  )
})
