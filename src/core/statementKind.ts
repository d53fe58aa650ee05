import { identifierName, isPunctuation, isWord, type Token } from "./lexer.js"

/**
 * What a statement does to a transaction. `read`: nothing, unless a function that it calls does. `lock`: it locks rows
 * without writing them. `write`: it may do both. `copyIn`: it writes what the client sends behind it. `session`: it changes
 * the session and no row. `unknown`: it might do anything.
 */
export type StatementKind =
  | "empty"
  | "begin"
  | "commit"
  | "rollback"
  | "savepoint"
  | "session"
  | "read"
  | "lock"
  | "write"
  | "copyIn"
  | "ddl"
  | "unknown"

type Tokens = ReadonlyArray<Token>

/** By the first word, where that is enough. */
const kindsByWord: ReadonlyMap<string, StatementKind> = new Map(
  (
    [
      ["session", "set reset show discard listen unlisten notify declare close prepare deallocate load"],
      ["session", "vacuum analyze analyse checkpoint"],
      ["read", "fetch move"],
      ["savepoint", "savepoint release"],
      ["write", "insert update delete merge"],
      ["ddl", "create alter drop grant revoke comment truncate reindex refresh cluster security reassign import"]
    ] as const
  ).flatMap(([kind, words]) => words.split(" ").map((word) => [word, kind] as const))
)

/** The kind of a statement by its tokens that mean something. */
export const kindOf = (tokens: Tokens): StatementKind => {
  const [first, second] = tokens
  if (first === undefined) return "empty"
  switch (wordOf(first)) {
    case "begin":
      return "begin"
    case "start":
      return isWord(second, "transaction") ? "begin" : "unknown"
    case "commit":
    case "end":
      return isWord(second, "prepared") ? "unknown" : "commit"
    case "rollback":
    case "abort":
      if (isWord(second, "prepared")) return "unknown"
      return tokens.some((token) => isWord(token, "to")) ? "savepoint" : "rollback"
    case "explain":
      return kindOfExplain(tokens)
    case "copy":
      return kindOfCopy(tokens)
    case "with":
    case "select":
    case "values":
    case "table":
    case "(":
      return kindOfQuery(tokens)
    default:
      return kindsByWord.get(wordOf(first)) ?? "unknown"
  }
}

/** In lower case; for a token that is no word, the token itself. */
const wordOf = ({ text }: Token): string => text.toLowerCase()

/** Those that stand in no parentheses. */
const topLevel = (tokens: Tokens): Tokens => {
  let depth = 0
  return tokens.filter((token) => {
    if (isPunctuation(token, "(")) return depth++ === 0
    if (isPunctuation(token, ")")) return --depth === 0
    return depth === 0
  })
}

const writingVerbs: ReadonlySet<string> = new Set(["insert", "update", "delete", "merge"])
const readingVerbs: ReadonlySet<string> = new Set(["select", "values", "table"])
const isVerb = (token: Token | undefined, verbs: ReadonlySet<string>): boolean =>
  token?.kind === "identifier" && verbs.has(wordOf(token))

/** Behind a dot or AS even a reserved word is only a name. */
const isNameBehind = (token: Token | undefined): boolean => isPunctuation(token, ".") || isWord(token, "as")

const kindOfQuery = (tokens: Tokens): StatementKind => {
  // In the local cluster this stands in the place of SHOW, or of a statement that starts a job.
  if (isWord(tokens[2], "from") && isWord(tokens[3], "_dsql")) return isWord(tokens[5], "show") ? "session" : "ddl"
  const outer = topLevel(tokens)
  if (isWord(tokens[0], "with")) {
    const main = outer.find((token) => isVerb(token, writingVerbs) || isVerb(token, readingVerbs))
    const writes = tokens.some((token, index) => isPunctuation(token, "(") && isVerb(tokens[index + 1], writingVerbs))
    if (writes || isVerb(main, writingVerbs)) return "write"
  }
  if (outer.some((token, index) => isWord(token, "into") && !isNameBehind(outer[index - 1]))) return "ddl"
  return tokens.some((_, index) => isLockingClause(tokens, index)) ? "lock" : "read"
}

/** Whether FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE or FOR KEY SHARE begins there. */
export const isLockingClause = (tokens: Tokens, index: number): boolean =>
  isWord(tokens[index], "for") && ["update", "no", "share", "key"].some((word) => isWord(tokens[index + 1], word))

/** `EXPLAIN (ANALYZE, …) statement` or `EXPLAIN ANALYZE VERBOSE statement`. Only ANALYZE runs it. */
const kindOfExplain = (tokens: Tokens): StatementKind => {
  let start = 1
  if (isPunctuation(tokens[1], "(")) start = tokens.findIndex((token) => isPunctuation(token, ")")) + 1
  else while (["analyze", "analyse", "verbose"].some((word) => isWord(tokens[start], word))) start++
  const runs = tokens.slice(1, start).some((token) => isWord(token, "analyze") || isWord(token, "analyse"))
  return runs ? kindOf(tokens.slice(start)) : "read"
}

const kindOfCopy = (tokens: Tokens): StatementKind => {
  if (!isPunctuation(tokens[1], "(")) return topLevel(tokens).some((token) => isWord(token, "from")) ? "copyIn" : "read"
  return isVerb(tokens[2], writingVerbs) ? "write" : kindOfQuery(tokens.slice(2))
}

/** The names that stand in front of a parenthesis: those of functions, and some others. */
export const calledNames = (tokens: Tokens): ReadonlySet<string> =>
  new Set(
    tokens.flatMap((token, index) => (isPunctuation(tokens[index + 1], "(") ? (identifierName(token) ?? []) : []))
  )

/** Which tables a statement writes, by their names without a schema. */
export interface Targets {
  readonly names: ReadonlySet<string>
  /** The columns that an UPDATE assigns. */
  readonly columns: ReadonlySet<string>
  /** Whether columns may get their defaults. */
  readonly usesDefaults: boolean
}

export const targetsOf = (tokens: Tokens): Targets => {
  const names = tokens.flatMap((token, index) => {
    if (!isVerb(token, writingVerbs) || notAVerbBehind.has(wordOf(tokens[index - 1] ?? token))) return []
    let at = index + 1
    while (["into", "from", "only"].some((word) => isWord(tokens[at], word))) at++
    while (isPunctuation(tokens[at + 1], ".")) at += 2
    const name = tokens[at]
    return name === undefined ? [] : (identifierName(name) ?? [])
  })
  const usesDefaults = ["insert", "merge", "default"].some((word) => tokens.some((token) => isWord(token, word)))
  return { names: new Set(names), columns: new Set(assignedColumns(tokens)), usesDefaults }
}

/** Names behind SET or a comma and in front of an equals sign, or in a list; a few others may be among them. */
const assignedColumns = (tokens: Tokens): ReadonlyArray<string> => {
  const hasList = tokens.some((token, index) => isWord(token, "set") && isPunctuation(tokens[index + 1], "("))
  return tokens.flatMap((token, index) => {
    const [previous, next] = [tokens[index - 1], tokens[index + 1]]
    const isAssigned = next?.text === "=" && (isWord(previous, "set") || isPunctuation(previous, ","))
    const isListed = hasList && (isPunctuation(next, ",") || isPunctuation(next, ")"))
    return isAssigned || isListed ? (identifierName(token) ?? []) : []
  })
}

/** FOR UPDATE, FOR NO KEY UPDATE, ON CONFLICT DO UPDATE, ON DELETE. */
const notAVerbBehind: ReadonlySet<string> = new Set(["for", "key", "do", "on", "then"])
