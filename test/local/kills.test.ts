import { afterAll, describe, it } from "vitest"
import { deathsFrom, die } from "../support/kills.js"

/** Each way once; `npm run soak` does each fifty times. */
const rounds = process.env["DSQL_SOAK"] === undefined ? 9 : 450

describe("a cluster whose program dies", () => {
  const times: Array<number> = []
  afterAll(() => {
    const sorted = times.toSorted((a, b) => a - b)
    const [median, longest] = [sorted[Math.floor(sorted.length / 2)] ?? 0, sorted.at(-1) ?? 0]
    console.log(
      `${times.length} programs left nothing behind after ${median.toFixed(0)} ms (median), ${longest.toFixed(0)} ms at most`
    )
  })

  it.each(deathsFrom(20261124, rounds).map((death, n) => ({ n: n + 1, ...death })))(
    "leaves nothing behind: $n, $way, $moment and $after ms, kept data: $keepsData",
    { timeout: 60_000 },
    async (death) => void times.push(await die(death))
  )
})
