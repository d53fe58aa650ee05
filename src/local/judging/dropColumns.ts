import type { Edit } from "../../core/rules/edits.js"
import type { AlterTableStmt, Tree } from "../../core/rules/tree.js"
import type { Statement } from "../../core/statements.js"
import { identifier, literal } from "../quoting.js"

/**
 * Whether a column may be dropped depends on the primary key, which PostgreSQL would drop with it. So the statement is run
 * by a procedure that looks first; see `schema.ts`.
 */
export const droppingCall = ({ body, type }: Tree, { start, text, tokens }: Statement): Edit | undefined => {
  if (type !== "AlterTableStmt") return undefined
  const { cmds, objtype, relation } = body as AlterTableStmt
  if (objtype !== "OBJECT_TABLE" || relation === undefined) return undefined
  const columns = (cmds ?? []).flatMap(({ AlterTableCmd: command }) =>
    command?.subtype === "AT_DropColumn" && command.name !== undefined ? [literal(command.name)] : []
  )
  const first = tokens[0]
  const last = tokens.at(-1)
  if (columns.length === 0 || first === undefined || last === undefined) return undefined
  const at = first.start - start
  const end = last.start - start + last.text.length
  const table = [relation.schemaname, relation.relname].flatMap((name) =>
    name === undefined ? [] : [identifier(name)]
  )
  const call = `CALL _dsql.d(${literal(table.join("."))}, ARRAY[${columns.join(", ")}]::name[], ${literal(text.slice(at, end))})`
  return { at, length: end - at, text: call }
}
