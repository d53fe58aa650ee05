/**
 * Writes back the packages of other platforms that npm dropped from the lock file.
 *
 * npm drops an optional package that its registry cannot give it, which happens behind a registry that holds the packages
 * of one platform only, and then `npm ci` refuses its own lock file (npm/cli issue 9846). Name, exact version and platform
 * all stand in the package that asks for it; the checksum does not, so such an entry goes without.
 */
import { readFileSync, writeFileSync } from "node:fs"

interface Entry {
  readonly version?: string
  readonly dev?: boolean
  readonly peer?: boolean
  readonly optionalDependencies?: Record<string, string>
}

const file = new URL("../package-lock.json", import.meta.url)
const lock: { packages: Record<string, object> } = JSON.parse(readFileSync(file, "utf8"))

const systems = /(?<os>android|darwin|freebsd|linux|openbsd|openharmony|win32)-(?<cpu>[a-z0-9]+)(?:-(?<abi>gnu|musl))?/

const platformOf = (name: string): object => {
  const { os, cpu, abi } = systems.exec(name)?.groups ?? {}
  if (os === undefined || cpu === undefined) throw new Error(`${name} does not name its platform`)
  const libc = os === "linux" && abi !== undefined ? { libc: [abi === "gnu" ? "glibc" : "musl"] } : {}
  return { cpu: [cpu], os: [os], ...libc }
}

const missing = Object.entries(lock.packages).flatMap(([path, entry]: [string, Entry]) =>
  Object.entries(entry.optionalDependencies ?? {}).flatMap(([name, version]) =>
    `node_modules/${name}` in lock.packages || `${path}/node_modules/${name}` in lock.packages
      ? []
      : [{ path: `node_modules/${name}`, name, version, parent: entry }]
  )
)

for (const { path, name, version, parent } of missing) {
  if (!/^\d/.test(version)) throw new Error(`${name} is asked for as ${version}, not as one version`)
  lock.packages[path] = {
    version,
    ...(parent.dev === true ? { dev: true } : {}),
    ...(parent.peer === true ? { peer: true } : {}),
    optional: true,
    ...platformOf(name)
  }
}

writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`)
process.stdout.write(`${missing.length} packages written back\n`)
