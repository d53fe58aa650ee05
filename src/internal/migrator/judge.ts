/** What DSQL would refuse, by the rules of the local cluster on the tree of PostgreSQL's own grammar. */
import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import { judgeTree } from "../../core/rules/judge.js"
import type { Refusal } from "../../core/rules/rule.js"
import { plainText, spellingOf } from "../../core/spellings.js"
import type { ScriptStatement } from "../../core/script.js"
import { DsqlConfigError } from "../../Errors.js"

/** What is wrong with a statement, if anything is. */
export interface Finding {
  /** The rule by which it is refused; `undefined` for what PostgreSQL's grammar does not know. */
  readonly rule: string | undefined
  readonly sqlState: string
  readonly message: string
}

export type Judge = (statement: ScriptStatement) => Finding | undefined

const require = createRequire(import.meta.url)

const missing = (cause: unknown) => {
  const { peerDependencies } = require("../../../package.json") as { peerDependencies: Record<string, string> }
  const name = "libpg-query"
  return new DsqlConfigError({
    reason: "Missing",
    option: name,
    detail: `is needed to read SQL as the service does: npm i -D "${name}@${peerDependencies[name]}"`,
    cause
  })
}

type Library = Pick<typeof import("libpg-query"), "loadModule" | "parseSync">

const found = ({ message, rule, sqlState }: Refusal): Finding => ({ rule: rule.id, sqlState, message })

/** Loads the grammar, an optional peer. */
export const loadJudge: Effect.Effect<Judge, DsqlConfigError> = Effect.tryPromise({
  try: async () => {
    const library = require("libpg-query") as Library
    await library.loadModule()
    return (statement: ScriptStatement): Finding | undefined => {
      const spelling = spellingOf(statement)
      const plain = plainText(
        { start: statement.tokens[0]!.start, text: statement.text, tokens: statement.tokens },
        spelling
      )
      if (plain === undefined) return undefined
      try {
        const { stmts } = library.parseSync(plain) as { readonly stmts?: ReadonlyArray<{ readonly stmt: object }> }
        // A statement is an object with one key, the type of its node.
        const [node] = Object.entries(stmts?.[0]?.stmt ?? {}) as ReadonlyArray<readonly [string, object]>
        const refusal =
          node === undefined
            ? undefined
            : judgeTree({ type: node[0], body: node[1] }, statement.tokens, spelling).refusal
        return refusal === undefined ? undefined : found(refusal)
      } catch (error) {
        return { rule: undefined, sqlState: "42601", message: error instanceof Error ? error.message : String(error) }
      }
    }
  },
  catch: missing
})
