import { isPunctuation, isWord, type Token } from "./lexer.js"
import { isLockingClause, kindOf } from "./statementKind.js"
import type { Statement } from "./statements.js"

/**
 * What tells how a statement would have ended, without doing it. `query`: the same query without its locks, so its rows are
 * right. `count`: a query for the number of rows. `rows`: that number itself.
 */
export type Shadow =
  | { readonly _tag: "Query"; readonly sql: string }
  | { readonly _tag: "Count"; readonly sql: string; readonly verb: "UPDATE" | "DELETE" }
  | { readonly _tag: "Rows"; readonly rows: number }

type Tokens = ReadonlyArray<Token>

/**
 * The shadow of a statement; `undefined` where only doing it would tell: RETURNING, INSERT … SELECT, ON CONFLICT, writes
 * within WITH. Parameters keep their numbers.
 */
export const shadowOf = (statement: Statement): Shadow | undefined => {
  const { tokens } = statement
  const clauses = topLevelClauses(tokens)
  if (clauses.has("returning")) return undefined
  if (kindOf(tokens) === "lock" && !isWord(tokens[0], "explain")) {
    return { _tag: "Query", sql: withoutLockingClauses(statement) }
  }
  if (isWord(tokens[0], "update")) return shadowOfUpdate(statement, clauses)
  if (isWord(tokens[0], "delete")) return shadowOfDelete(statement, clauses)
  return isWord(tokens[0], "insert") ? shadowOfInsert(tokens, clauses) : undefined
}

const clauseWords = ["set", "from", "using", "where", "returning", "values", "default", "on"] as const

/** Where the clauses of the statement itself begin, by the index of their first token. */
const topLevelClauses = (tokens: Tokens): ReadonlyMap<string, number> => {
  const clauses = new Map<string, number>()
  let depth = 0
  for (const [index, token] of tokens.entries()) {
    if (isPunctuation(token, "(")) depth++
    else if (isPunctuation(token, ")")) depth--
    else if (depth === 0) {
      const previous = tokens[index - 1]
      // DELETE FROM, a column of that name, IS DISTINCT FROM.
      const isNone = index < 2 || isPunctuation(previous, ".") || isWord(previous, "distinct")
      const word = isNone ? undefined : clauseWords.find((word) => isWord(token, word))
      if (word !== undefined && !clauses.has(word)) clauses.set(word, index)
    }
  }
  return clauses
}

/** The source between two tokens, the second not included. */
const textBetween = ({ start, text, tokens }: Statement, from: number, to: number): string => {
  const last = tokens[to - 1]
  const first = tokens[from]
  if (first === undefined || last === undefined || to <= from) return ""
  return text.slice(first.start - start, last.start + last.text.length - start)
}

const shadowOfUpdate = (statement: Statement, clauses: ReadonlyMap<string, number>): Shadow | undefined => {
  const set = clauses.get("set")
  if (set === undefined) return undefined
  return countOf("UPDATE", statement, { target: [1, set], more: clauses.get("from"), where: clauses.get("where") })
}

const shadowOfDelete = (statement: Statement, clauses: ReadonlyMap<string, number>): Shadow | undefined => {
  const [more, where] = [clauses.get("using"), clauses.get("where")]
  return countOf("DELETE", statement, { target: [2, more ?? where ?? statement.tokens.length], more, where })
}

interface Parts {
  readonly target: readonly [from: number, to: number]
  /** Where the tables begin that the target is joined with. */
  readonly more: number | undefined
  readonly where: number | undefined
}

const countOf = (
  verb: "UPDATE" | "DELETE",
  statement: Statement,
  { more, target, where }: Parts
): Shadow | undefined => {
  const end = statement.tokens.length
  const [from, to] = target
  const name = statement.tokens[to - 1]
  // WHERE CURRENT OF a cursor; `table *`.
  if (name === undefined || isWord(statement.tokens[(where ?? end) + 1], "current") || name.kind === "operator")
    return undefined
  const joined = more === undefined ? "" : `, ${textBetween(statement, more + 1, where ?? end)}`
  const condition = where === undefined ? "" : ` ${textBetween(statement, where, end)}`
  // A row counts once, however many rows it is joined with.
  const count = more === undefined ? "count(*)" : `count(DISTINCT ${name.text}.ctid)`
  return { _tag: "Count", verb, sql: `SELECT ${count} FROM ${textBetween(statement, from, to)}${joined}${condition}` }
}

const shadowOfInsert = (tokens: Tokens, clauses: ReadonlyMap<string, number>): Shadow | undefined => {
  const values = clauses.get("values")
  if (clauses.has("on")) return undefined
  if (clauses.has("default") && values !== undefined) return { _tag: "Rows", rows: 1 }
  if (values === undefined) return undefined
  let depth = 0
  let rows = 0
  for (const token of tokens.slice(values + 1)) {
    if (isPunctuation(token, "(") && depth++ === 0) rows++
    if (isPunctuation(token, ")")) depth--
  }
  return { _tag: "Rows", rows }
}

/** Each clause becomes blanks, so that positions stay right. */
const withoutLockingClauses = ({ start, text, tokens }: Statement): string => {
  let sql = text
  for (let from = 0; from < tokens.length; from++) {
    if (!isLockingClause(tokens, from)) continue
    const to = endOfLockingClause(tokens, from)
    const first = tokens[from]!.start - start
    const last = tokens[to - 1]!
    const end = last.start + last.text.length - start
    sql = sql.slice(0, first) + " ".repeat(end - first) + sql.slice(end)
  }
  return sql
}

const isAnyWord = (token: Token | undefined, words: ReadonlyArray<string>): boolean =>
  words.some((word) => isWord(token, word))

/** FOR [NO KEY] UPDATE | [KEY] SHARE, OF and its tables, NOWAIT or SKIP LOCKED. */
const endOfLockingClause = (tokens: Tokens, from: number): number => {
  let at = from + 1
  while (isAnyWord(tokens[at], ["no", "key"])) at++
  at++
  if (isWord(tokens[at], "of")) {
    do at += 2
    while (isPunctuation(tokens[at], ",") || isPunctuation(tokens[at], "."))
  }
  while (isAnyWord(tokens[at], ["nowait", "skip", "locked"])) at++
  return at
}
