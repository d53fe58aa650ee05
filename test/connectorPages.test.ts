/** What the tables of AWS's connectors for Node promise; that no row is missing, their types say. */
import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import { DsqlConfig } from "effect-dsql"
import * as nodePostgres from "../scripts/connectors/nodePostgres.js"
import * as postgresJs from "../scripts/connectors/postgresJs.js"
import type { Row } from "../scripts/connectors/row.js"

const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"

const resolved = (options: Readonly<Record<string, unknown>>) =>
  DsqlConfig.resolve({ host, ...options } as DsqlConfig.Options)

const rows = Object.entries<Readonly<Record<string, Row>>>({
  "node-postgres": { ...nodePostgres.own, ...nodePostgres.client, ...nodePostgres.pool },
  "the retry of node-postgres": nodePostgres.retry,
  "postgres.js": { ...postgresJs.own, ...postgresJs.driver }
}).flatMap(([connector, table]) => Object.entries(table).map(([name, { here }]) => ({ connector, name, here })))

/** The options that a row names: `pool.max`, `tls.caFile`, `user`. */
const named = (here: string): ReadonlyArray<string> =>
  [...here.matchAll(/`((?:pool|retry|tls)\.\w+|[a-z]\w+)`/g)].map(([, option]) => option!)

const isUnknown = (option: string): boolean => {
  const [group = "", member] = option.split(".")
  // No value of any option, so that one that exists is refused for its value, or taken.
  const answer = resolved(member === undefined ? { [group]: Number.NaN } : { [group]: { [member]: Number.NaN } })
  return Either.isLeft(answer) && /is no option/.test(answer.left.message)
}

describe("a row about", () => {
  it.each(rows.filter(({ here }) => here.startsWith("refused")))(
    "$name of $connector is right that the option is refused, with a reason",
    ({ name }) => {
      const answer = resolved({ [name]: "x" })
      assert(Either.isLeft(answer), name)
      assert.match(answer.left.message, /is no option here: ./)
    }
  )

  it.each(rows.filter(({ here }) => /^`(?:pool|retry|tls)\./.test(here)))(
    "$name of $connector names options that exist",
    ({ here }) => {
      for (const option of named(here).filter((option) => option.includes("."))) {
        assert.isFalse(isUnknown(option), option)
      }
    }
  )
})

it("an option that does not exist is known as such", () => {
  assert.isTrue(isUnknown("pool.maximum"))
})
