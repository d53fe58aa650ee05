import { afterAll, expect, it } from "vitest"
import { fileURLToPath } from "node:url"
import { startVitest } from "../support/nestedVitest.js"
import type { Program } from "../support/program.js"

let run: Program
afterAll(() => run.cleanUp())

it("one cluster serves all test files of a run, and goes with it", { timeout: 120_000 }, async () => {
  run = startVitest(fileURLToPath(new URL("shared/vitest.config.ts", import.meta.url)))
  const { code } = await run.exited
  expect([code, run.errors()]).toEqual([0, ""])

  const visits = [...run.output().matchAll(/^visit (.+)$/gm)].map(
    ([, line = ""]) =>
      JSON.parse(line) as { schema: string; pid: number; started: string; clusters: ReadonlyArray<string> }
  )
  expect(visits.map(({ schema }) => schema).toSorted()).toEqual(["orders", "stock"])
  const [one, two] = visits
  expect(one!.pid).not.toBe(two!.pid)
  expect(one!.started).toBe(two!.started)
  expect(one!.clusters).toHaveLength(1)
  expect(two!.clusters).toEqual(one!.clusters)
  expect(run.leftovers()).toEqual([])
})
