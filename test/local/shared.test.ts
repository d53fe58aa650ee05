import { afterAll, expect, it } from "vitest"
import { fileURLToPath } from "node:url"
import { type Program, startProgram } from "../support/program.js"

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

let run: Program
afterAll(() => run.cleanUp())

it("one cluster serves all test files of a run, and goes with it", { timeout: 120_000 }, async () => {
  const config = path("shared/vitest.config.ts")
  run = startProgram([path("../../node_modules/vitest/vitest.mjs"), "run", "--config", config], {
    // What the run around this one has set for its own workers.
    VITEST: undefined,
    VITEST_POOL_ID: undefined,
    VITEST_WORKER_ID: undefined,
    NODE_ENV: undefined
  })
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
