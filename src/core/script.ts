import { isWord, type Token } from "./lexer.js"
import { spellingOf } from "./spellings.js"
import { kindOf } from "./statementKind.js"
import { splitStatements, type Statement } from "./statements.js"

/** One statement of a script, without what stands around it. */
export interface ScriptStatement {
  readonly text: string
  /** Where it begins, counted from 1. */
  readonly line: number
  readonly tokens: ReadonlyArray<Token>
}

/**
 * What is run and journaled as one. `ddl` commits by itself. `write` is a statement, or those between BEGIN and COMMIT, in a
 * transaction with its entry in the journal. `alone` is what may run in no transaction, or might do anything.
 */
export interface Unit {
  readonly kind: "ddl" | "write" | "alone"
  readonly line: number
  readonly text: string
  readonly statements: ReadonlyArray<ScriptStatement>
}

/** Something that cannot be run as it stands. */
export interface Problem {
  readonly line: number
  readonly text: string
  readonly detail: string
}

export interface Script {
  /** All of it, also what cannot be run, so that everything that is wrong with it can be told at once. */
  readonly units: ReadonlyArray<Unit>
  readonly problems: ReadonlyArray<Problem>
}

const lineAt = (source: string, offset: number): number => {
  let line = 1
  for (let at = source.indexOf("\n"); at !== -1 && at < offset; at = source.indexOf("\n", at + 1)) line++
  return line
}

const trimmed = (source: string, { tokens }: Statement): ScriptStatement => {
  const start = tokens[0]!.start
  const last = tokens.at(-1)!
  return { text: source.slice(start, last.start + last.text.length), line: lineAt(source, start), tokens }
}

/**
 * A statement without comments and layout, and with unquoted names in lower case: the same for all that mean the same to
 * PostgreSQL's scanner.
 */
export const canonicalText = (tokens: ReadonlyArray<Token>): string =>
  tokens.map(({ kind, text }) => (kind === "identifier" ? text.toLowerCase() : text)).join(" ")

type Role = Unit["kind"] | "begin" | "commit" | "local" | { readonly refused: string }

const roleOf = ({ tokens }: ScriptStatement): Role => {
  const unterminated = tokens.find(({ kind }) => kind === "unterminated")
  if (unterminated !== undefined) return { refused: "a string, quoted name or comment begins here and is not ended" }
  if (spellingOf({ tokens }) !== undefined) return "ddl"
  const kind = kindOf(tokens)
  switch (kind) {
    case "begin":
    case "commit":
    case "ddl":
      return kind
    case "read":
    case "lock":
    case "write":
      return "write"
    case "rollback":
    case "savepoint":
      return { refused: "a migration is not rolled back, and DSQL has no savepoints; leave it out" }
    case "copyIn":
      return { refused: "there are no data to copy; use INSERT, or DsqlBatch in a migration that is an Effect" }
    case "session":
      if (isWord(tokens[0], "set") && isWord(tokens[1], "local")) return "local"
      return isWord(tokens[0], "analyze")
        ? "alone"
        : {
            refused:
              "it would change a session that the next statement does not have; use SET LOCAL between BEGIN and COMMIT, the `session` option of the layer, or names with their schema"
          }
    case "empty":
    case "unknown":
      return "alone"
  }
}

/** The units of a script, and what in it cannot be run. */
export const readScript = (source: string): Script => {
  const units: Array<Unit> = []
  const problems: Array<Problem> = []
  let group: { readonly begin: ScriptStatement; readonly statements: Array<ScriptStatement> } | undefined

  const refuse = ({ line, text }: ScriptStatement, detail: string) => problems.push({ line, text, detail })
  const add = (kind: Unit["kind"], statements: ReadonlyArray<ScriptStatement>) => {
    const [first] = statements
    if (first === undefined) return
    units.push({ kind, line: first.line, text: statements.map(({ text }) => text).join(";\n"), statements })
  }
  const take = (one: ScriptStatement) => {
    if (group === undefined) add("alone", [one])
    else group.statements.push(one)
  }
  const endGroup = (statements: ReadonlyArray<ScriptStatement>) => {
    const ddl = statements.find((statement) => roleOf(statement) === "ddl")
    if (ddl !== undefined && statements.length > 1) {
      refuse(ddl, "DSQL runs DDL in a transaction of its own; take it out of BEGIN and COMMIT")
    }
    add(ddl !== undefined && statements.length === 1 ? "ddl" : "write", statements)
  }

  for (const statement of splitStatements(source)) {
    if (statement.tokens.length === 0) continue
    const one = trimmed(source, statement)
    const role = roleOf(one)
    if (typeof role === "object") {
      refuse(one, role.refused)
      take(one)
    } else if (role === "begin") {
      if (group === undefined) group = { begin: one, statements: [] }
      else refuse(one, `the BEGIN of line ${group.begin.line} has not been committed yet`)
    } else if (role === "commit") {
      if (group === undefined) refuse(one, "there is no BEGIN in front of it")
      else endGroup(group.statements)
      group = undefined
    } else if (group !== undefined) {
      if (role === "alone") refuse(one, "it may not run in a transaction; take it out of BEGIN and COMMIT")
      take(one)
    } else if (role === "local") {
      refuse(one, "SET LOCAL lasts as long as a transaction; put it between BEGIN and COMMIT")
      take(one)
    } else add(role, [one])
  }
  if (group !== undefined) {
    refuse(group.begin, "COMMIT is missing behind it")
    add("write", group.statements)
  }
  return { units, problems }
}
