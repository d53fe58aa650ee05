import type { Message } from "../framing.js"
import { errorFields, type ErrorFields, errorResponse } from "../wire.js"

/** Which transaction lost: against rows that another wrote, or against a change of the schema. */
export type Conflict = "data" | "schema"

/** Published. */
export const conflictErrors: Readonly<Record<Conflict, ErrorFields>> = {
  data: { code: "40001", message: "change conflicts with another transaction (OC000)" },
  schema: { code: "40001", message: "schema has been updated by another transaction (OC001)" }
}

/** An answer with an error that ends no session. */
export const errorAnswer = (fields: ErrorFields): Message => ({ type: "E", raw: errorResponse("ERROR", fields) })

export const conflictAnswer = (conflict: Conflict): Message => errorAnswer(conflictErrors[conflict])

/**
 * Why PostgreSQL refused something. `refused`: another session holds a lock. `lost`: another transaction has committed a
 * change that ours does not see. `constraint`: a row stands in the way, which ours may or may not see.
 */
export type Failure = "refused" | "lost" | "constraint" | "error"

const failures: Readonly<Record<string, Failure>> = {
  "40P01": "refused",
  "55P03": "refused",
  "23503": "constraint",
  "23505": "constraint"
}

export type Fields = ReadonlyMap<string, string>

export const fieldsOf = ({ raw }: Message): Fields => errorFields(raw.subarray(5))

/** How PostgreSQL reports that two sessions changed the same catalog row. */
const isCatalogRace = (fields: Fields): boolean =>
  fields.get("C") === "XX000" && /^tuple concurrently (?:updated|deleted)$/.test(fields.get("M") ?? "")

/** Functions may raise the same code with other words, and mean their own. */
const isLost = (fields: Fields): boolean =>
  fields.get("C") === "40001" && fields.get("M")?.startsWith("could not serialize access") === true

const failureOf = (fields: Fields): Failure =>
  isLost(fields) || isCatalogRace(fields) ? "lost" : (failures[fields.get("C") ?? ""] ?? "error")

export const errorIn = (answers: ReadonlyArray<Message>): Message | undefined =>
  answers.find(({ type }) => type === "E")

export const failureIn = (answers: ReadonlyArray<Message>): Failure | undefined => {
  const error = errorIn(answers)
  return error === undefined ? undefined : failureOf(fieldsOf(error))
}

/**
 * What a client gets in the place of an error: it never hears of locks, of which the service has none. `refused` tells what
 * a lock is taken for that was refused.
 */
export const translated = (answer: Message, refused: Conflict): Message => {
  if (answer.type !== "E") return answer
  const fields = fieldsOf(answer)
  switch (failureOf(fields)) {
    case "refused":
      return conflictAnswer(refused)
    case "lost":
      return conflictAnswer(isCatalogRace(fields) ? "schema" : "data")
    default:
      return answer
  }
}
