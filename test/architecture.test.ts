import { readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"
import { version } from "../src/internal/version.js"

const root = fileURLToPath(new URL("..", import.meta.url))

const sources = readdirSync(`${root}/src`, { recursive: true, encoding: "utf8" })
  .map((path) => posix.join("src", path.replaceAll("\\", "/")))
  .filter((path) => path.endsWith(".ts"))

/**
 * Every module named by an import or a re-export, of values or of types, static or dynamic. A line-based reading is
 * enough because the formatter has fixed the shape of these statements.
 */
const importsOf = (text: string): ReadonlyArray<string> => {
  const code = text.replaceAll(/^\s*(?:\/\/|\/\*|\*).*$/gm, "")
  const clause = String.raw`(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\}|\w+(?:,\s*(?:\{[^}]*\}|\*\s+as\s+\w+))?)\s+from\s+`
  const statement = new RegExp(String.raw`^\s*(?:import|export)\s+(?:${clause})?"([^"]+)"`, "gm")
  const dynamic = /\bimport\(\s*["'`]([^"'`]+)["'`]/g
  return [statement, dynamic].flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ""))
}

/** A path from the root for one of our own modules, the name of the package for everything else. */
const resolveImport = (from: string, specifier: string): string =>
  specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier).replace(/\.js$/, ".ts") : specifier

type Part = "core" | "local" | "client" | "Layer" | "Local" | "Testing" | "index" | "cli" | "adapters" | "package"

const partOf = (target: string): Part => {
  if (!target.startsWith("src/")) return "package"
  if (target.startsWith("src/core/")) return "core"
  if (target.startsWith("src/local/")) return "local"
  if (target.startsWith("src/cli/")) return "cli"
  if (target.startsWith("src/adapters/")) return "adapters"
  if (target === "src/Testing.ts" || target.startsWith("src/testing/")) return "Testing"
  if (target === "src/Layer.ts") return "Layer"
  if (/^src\/Local\w*\.ts$/.test(target)) return "Local"
  if (target === "src/index.ts") return "index"
  return "client"
}

/** What each part may import. The index leaves `Local` and `Testing` out: who does not ask for them does not load them. */
const mayImport: Record<Exclude<Part, "package">, ReadonlyArray<Part>> = {
  core: ["core"],
  local: ["core", "local", "package"],
  client: ["core", "client", "package"],
  Layer: ["core", "client", "package"],
  Local: ["core", "local", "client", "Layer", "Local", "package"],
  Testing: ["core", "client", "Testing", "package"],
  index: ["client", "Layer"],
  cli: ["core", "local", "client", "Layer", "Local", "index", "cli", "package"],
  adapters: ["core", "client", "Layer", "adapters", "package"]
}

const isEffect = (target: string): boolean => /^(?:effect|@effect\/[^/]+)(?:\/|$)/.test(target)

const violation = (file: string, target: string): string | undefined => {
  const part = partOf(file)
  if (part === "package") return undefined
  if (!mayImport[part].includes(partOf(target))) return `${file} (${part}) imports ${target} (${partOf(target)})`
  if (part === "local" && isEffect(target)) return `${file} imports ${target}: the local cluster has no Effect`
  return undefined
}

describe("importsOf", () => {
  it("finds every kind of import and no other string", () => {
    const text = [
      `import * as Effect from "effect/Effect"`,
      `import type { Scope } from "effect/Scope"`,
      `import {`,
      `  a,`,
      `  type B`,
      `} from "./several.js"`,
      `import Default, { c } from "./both.js"`,
      `import "./effects.js"`,
      `export * as D from "./namespace.js"`,
      `export type { E } from "./types.js"`,
      ` * import { no } from "./documentation.js"`,
      `// import { no } from "./comment.js"`,
      "export const statement = sql`SELECT a",
      `  from "owner"`,
      "`",
      `const lazy = () => import("./lazy.js")`,
      `type F = import("./type.js").F`
    ].join("\n")
    assert.deepStrictEqual(importsOf(text), [
      "effect/Effect",
      "effect/Scope",
      "./several.js",
      "./both.js",
      "./effects.js",
      "./namespace.js",
      "./types.js",
      "./lazy.js",
      "./type.js"
    ])
  })
})

describe("imports", () => {
  it("run from core over the client modules to the layers and the command, never back", () => {
    const violations = sources.flatMap((file) =>
      importsOf(readFileSync(`${root}/${file}`, "utf8")).flatMap(
        (specifier) => violation(file, resolveImport(file, specifier)) ?? []
      )
    )
    assert.deepStrictEqual(violations, [])
  })

  it("would be refused the other way round", () => {
    const refused = [
      ["src/core/a.ts", "effect/Effect"],
      ["src/core/a.ts", "pg"],
      ["src/core/a.ts", "node:fs"],
      ["src/core/a.ts", "src/Config.ts"],
      ["src/local/a.ts", "effect/Effect"],
      ["src/local/a.ts", "@effect/platform"],
      ["src/local/a.ts", "src/Auth.ts"],
      ["src/Client.ts", "src/Layer.ts"],
      ["src/Client.ts", "src/local/a.ts"],
      ["src/Layer.ts", "src/Local.ts"],
      ["src/Client.ts", "src/testing/a.ts"],
      ["src/Testing.ts", "src/Local.ts"],
      ["src/testing/a.ts", "src/local/a.ts"],
      ["src/index.ts", "src/Local.ts"],
      ["src/index.ts", "src/Testing.ts"],
      ["src/Local.ts", "src/cli/main.ts"],
      ["src/Client.ts", "src/adapters/pg.ts"],
      ["src/index.ts", "src/adapters/pg.ts"],
      ["src/adapters/pg.ts", "src/local/a.ts"]
    ] as const
    const allowed = refused.filter(([file, target]) => violation(file, target) === undefined)
    assert.deepStrictEqual(allowed, [])
  })
})

describe("version", () => {
  it("is that of package.json", () => {
    assert.strictEqual(version, JSON.parse(readFileSync(`${root}/package.json`, "utf8")).version)
  })
})
