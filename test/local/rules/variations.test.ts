import type pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { ask, protocols } from "../../conformance/session.js"
import { connect } from "../support.js"
import { schema, variations } from "./variations.js"

let cluster: Cluster
let client: pg.Client
let isDirty = true
beforeAll(async () => {
  cluster = await startCluster({ rules: "service" })
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  if (isDirty) {
    await cluster.reset()
    client = await connect(cluster)
    for (const sql of schema) await client.query(sql)
    await client.end()
  }
  isDirty = false
  client = await connect(cluster)
})
afterEach(() => client.end())

/** What the session says of a text: its last word is an error, or there is none. */
const verdict = async (sql: string, protocol: (typeof protocols)[number]): Promise<string | undefined> => {
  const { error } = await ask(client, sql, protocol)
  isDirty ||= error === undefined
  return error === undefined ? undefined : `${error.sqlstate} ${error.message}`
}

const hasSeveral = (sql: string): boolean => /;\s*\S/.test(sql.replace(/BEGIN ATOMIC.*END|--.*/gs, ""))

describe.each(protocols)("over the %s protocol", (protocol) => {
  const texts = variations.filter(([sql]) => protocol === "simple" || !hasSeveral(sql))
  it.each(texts.map(([sql, refusal]) => [sql, refusal ?? "taken", refusal] as const))(
    "%s: %s",
    async (sql, _, refusal) => {
      expect(await verdict(sql, protocol)).toBe(refusal)
    }
  )
})
