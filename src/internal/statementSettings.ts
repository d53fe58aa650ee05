/** How every statement constructor of a client is made: its compiler, the spans and the names of its rows. */
import type { Resolved } from "../Config.js"
import { makeCompiler } from "./compiler.js"
import { renameRows } from "./names.js"
import { spanAttributes } from "./spans.js"

export const statementSettings = (config: Resolved) => ({
  compiler: makeCompiler(config),
  spanAttributes: spanAttributes(config),
  transformRows:
    config.transformResultNames === undefined
      ? undefined
      : renameRows(config.transformResultNames, config.transformJson !== false)
})
