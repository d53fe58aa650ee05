import { backoff } from "../../src/core/backoff.js"
import type { Policy } from "./simulation.js"

const deadline = 60_000

export const fullJitter = (base: number, cap: number): Policy => ({
  name: `full jitter, ${base} to ${cap} ms`,
  deadline,
  waitAfter: (attempts, random) => backoff(attempts, base, cap, random)
})

/** What `@aws/aurora-dsql-node-postgres-connector` 0.1.9 does: 1 ms doubled up to 100 ms, up to a quarter more. */
const connector = (retries: number): Policy => ({
  name: `AWS's connector, ${retries} retries`,
  deadline: Infinity,
  waitAfter: (attempts, random) =>
    attempts > retries ? undefined : Math.min(100, 2 ** (attempts - 1)) * (1 + random / 4)
})

/** Its default, and the most it can be told to do. */
export const connectorDefault = connector(3)
export const connectorMost = connector(100)

export const atOnce: Policy = { name: "at once", deadline, waitAfter: () => 0 }

/** What our defaults are chosen from. */
export const candidates: ReadonlyArray<Policy> = [1, 2, 5, 10, 20, 50].flatMap((base) =>
  [50, 100, 250, 500, 1000, 5000].map((cap) => fullJitter(base, cap))
)
