import { isPunctuation, isWord, type Token } from "./lexer.js"
import type { Statement } from "./statements.js"

/**
 * What Aurora DSQL has and PostgreSQL's grammar has not. `async` is the word without which the statement is PostgreSQL's;
 * the statements about IAM are the service's from end to end.
 */
export type Spelling =
  | { readonly _tag: "IndexAsync"; readonly async: Token }
  | { readonly _tag: "AlterTableAsync"; readonly async: Token }
  | { readonly _tag: "IamGrant" }
  | { readonly _tag: "IamRevoke" }

type Tokens = ReadonlyArray<Token>

/** In which of the service's own ways a statement is spelled; `undefined` for PostgreSQL's. */
export const spellingOf = ({ tokens }: Pick<Statement, "tokens">): Spelling | undefined =>
  asyncIndex(tokens) ?? asyncAlterTable(tokens) ?? iamStatement(tokens)

/** `CREATE [UNIQUE] INDEX ASYNC …`: to PostgreSQL, ASYNC would be the name of the index. A quoted "async" is one. */
const asyncIndex = (tokens: Tokens): Spelling | undefined => {
  if (!isWord(tokens[0], "create")) return undefined
  const at = isWord(tokens[1], "unique") ? 2 : 1
  const async = tokens[at + 1]
  return isWord(tokens[at], "index") && async !== undefined && isWord(async, "async")
    ? { _tag: "IndexAsync", async }
    : undefined
}

/** `ALTER TABLE ASYNC name …`, which is not a table of that name if another name follows. */
const asyncAlterTable = (tokens: Tokens): Spelling | undefined => {
  const [alter, table, async, next] = tokens
  if (!isWord(alter, "alter") || !isWord(table, "table") || async === undefined || !isWord(async, "async")) {
    return undefined
  }
  const isName = next === undefined || isPunctuation(next, ".") || next.text === "*" || actions.some(startsWith(next))
  return isName ? undefined : { _tag: "AlterTableAsync", async }
}

const startsWith =
  (token: Token) =>
  (word: string): boolean =>
    isWord(token, word)

/** What an action of ALTER TABLE may begin with. */
const actions = (
  "add alter attach cluster detach disable drop enable force inherit no not of owner rename replica reset set " +
  "validate"
).split(" ")

const iamStatement = ([aws, iam, verb]: Tokens): Spelling | undefined => {
  if (!isWord(aws, "aws") || !isWord(iam, "iam")) return undefined
  if (isWord(verb, "grant")) return { _tag: "IamGrant" }
  return isWord(verb, "revoke") ? { _tag: "IamRevoke" } : undefined
}

/**
 * The statement in PostgreSQL's spelling, as long as it was, so that every other part keeps its place; `undefined` if it has
 * none.
 */
export const plainText = (statement: Statement, spelling = spellingOf(statement)): string | undefined => {
  if (spelling === undefined) return statement.text
  if (!("async" in spelling)) return undefined
  const { start, text } = spelling.async
  const at = start - statement.start
  return statement.text.slice(0, at) + " ".repeat(text.length) + statement.text.slice(at + text.length)
}
