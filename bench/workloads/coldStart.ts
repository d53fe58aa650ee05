/** From the start of a process to its first row, of a program as small as it gets. */
import { build, type BuildOptions } from "esbuild"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { contenders } from "../contenders/all.js"
import { tokenFor } from "../contenders/token.js"
import type { Place, Workload } from "../workload.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
/** Inside of the package, so that its modules and those it depends on are found as they are installed. */
const output = join(root, "dist/bench")

const programs = contenders.flatMap(({ program }) => program ?? [])

const forms = {
  bundled: "bundled in one file",
  chunks: "bundled in chunks, from ES modules",
  unbundled: "unbundled"
}
type Form = keyof typeof forms

/**
 * Builds all programs on the package as it was built: as one file each; as our documentation advises, in chunks and from ES
 * modules where a package has them; and with everything imported as it is installed.
 */
export const buildColdStarts = async (): Promise<void> => {
  for (const name of programs) {
    const common: BuildOptions = {
      entryPoints: [join(root, `bench/cold/${name}.ts`)],
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      logLevel: "error",
      // Otherwise it would take the sources of this checkout for the package.
      tsconfigRaw: {}
    }
    await build({ ...common, packages: "external", outfile: join(output, `unbundled/${name}.mjs`) })
    const bundled: BuildOptions = {
      ...common,
      external: ["pg-native"],
      minify: true,
      outExtension: { ".js": ".mjs" },
      // Packages in the older format ask for modules of Node in the older way.
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url)' }
    }
    await build({ ...bundled, outdir: join(output, "bundled") })
    await build({ ...bundled, splitting: true, mainFields: ["module", "main"], outdir: join(output, "chunks") })
  }
}

export const removeColdStarts = (): void => rmSync(output, { recursive: true, force: true })

const start = async (program: string, { access }: Place): Promise<number> => {
  if (!existsSync(program)) throw new Error(`${program} has not been built`)
  const environment = { ...process.env, BENCH_ACCESS: JSON.stringify(access), BENCH_TOKEN: await tokenFor(access) }
  const began = performance.now()
  const child = spawn(process.execPath, [program], { env: environment, stdio: ["ignore", "pipe", "inherit"] })
  const ended = once(child, "close") as Promise<[code: number | null]>
  const [line] = (await Promise.race([once(child.stdout, "data"), ended])) as [unknown]
  const elapsed = performance.now() - began
  const [code] = await ended
  if (code !== 0 || String(line) !== "1 row\n") throw new Error(`${program} ended with ${code}, said ${String(line)}`)
  return elapsed
}

const coldStart = (name: string, form: Form): Workload => ({
  name,
  title: `Cold start to the first row, ${forms[form]}`,
  metrics: [{ name: "milliseconds", unit: "ms", better: "less" }],
  circumstances: [{}],
  takesPart: ({ program }) => program !== undefined,
  runsIn: "runner",
  measure: async ({ program }, place) => ({
    milliseconds: await start(join(output, `${form}/${program!}.mjs`), place)
  })
})

export const coldStarts: ReadonlyArray<Workload> = [
  coldStart("coldStartBundled", "bundled"),
  coldStart("coldStartChunks", "chunks"),
  coldStart("coldStartUnbundled", "unbundled")
]
