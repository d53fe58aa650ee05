/** How statements become SQL text: PostgreSQL's dialect, the name transforms, and JSON values. */
import * as Statement from "@effect/sql/Statement"
import type { FunctionOptions } from "../Config.js"
import { renameValue } from "./names.js"

type Json = Statement.Custom<"PgJson", unknown>

/** A value to be sent as JSON; the kind is the one `@effect/sql-pg` uses. */
export const json = Statement.custom<Json>("PgJson")

const escape = Statement.defaultEscape('"')

/**
 * JSON is written here because the driver would make an SQL array of an array and send a string as it is, neither of which
 * is JSON. The driver asks for it when it sends, so that what JSON cannot hold fails like any other parameter, be it while
 * its keys are renamed. `null` stays SQL's NULL, as in `@effect/sql-pg`.
 */
const encodeJson = (
  value: unknown,
  transform: (value: unknown) => unknown
): { readonly toPostgres: () => string } | null =>
  value === null || value === undefined ? null : { toPostgres: () => JSON.stringify(transform(value)) }

const asItIs = (value: unknown): unknown => value

export const makeCompiler = ({ transformJson, transformQueryNames }: FunctionOptions): Statement.Compiler => {
  const transformName = transformQueryNames ?? ((name: string) => name)
  const transformValue =
    transformQueryNames === undefined || transformJson === false
      ? asItIs
      : (value: unknown) => renameValue(transformQueryNames, value)
  return Statement.makeCompiler<Json>({
    dialect: "pg",
    placeholder: (index) => `$${index}`,
    onIdentifier: (name, withoutTransform) => escape(withoutTransform ? name : transformName(name)),
    onRecordUpdate: (placeholders, alias, columns, values, returning) => {
      const rows = `(values ${placeholders}) AS ${alias}${columns}`
      return returning === undefined
        ? [rows, values.flat()]
        : [`${rows} RETURNING ${returning[0]}`, [...values.flat(), ...returning[1]]]
    },
    onCustom: (custom, placeholder, withoutTransform) => [
      placeholder(undefined),
      [encodeJson(custom.i0, withoutTransform ? asItIs : transformValue)]
    ]
  })
}
