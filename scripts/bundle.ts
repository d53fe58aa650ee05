/**
 * Writes the code of the package into `dist`: one file for each entry, and what entries share in chunks of their own. Node takes about half a millisecond for every module that it loads, which is what a cold start is
 * made of; what is imported late stays in files of its own.
 */
import { build } from "esbuild"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const { bin, exports } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
}

const outputs = Object.values(exports)
  .map((entry) => (typeof entry === "string" ? entry : entry.default))
  .concat(Object.values(bin))
  .filter((path) => path.endsWith(".js"))

const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: outputs.map((path) => path.replace(/^(?:\.\/)?dist\/(.*)\.js$/, "src/$1.ts")),
  outbase: "src",
  outdir: "dist",
  chunkNames: "chunks/[hash]",
  bundle: true,
  splitting: true,
  packages: "external",
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  sourcesContent: false,
  logLevel: "warning",
  write: false,
  // Or it would take the package's own names, which users import, for what is to be bundled.
  tsconfigRaw: { compilerOptions: { target: "ES2022", useDefineForClassFields: true } }
})
for (const { path, text } of outputFiles) {
  mkdirSync(dirname(path), { recursive: true })
  // No module does anything by being imported alone (`sideEffects`), and bundlers warn of imports that say otherwise.
  writeFileSync(path, path.endsWith(".js") ? text.replaceAll(/^import "\.[^"]*";$/gm, "") : text)
}
