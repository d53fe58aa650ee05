import { identifierName, isPunctuation, isWord, type Token } from "../../core/lexer.js"
import { plainText, spellingOf } from "../../core/spellings.js"
import type { Statement } from "../../core/statements.js"
import { randomJobId } from "../identity.js"
import { clientLiteral, identifier } from "../quoting.js"
import { hiddenSchema } from "../systemSchema.js"

/**
 * What writes see of a unique index that is being built: `ignored`, nothing, so that duplicates make the job fail, or
 * `enforced`, as if it were there.
 */
export type BuildingUniqueIndexes = "ignored" | "enforced"

/** What PostgreSQL runs in the place of a statement that starts a job; `undefined` for other statements. */
export const jobCallOf = (statement: Statement, uniqueness: BuildingUniqueIndexes): string | undefined => {
  const spelling = spellingOf(statement)
  if (spelling?._tag === "IndexAsync") return createIndexCall(statement, uniqueness)
  return spelling?._tag === "AlterTableAsync" ? validateCall(statement.tokens) : undefined
}

const call = (name: string, ...values: ReadonlyArray<string>): string =>
  `SELECT * FROM ${hiddenSchema}.${name}(${values.join(", ")}) AS t(job_id)`

const createIndexCall = (statement: Statement, uniqueness: BuildingUniqueIndexes): string => {
  const { start, tokens } = statement
  const unique = tokens.find((token, place) => place === 1 && isWord(token, "unique"))
  // As long as it was, so that positions in it are right. Behind the last token there is nothing that means anything.
  const last = tokens.at(-1)!
  let sql = plainText(statement)!.slice(0, last.start + last.text.length - start)
  if (unique !== undefined) sql = blank(sql, unique.start - start, unique.text.length)
  const readiness = unique === undefined ? "none" : uniqueness === "enforced" ? "now" : "later"
  return call("create_index_async", clientLiteral(sql), `'${randomJobId()}'`, `'${readiness}'`)
}

const blank = (text: string, at: number, length: number): string =>
  text.slice(0, at) + " ".repeat(length) + text.slice(at + length)

/** `ALTER TABLE ASYNC [IF EXISTS] [ONLY] name [*] VALIDATE CONSTRAINT name` */
const validateCall = (tokens: ReadonlyArray<Token>): string | undefined => {
  let at = 3
  const mayBeMissing = isWord(tokens[at], "if") && isWord(tokens[at + 1], "exists")
  if (mayBeMissing) at += 2
  if (isWord(tokens[at], "only")) at++
  const name = tokens[at] === undefined ? [] : [tokens[at]!]
  for (at++; isPunctuation(tokens[at], ".") && tokens[at + 1] !== undefined; at += 2) {
    name.push(tokens[at]!, tokens[at + 1]!)
  }
  if (tokens[at]?.text === "*") at++
  const [validate, constraint, last, ...rest] = tokens.slice(at)
  const constraintName = last === undefined ? undefined : identifierName(last)
  if (!isWord(validate, "validate") || !isWord(constraint, "constraint") || rest.length > 0) return undefined
  if (constraintName === undefined) return undefined
  const table = name.map((token) => (token.kind === "punctuation" ? token.text : nameOf(token))).join("")
  return call(
    "validate_constraint_async",
    clientLiteral(table),
    clientLiteral(constraintName),
    `'${randomJobId()}'`,
    String(mayBeMissing)
  )
}

/** In the spelling that needs to know least. */
const nameOf = (token: Token): string => {
  const name = identifierName(token)
  return name === undefined ? token.text : identifier(name)
}
