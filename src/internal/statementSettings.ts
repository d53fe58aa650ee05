/** How every statement constructor of a client is made: its compiler, the spans and the names of its rows. */
import type { Resolved } from "../Config.js"
import { makeCompiler } from "./compiler.js"
import { renameRows } from "./names.js"

const spanAttributesOf = (config: Resolved): ReadonlyArray<readonly [string, unknown]> => [
  ...Object.entries(config.spanAttributes ?? {}),
  ["db.system.name", "postgresql"],
  ["db.namespace", config.database],
  ["server.address", config.host],
  ["server.port", config.port]
]

export const statementSettings = (config: Resolved) => ({
  compiler: makeCompiler(config),
  spanAttributes: spanAttributesOf(config),
  transformRows:
    config.transformResultNames === undefined
      ? undefined
      : renameRows(config.transformResultNames, config.transformJson !== false)
})
