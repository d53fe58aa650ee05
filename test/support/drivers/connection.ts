/** How a client comes to its connections, and what it says when it does not. */
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { Effect } from "effect"
import type { Options } from "effect-dsql/pg"
import { connectionLost } from "effect-dsql/Testing"
import { assert, describe, it } from "vitest"
import { formsOf, show } from "../leaks.js"
import { type Driver, failure, type Surroundings, using } from "./driver.js"

const foreign = readFileSync(new URL("../../fixtures/foreign-ca.pem", import.meta.url), "utf8")

export const connectionSuite = (driver: Driver, { local, options, quiet }: Surroundings): void => {
  /** What opening a client and asking it something fails with; nothing of it may stay open. */
  const refusal = async (change: Options) => {
    const error = await failure(using(driver, { ...options(), ...change }, ({ query }) => query("SELECT 1 AS one")))
    await quiet()
    return error
  }

  describe(`a connection of ${driver.name}`, () => {
    it.each(["direct", "postgres"] as const)("logs in with a token over TLS (%s)", async (negotiation) => {
      const { tls } = options()
      const changed = { ...options(), tls: { ...tls, negotiation }, applicationName: "orders" }
      const rows = await using(driver, changed, ({ query }) =>
        query("SELECT current_user AS who, current_setting('application_name') AS app")
      )
      assert.strictEqual(rows[0]!["who"], "admin")
      assert.match(String(rows[0]!["app"]), /^orders:effect-dsql\//)
    })

    it("starts with the settings of `session`", async () => {
      const changed = { ...options(), session: { search_path: "archive", TimeZone: "Asia/Tokyo" } }
      const rows = await using(driver, changed, ({ query }) =>
        query("SELECT current_setting('search_path') AS path, current_setting('timezone') AS zone")
      )
      assert.deepStrictEqual({ ...rows[0] }, { path: "archive", zone: "Asia/Tokyo" })
    })

    it("with a wrong secret is denied, without a word of it", async () => {
      const secret = `not-${randomUUID()}`
      const { accessKeyId } = local().credentials
      const error = await refusal({ credentials: { accessKeyId, secretAccessKey: secret } })
      assert(error._tag === "DsqlAuthenticationError", String(error))
      assert.deepStrictEqual([error.reason, error.sqlState, error.user], ["AccessDenied", "08006", "admin"])
      assert.strictEqual(error.host, local().endpoint)
      for (const form of formsOf(secret)) assert.notInclude(show(error), form)
      assert.notInclude(show(error), "X-Amz-Signature")
    })

    it("as a role that is not there says so", async () => {
      const error = await refusal({ user: "nobody_knows" })
      assert(error._tag === "DsqlAuthenticationError", String(error))
      assert.strictEqual(error.reason, "UnknownRole")
    })

    it("for a region that contradicts the host is refused before anything is dialled", async () => {
      const before = Effect.runSync(local().loginCount)
      const error = await refusal({ region: "eu-west-1" })
      assert(error._tag === "DsqlRegionError", String(error))
      assert.deepStrictEqual([error.reason, error.region, error.hostRegion], ["Mismatch", "eu-west-1", "us-east-1"])
      assert.strictEqual(Effect.runSync(local().loginCount), before)
    })

    it("in another region than its cluster fails at TLS", async () => {
      const error = await refusal({ host: local().clusterId, region: "eu-west-1" })
      assert(error._tag === "DsqlConnectionError", String(error))
      assert.strictEqual(error.reason, "Tls")
    })

    it("without credentials says so before anything is dialled", async () => {
      const cause = Object.assign(new Error("no providers"), { name: "CredentialsProviderError" })
      const error = await refusal({ credentials: () => Promise.reject(cause), hostaddr: "127.0.0.1", port: 1 })
      assert(error._tag === "DsqlCredentialsError", String(error))
      assert.strictEqual(error.cause, cause)
    })

    it.each([
      ["Refused", { port: 1 }],
      ["Dns", { hostaddr: "no-such-host.invalid" }],
      ["Tls", { tls: { ca: foreign } }],
      ["Tls", { tls: { ca: foreign, negotiation: "postgres" } }]
    ] as const)("that cannot be had says why: %s (%#)", async (reason, change) => {
      const error = await refusal(change)
      assert(error._tag === "DsqlConnectionError", String(error))
      assert.strictEqual(error.reason, reason)
    })

    it("with options that cannot be right is refused", async () => {
      const error = await refusal({ pool: { max: 0 } })
      assert(error._tag === "DsqlConfigError", String(error))
      assert.strictEqual(error.option, "pool.max")
    })

    it("that is cut leaves nothing behind when the client ends", async () => {
      const error = await using(driver, { ...options(), pool: { max: 1 } }, async ({ query }) => {
        await query("SELECT 1 AS one")
        await Effect.runPromise(local().failNext("statement", connectionLost()))
        return failure(query("SELECT 2 AS two"))
      })
      assert(error._tag === "DsqlConnectionError", String(error))
      assert.deepStrictEqual([error.reason, error.outcomeUnknown, error.isRetryable], ["Closed", true, false])
      await quiet()
    })
  })
}
