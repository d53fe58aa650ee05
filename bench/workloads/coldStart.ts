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

/** Builds all programs on the package as it was built, as one file each, or with everything imported as it is installed. */
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
    await build({
      ...common,
      external: ["pg-native"],
      minify: true,
      // Packages in the older format ask for modules of Node in the older way.
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url)' },
      outfile: join(output, `bundled/${name}.mjs`)
    })
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

const coldStart = (bundling: "bundled" | "unbundled"): Workload => ({
  name: bundling === "bundled" ? "coldStartBundled" : "coldStartUnbundled",
  title: `Cold start to the first row, ${bundling}`,
  metrics: [{ name: "milliseconds", unit: "ms", better: "less" }],
  circumstances: [{}],
  takesPart: ({ program }) => program !== undefined,
  runsIn: "runner",
  measure: async ({ program }, place) => ({
    milliseconds: await start(join(output, `${bundling}/${program!}.mjs`), place)
  })
})

export const coldStarts: ReadonlyArray<Workload> = [coldStart("bundled"), coldStart("unbundled")]
