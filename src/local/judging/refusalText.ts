import type { Refusal } from "../../core/rules/rule.js"
import { literal } from "../quoting.js"
import { errorResponse } from "../wire.js"
import { refusalType } from "./schema.js"

/** What PostgreSQL says about that type, up to the quoted value. */
const quoting = /^invalid input value for enum _dsql\.refusal: "([0-9A-Z]{5}) ([^]*)"$/

/**
 * A statement that PostgreSQL refuses as soon as it looks at it, so that blocks are aborted and pipelines skipped by
 * PostgreSQL itself, and its log says why.
 */
export const refusalText = ({ message, sqlState }: Pick<Refusal, "message" | "sqlState">): string =>
  // Escapes would be read differently with standard_conforming_strings off, which clients cannot set.
  `SELECT ${literal(`${sqlState} ${message}`)}::${refusalType}`

/** The refusal in an error of PostgreSQL; `undefined` for any other error. */
export const readRefusal = (fields: ReadonlyMap<string, string>): Buffer | undefined => {
  if (fields.get("C") !== "22P02") return undefined
  const [, code, message] = quoting.exec(fields.get("M") ?? "") ?? []
  return code === undefined || message === undefined ? undefined : errorResponse("ERROR", { code, message })
}
