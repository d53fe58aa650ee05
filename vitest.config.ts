import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import type { Reporter } from "vitest/node"
import { defineConfig } from "vitest/config"

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

let summary = ""

/** Ends every run with one line that can be read without knowing vitest. */
const counts: Reporter = {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const inState = (state: string): number => tests.filter((test) => test.result().state === state).length
    // Such a file failed outside its tests, while loading or in a hook, and would not be counted otherwise.
    const brokenFiles = modules.filter(
      (module) => module.state() === "failed" && [...module.children.allTests("failed")].length === 0
    )
    const failed = inState("failed") + brokenFiles.length + unhandledErrors.length
    summary = `${inState("passed")} passed, ${failed} failed, ${inState("skipped")} skipped\n`
  }
}

// The built-in reporter prints its own summary after the hook above.
process.once("exit", () => process.stdout.write(summary))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-dsql$/, replacement: source("index.ts") },
      { find: /^effect-dsql\/(pg|postgres)$/, replacement: `${source("adapters/")}$1.ts` },
      { find: /^effect-dsql\/(.+)$/, replacement: `${source("")}$1.ts` }
    ]
  },
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Much of the time is spent waiting for processes and clocks; vitest would take one worker on two processors.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    minWorkers: 1,
    reporters: ["default", counts],
    projects: [
      {
        extends: true,
        test: {
          name: "library",
          include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: ["test/package.test.ts"]
        }
      },
      {
        extends: true,
        // It builds, packs and installs: last and alone, or it would slow tests that measure time.
        test: { name: "package", include: ["test/package.test.ts"], sequence: { groupOrder: 1 } }
      }
    ]
  }
})
