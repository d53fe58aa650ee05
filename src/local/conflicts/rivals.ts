import { identifier, literal } from "../quoting.js"
import type { Fields } from "./failures.js"

/**
 * How to find out whether a constraint failed for a row that the transaction sees, which is its own fault, or for one that
 * another has committed since, which is a conflict.
 */
export interface RivalProbe {
  /** Gives `t` if the transaction that runs it sees the row that the error names. */
  readonly sql: string
  /** What that means. */
  readonly isConflictWhenSeen: boolean
  /** Whether it is a conflict only if others see it. */
  readonly mustBeSeenOutside: boolean
}

/** `undefined` if the error does not say enough. `ask` asks for one value from outside. */
export const rivalProbe = async (
  fields: Fields,
  ask: (sql: string) => Promise<string | undefined>
): Promise<RivalProbe | undefined> => {
  const [schema, table, constraint] = [fields.get("s"), fields.get("t"), fields.get("n")]
  const [, columns, values, ending] = detail.exec(fields.get("D") ?? "") ?? []
  if (schema === undefined || table === undefined || columns === undefined || values === undefined) return undefined
  if (ending === "already exists.") {
    const sql = exists(`${identifier(schema)}.${identifier(table)}`, columns, values)
    return { sql, isConflictWhenSeen: false, mustBeSeenOutside: true }
  }
  if (constraint === undefined) return undefined
  // Either the row that is referenced was deleted, or one that references it was written.
  const isMissing = ending?.startsWith("is not present") === true
  const key = isMissing ? "confrelid, c.confkey" : "conrelid, c.conkey"
  const found = await ask(`
    SELECT format('%I.%I', n.nspname, r.relname) || ' ' || (
      SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place)
      FROM unnest(side.key) WITH ORDINALITY k(number, place)
      JOIN pg_attribute a ON a.attrelid = side.relation AND a.attnum = k.number)
    FROM pg_constraint c CROSS JOIN LATERAL (SELECT c.${key}) side(relation, key)
    JOIN pg_class r ON r.oid = side.relation JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE c.conname = ${literal(constraint)}
      AND c.conrelid = ${literal(`${identifier(schema)}.${identifier(table)}`)}::regclass`)
  const [, relation, referenced] = /^((?:"(?:[^"]|"")*"|[^" ])+) (.*)$/s.exec(found ?? "") ?? []
  if (relation === undefined || referenced === undefined) return undefined
  return { sql: exists(relation, referenced, values), isConflictWhenSeen: isMissing, mustBeSeenOutside: false }
}

/** `Key (columns)=(values) …`, where the columns may be expressions. */
const detail = /^Key \((.*?)\)=\((.*)\) (already exists\.|is not present.*|is still referenced.*)$/s

/** PostgreSQL writes the values as it does in the DETAIL, with a comma and a blank between them. */
const exists = (relation: string, columns: string, values: string): string =>
  `SELECT EXISTS (SELECT FROM ${relation} WHERE concat_ws(', ', ${columns}) = ${literal(values)})`
