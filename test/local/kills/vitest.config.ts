import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = fileURLToPath(new URL("../../../src/", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-dsql$/, replacement: `${source}index.ts` },
      { find: /^effect-dsql\/(.+)$/, replacement: `${source}$1.ts` }
    ]
  },
  test: {
    root: fileURLToPath(new URL(".", import.meta.url)),
    include: ["*.case.ts"],
    testTimeout: 60_000
  }
})
