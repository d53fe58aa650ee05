/** What a client that opens connections as it needs them does with them. */
import { Effect } from "effect"
import type { Options } from "effect-dsql/pg"
import { assert, describe, it, vi } from "vitest"
import { eventually } from "../../local/support.js"
import { findings, show } from "../leaks.js"
import { type Client, type Driver, meeting, type Surroundings, using } from "./driver.js"

/** Has as many connections open at once. */
const openAll = async (client: Client, count: number): Promise<void> => {
  const met = meeting(count)
  await Promise.all(
    Array.from({ length: count }, () =>
      client.transaction(async (query) => {
        await query("SELECT 1 AS one")
        await met()
      })
    )
  )
}

const minute = 60_000

export const poolSuite = (driver: Driver, { local, options, quiet }: Surroundings): void => {
  /** Options whose credentials count how often they are asked for, which is once for each signature. */
  const counting = () => {
    const given = options().credentials
    const provider = typeof given === "function" ? given : async () => given!
    let times = 0
    const credentials = () => {
      times++
      return provider()
    }
    return { asked: () => times, options: { ...options(), credentials, pool: { max: 10 } } }
  }

  describe(`the pool of ${driver.name}`, () => {
    it("signs one token for all connections", async () => {
      const { asked, options } = counting()
      await using(driver, options, async (client) => {
        const before = Effect.runSync(local().loginCount)
        await Effect.runPromise(local().dropConnections)
        await openAll(client, 10)
        assert.strictEqual(Effect.runSync(local().loginCount) - before, 10)
        assert.strictEqual(Effect.runSync(local().connectionCount), 10)
      })
      assert.strictEqual(asked(), 1)
    })

    it("signs another when time has gone past the end of the first", async () => {
      const { asked, options } = counting()
      await using(driver, options, async ({ query }) => {
        await query("SELECT 1 AS one")
        vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 16 * minute })
        try {
          await Effect.runPromise(local().setTokenSkew(16 * minute))
          await Effect.runPromise(local().dropConnections)
          await eventually(() => Effect.runSync(local().connectionCount) === 0)
          await query("SELECT 1 AS one")
        } finally {
          vi.useRealTimers()
          await Effect.runPromise(local().setTokenSkew(0))
        }
      })
      assert.strictEqual(asked(), 2)
    })

    it("shows neither token nor secret to who prints it", async () => {
      await using(driver, options(), async (client) => {
        await client.query("SELECT 1 AS one")
        const shown = client.visible.map(show).join("\n")
        assert.notInclude(shown, "X-Amz-Signature")
        const { secretAccessKey } = await credentialsOf(options())
        const seen = { value: [shown], log: [], span: [], failure: [], metric: [], warning: [], console: [] }
        assert.deepStrictEqual(findings(seen, { secretAccessKey }), [])
      })
    })

    it("replaces connections that were cut while they lay unused", async () => {
      await using(driver, options(), async ({ query }) => {
        await query("SELECT 1 AS one")
        await Effect.runPromise(local().dropConnections)
        await eventually(() => Effect.runSync(local().connectionCount) === 0)
        assert.deepStrictEqual({ ...(await query("SELECT 2 AS two"))[0] }, { two: 2 })
      })
    })

    it("opens no more than it may, and closes all when it ends", async () => {
      await using(driver, { ...options(), pool: { max: 3 } }, async (client) => {
        const logins = Effect.runSync(local().loginCount)
        const rows = await Promise.all(Array.from({ length: 50 }, (_, n) => client.query("SELECT $1::int AS n", [n])))
        assert.deepStrictEqual(
          rows.map(([row]) => row!["n"]),
          Array.from({ length: 50 }, (_, n) => n)
        )
        assert.isAtMost(Effect.runSync(local().connectionCount), 3)
        assert.isAtMost(Effect.runSync(local().loginCount) - logins, 3)
      })
      await eventually(() => Effect.runSync(local().connectionCount) === 0)
      await quiet()
    })
  })
}

const credentialsOf = async ({ credentials }: Options) =>
  typeof credentials === "function" ? credentials() : credentials!
