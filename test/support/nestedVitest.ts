/** Runs of vitest inside of a test. */
import { fileURLToPath } from "node:url"
import { defineConfig, type ViteUserConfig } from "vitest/config"
import { type Program, startProgram } from "./program.js"

const source = fileURLToPath(new URL("../../src/", import.meta.url))

/** The configuration of a folder, whose tests have other names than those that run by themselves. */
export const nestedConfig = (config: string, test: ViteUserConfig["test"] = {}): ViteUserConfig =>
  defineConfig({
    resolve: {
      alias: [
        { find: /^effect-dsql$/, replacement: `${source}index.ts` },
        { find: /^effect-dsql\/(.+)$/, replacement: `${source}$1.ts` }
      ]
    },
    test: {
      root: fileURLToPath(new URL(".", config)),
      include: ["*.case.ts"],
      hookTimeout: 60_000,
      testTimeout: 30_000,
      ...test
    }
  })

export const startVitest = (
  config: string,
  environment: Readonly<Record<string, string>> = {},
  options?: Parameters<typeof startProgram>[2]
): Program =>
  startProgram(
    [fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url)), "run", "--config", config],
    {
      // What the run around this one has set for its own workers.
      VITEST: undefined,
      VITEST_POOL_ID: undefined,
      VITEST_WORKER_ID: undefined,
      NODE_ENV: undefined,
      ...environment
    },
    options
  )
