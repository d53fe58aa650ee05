import { calledNames } from "../../core/statementKind.js"
import { isSignificant, isWord, tokenize } from "../../core/lexer.js"
import type { KnownStatement } from "../statements/texts.js"
import type { Observer } from "./observer.js"

/** What must be known of a schema to tell what a statement may do. All are names without a schema. */
export interface Facts {
  /** Functions that may give something else the next time, or change something. */
  readonly volatileFunctions: ReadonlySet<string>
  /** Those of them that are not PostgreSQL's own: they may write. */
  readonly ownFunctions: ReadonlySet<string>
  /** Tables with a column whose default is volatile. */
  readonly volatileTables: ReadonlySet<string>
  /** Columns of unique indexes. */
  readonly keyColumns: ReadonlySet<string>
  /** Tables at either end of a foreign key: writing one may lock rows of the other. */
  readonly linkedTables: ReadonlySet<string>
}

const query = `
SELECT CASE WHEN n.nspname = 'pg_catalog' THEN 'function' ELSE 'own' END, p.proname, NULL
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE p.provolatile = 'v' AND n.nspname NOT IN ('_dsql', 'information_schema')
UNION ALL
SELECT 'default', c.relname, pg_get_expr(d.adbin, d.adrelid)
  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
  JOIN pg_class c ON c.oid = d.adrelid WHERE c.oid >= 16384
UNION ALL
SELECT 'identity', c.relname, NULL FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attidentity <> ''
UNION ALL
SELECT 'key', a.attname, NULL FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid
  WHERE i.indisunique AND i.indexrelid >= 16384
UNION ALL
SELECT 'link', c.relname, NULL
  FROM pg_constraint f JOIN pg_class c ON c.oid IN (f.conrelid, f.confrelid) WHERE f.contype = 'f'`

export const readFacts = async (observer: Observer): Promise<Facts> => {
  const volatileFunctions = new Set<string>()
  const ownFunctions = new Set<string>()
  const volatileTables = new Set<string>()
  const keyColumns = new Set<string>()
  const linkedTables = new Set<string>()
  // Functions come first.
  for (const [what, name, expression] of await observer.query(query)) {
    const written = asWritten(name ?? "")
    if (what === "function" || what === "own") volatileFunctions.add(written)
    if (what === "own") ownFunctions.add(written)
    if (what === "key") keyColumns.add(written)
    if (what === "link") linkedTables.add(written)
    if (what === "identity" || (what === "default" && callsAny(expression ?? "", volatileFunctions))) {
      volatileTables.add(written)
    }
  }
  return { volatileFunctions, ownFunctions, volatileTables, keyColumns, linkedTables }
}

/** Texts of statements are read byte by byte; see `statements/messages.ts`. */
const asWritten = (name: string): string => Buffer.from(name).toString("latin1")

const callsAny = (expression: string, functions: ReadonlySet<string>): boolean =>
  intersects(calledNames(tokenize(expression).filter(isSignificant)), functions)

const intersects = (some: ReadonlySet<string>, others: ReadonlySet<string>): boolean => {
  for (const one of some) if (others.has(one)) return true
  return false
}

/** Whether a query may do more than read. */
export const mayWrite = ({ calls }: KnownStatement, facts: Facts): boolean => intersects(calls, facts.ownFunctions)

/** Whether it may have another result when it is run again in the same transaction, or leave more behind than rows. */
export const isVolatile = ({ calls, kind, targets }: KnownStatement, facts: Facts): boolean =>
  kind !== "ddl" &&
  (intersects(calls, facts.volatileFunctions) ||
    (targets.usesDefaults && intersects(targets.names, facts.volatileTables)))

/** Whether it may do what leaves no trace once it has committed: lock rows, remove them, or change their keys. */
export const mayLeaveNoTrace = ({ kind, source, targets }: KnownStatement, facts: Facts): boolean =>
  kind === "lock" ||
  kind === "unknown" ||
  kind === "copyIn" ||
  source.tokens.some((token) => ["for", "delete", "merge"].some((word) => isWord(token, word))) ||
  intersects(targets.names, facts.linkedTables) ||
  intersects(targets.columns, facts.keyColumns)
