import type pg from "pg"
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { Coordinator } from "../../../src/local/conflicts/coordinator.js"
import { connectDirectly } from "../protocol.js"
import { connect, eventually, query, rawSession } from "../support.js"
import { outcome } from "./support.js"

const joined = vi.spyOn(Coordinator.prototype, "join")
const left = vi.spyOn(Coordinator.prototype, "leave")

let cluster: Cluster
let stays: pg.Client
let observer: pg.Client
beforeAll(async () => {
  cluster = await startCluster()
  stays = await connect(cluster)
  observer = await connectDirectly(cluster, "observer")
  await stays.query("CREATE TABLE item (id int PRIMARY KEY, n int)")
  await stays.query("INSERT INTO item VALUES (1, 0), (2, 0)")
})
afterAll(async () => {
  await stays.end()
  await observer.end()
  await cluster.stop()
})
afterEach(() => stays.query("ROLLBACK"))

const steps = [
  "BEGIN",
  "SELECT n FROM item",
  "UPDATE item SET n = n + 1 WHERE id = 1",
  "SELECT n FROM item WHERE id = 2 FOR UPDATE",
  "UPDATE item SET n = n + 1 WHERE id = 1 RETURNING n",
  "COMMIT",
  "UPDATE item SET n = n + 1 WHERE id = 1",
  "ALTER TABLE item ALTER COLUMN n SET DEFAULT 1"
]

/** How `stays` stands in the way meanwhile. */
const rivals = {
  "nobody else is at work": [],
  "another holds the same row": ["BEGIN", "SELECT n FROM item", "UPDATE item SET n = 10 WHERE id = 1"],
  "another has committed the same row": []
} satisfies Readonly<Record<string, ReadonlyArray<string>>>

describe.each(Object.keys(rivals) as Array<keyof typeof rivals>)(
  "a client leaves nothing behind where %s and it vanishes",
  (rival) => {
    it.each(
      steps.flatMap((sql, step) =>
        (["before", "behind", "after the answer to"] as const).map((when) => ({ when, sql, step }))
      )
    )("$when step $step, $sql", async ({ step, when }) => {
      const { socket, incoming } = await rawSession(cluster)
      for (const sql of rivals[rival]) await stays.query(sql)
      for (const [place, sql] of steps.slice(0, step + 1).entries()) {
        if (rival === "another has committed the same row" && place === 2) {
          await stays.query("UPDATE item SET n = n + 1 WHERE id = 1")
        }
        if (place === step && when === "before") break
        socket.write(query(sql))
        if (place < step || when === "after the answer to") await incoming.until("Z")
      }
      socket.destroy()
      await eventually(() => left.mock.calls.length === joined.mock.calls.length - 1 && cluster.connectionCount() === 1)
      await eventually(async () => {
        const { rows } = await observer.query(
          "SELECT FROM pg_stat_activity WHERE usename = 'admin' AND application_name <> 'observer'"
        )
        return rows.length === 1
      })
      await stays.query("ROLLBACK")
      const { rows } = await observer.query(
        "SELECT locktype, mode FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype <> 'virtualxid'"
      )
      expect(rows).toEqual([])
      // What it has left would be in the way of this.
      for (const sql of ["BEGIN", "SELECT n FROM item FOR UPDATE", "UPDATE item SET n = 0", "COMMIT"]) {
        expect(await outcome(stays, "simple", sql)).not.toMatch(/^ERROR/)
      }
    })
  }
)
