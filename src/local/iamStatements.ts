import { identifierName, isWord, type Token } from "../core/lexer.js"
import { splitStatements, type Statement } from "../core/statements.js"
import type { Stage } from "./batches.js"
import type { Message } from "./framing.js"
import { gatewayNotice, hiddenSchema } from "./systemSchema.js"
import { commandComplete, errorFields, message, responseWith } from "./wire.js"

/**
 * `AWS IAM GRANT role TO 'arn'` and `AWS IAM REVOKE role FROM 'arn'`: what the service has and PostgreSQL has not. They
 * become calls of procedures, which tell by a notice what tag the client is to see. What tag the service sends is not
 * published; that it is named after the statement is inferred.
 */
export const iamStatements = (): Stage => {
  let answerTypes = ""
  let tag: string | undefined
  return {
    onBatch: (batch) => {
      const messages = batch.messages.map(rewriteMessage)
      if (messages.every((message, index) => message === batch.messages[index])) return batch
      // From now on for the whole session: a statement that is prepared now may be run at any time.
      answerTypes = "CEN"
      return { ...batch, messages }
    },
    get answerTypes() {
      return answerTypes
    },
    onAnswer: ({ raw, type }) => {
      if (type === "C") {
        const answer = tag === undefined ? raw : commandComplete(tag)
        tag = undefined
        return answer
      }
      const fields = errorFields(raw.subarray(5))
      if (type === "N" && fields.get("C") === gatewayNotice) {
        tag = fields.get("M")
        return undefined
      }
      if (type === "E") tag = undefined
      return fields.get("W")?.includes(`${hiddenSchema}.`) === true ? responseWith(type, fields, [..."Wpq"]) : raw
    }
  }
}

/** Bytes as characters, one to one, so that all that is not rewritten stays as it was in any encoding. */
const encoding = "latin1"

const rewriteMessage = (original: Message): Message => {
  if (original.type !== "Q" && original.type !== "P") return original
  const body = original.raw.toString(encoding, 5)
  // Parse begins with the name of the statement.
  const start = original.type === "P" ? body.indexOf("\0") + 1 : 0
  const end = body.indexOf("\0", start)
  const sql = body.slice(start, end)
  const rewritten = end === -1 ? sql : rewriteIamStatements(sql)
  if (rewritten === sql) return original
  const raw = message(original.type, Buffer.from(body.slice(0, start) + rewritten + body.slice(end), encoding))
  return { type: original.type, raw }
}

/** The same text with calls in the place of the statements, as long as they are, so that positions stay right. */
export const rewriteIamStatements = (sql: string): string => {
  // Most texts need no closer look.
  if (!/aws/i.test(sql)) return sql
  return splitStatements(sql)
    .map((statement) => {
      const { call, from, to } = callOf(statement) ?? { call: "", from: 0, to: 0 }
      return statement.text.slice(0, from) + call.padEnd(to - from) + statement.text.slice(to)
    })
    .join("")
}

const callOf = ({ start, tokens }: Statement) => {
  const [aws, iam, verb, role, preposition, arn, ...rest] = tokens
  if (aws === undefined || role === undefined || arn === undefined || rest.length > 0) return undefined
  const isGrant = isWord(verb, "grant") && isWord(preposition, "to")
  const isRevoke = isWord(verb, "revoke") && isWord(preposition, "from")
  if (!isWord(aws, "aws") || !isWord(iam, "iam") || (!isGrant && !isRevoke)) return undefined
  const name = nameAsString(role)
  if (name === undefined || arn.kind !== "string") return undefined
  return {
    call: `CALL ${hiddenSchema}.${isGrant ? "g" : "r"}(${name},${arn.text})`,
    from: aws.start - start,
    to: arn.start + arn.text.length - start
  }
}

/** A string literal that has an identifier's name as its value. */
const nameAsString = (token: Token): string | undefined => {
  if (token.kind === "quotedIdentifier" && !token.text.startsWith('"')) {
    // Its Unicode escapes are PostgreSQL's to read, as they are in strings.
    const quoted = token.text.slice(3, -1).replaceAll('""', '"')
    return `U&'${quoted.replaceAll("'", "''")}'`
  }
  const name = identifierName(token)?.replaceAll("'", "''")
  if (name === undefined) return undefined
  return name.includes("\\") ? `E'${name.replaceAll("\\", "\\\\")}'` : `'${name}'`
}
