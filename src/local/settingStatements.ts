import { identifierName, isWord, type Token } from "../core/lexer.js"
import type { Statement } from "../core/statements.js"
import { ownSettings, storedSetting } from "./catalogs.js"
import { hiddenSchema } from "./systemSchema.js"

/** SHOW, SET and RESET of a setting that is not PostgreSQL's, or has another value there. */
export const settingCallOf = (statement: Statement): string | undefined => {
  const { start, text, tokens } = statement
  const [first, second, third] = tokens
  if (isWord(first, "show")) {
    const name = tokens.length === 2 ? ownSetting(second) : undefined
    return name === undefined ? undefined : `SELECT * FROM ${hiddenSchema}.show('${name}') AS t(${name})`
  }
  if (first === undefined || !(isWord(first, "set") || isWord(first, "reset"))) return undefined
  const token = isWord(second, "session") || isWord(second, "local") ? third : second
  if (token === undefined || ownSetting(token) !== "disable_sync_create_index") return undefined
  const last = tokens.at(-1)!
  const at = token.start - start
  return (
    text.slice(first.start - start, at) +
    storedSetting +
    text.slice(at + token.text.length, last.start + last.text.length - start)
  )
}

const ownSetting = (token: Token | undefined): string | undefined => {
  const name = token === undefined ? undefined : identifierName(token)?.toLowerCase()
  return name !== undefined && ownSettings.has(name) ? name : undefined
}
