import { identifierName, isWord, type Token } from "../core/lexer.js"
import type { Statement } from "../core/statements.js"
import { clientLiteral, literal } from "./quoting.js"
import { hiddenSchema } from "./systemSchema.js"

/**
 * `AWS IAM GRANT role TO 'arn'` and `AWS IAM REVOKE role FROM 'arn'`: what the service has and PostgreSQL has not. They
 * become calls of procedures. What tag the service answers is not published; that it is named after the statement is
 * inferred.
 */
export const iamCallOf = ({ tokens }: Statement): string | undefined => {
  const [aws, iam, verb, role, preposition, arn, ...rest] = tokens
  if (aws === undefined || role === undefined || arn === undefined || rest.length > 0) return undefined
  const isGrant = isWord(verb, "grant") && isWord(preposition, "to")
  const isRevoke = isWord(verb, "revoke") && isWord(preposition, "from")
  if (!isWord(aws, "aws") || !isWord(iam, "iam") || (!isGrant && !isRevoke)) return undefined
  const name = nameAsString(role)
  if (name === undefined || arn.kind !== "string") return undefined
  return `CALL ${hiddenSchema}.${isGrant ? "g" : "r"}(${name},${arn.text})`
}

/** A string literal that has an identifier's name as its value. */
const nameAsString = (token: Token): string | undefined => {
  if (token.kind === "quotedIdentifier" && !token.text.startsWith('"')) {
    // Its Unicode escapes are PostgreSQL's to read, as they are in strings.
    return `U&${literal(token.text.slice(3, -1).replaceAll('""', '"'))}`
  }
  const name = identifierName(token)
  return name === undefined ? undefined : clientLiteral(name)
}
