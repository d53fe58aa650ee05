import { type Parts, type Rule, rule, when } from "./rule.js"
import {
  type ColumnDef,
  type Constraint,
  type CreateStmt,
  type NodeList,
  numberOf,
  optionOf,
  stringsOf
} from "./tree.js"
import {
  columnsOf,
  columnTypeName,
  isBigint,
  lengthOf,
  refusedColumnType,
  refusedKeyType,
  serialName
} from "./types.js"

/** CREATE TABLE, and the columns and constraints in it. */

const recorded = { mark: "recorded", source: "probes" } as const
const reported = { mark: "recorded", source: "reports" } as const
const inferred = { mark: "inferred", source: "pattern" } as const

const clause = (name: string, id: string, holds: (table: CreateStmt) => boolean): Rule =>
  rule(
    "CreateStmt",
    {
      ...inferred,
      id: `create-table-${id}`,
      statement: `CREATE TABLE … ${name}`,
      message: `${name} not supported for CREATE TABLE`
    },
    (table) => when(holds(table))
  )

const has = (nodes: NodeList | undefined): boolean => nodes !== undefined && nodes.length > 0

/** What kind of table it is to be. */
export const tableKindRules: ReadonlyArray<Rule> = [
  rule(
    "CreateStmt",
    {
      ...recorded,
      id: "create-temporary-table",
      statement: "CREATE TEMPORARY TABLE",
      message: "TEMPORARY or TEMP table not supported for CREATE TABLE"
    },
    ({ relation }) => when(relation?.relpersistence === "t" || relation?.schemaname === "pg_temp")
  ),
  rule(
    "CreateStmt",
    {
      ...recorded,
      id: "create-unlogged-table",
      statement: "CREATE UNLOGGED TABLE",
      message: "UNLOGGED table not supported for CREATE TABLE"
    },
    ({ relation }) => when(relation?.relpersistence === "u")
  ),
  rule(
    "ViewStmt",
    {
      ...inferred,
      id: "create-temporary-view",
      statement: "CREATE TEMPORARY VIEW",
      message: "TEMPORARY or TEMP view not supported for CREATE VIEW"
    },
    ({ view }) => when(view?.relpersistence === "t")
  ),
  rule(
    "CreateSeqStmt",
    {
      ...inferred,
      id: "create-temporary-sequence",
      statement: "CREATE TEMPORARY SEQUENCE, CREATE UNLOGGED SEQUENCE",
      message: "<kind> sequence not supported for CREATE SEQUENCE"
    },
    ({ sequence }): Parts | undefined => {
      const kind = sequence?.relpersistence
      return kind === "t" ? { kind: "TEMPORARY or TEMP" } : kind === "u" ? { kind: "UNLOGGED" } : undefined
    }
  ),
  clause("PARTITION OF", "partition-of", ({ partbound }) => partbound !== undefined),
  clause("PARTITION BY", "partition-by", ({ partspec }) => partspec !== undefined),
  clause("INHERITS", "inherits", ({ inhRelations, partbound }) => partbound === undefined && has(inhRelations)),
  clause("OF", "of-type", ({ ofTypename }) => ofTypename !== undefined),
  clause("USING", "using", ({ accessMethod }) => accessMethod !== undefined),
  clause("WITH", "with", ({ options }) => has(options)),
  clause("ON COMMIT", "on-commit", ({ oncommit }) => oncommit !== undefined && oncommit !== "ONCOMMIT_NOOP"),
  clause("TABLESPACE", "tablespace", ({ tablespacename }) => (tablespacename ?? "") !== "")
]

export const columnRules: ReadonlyArray<Rule> = [
  rule(
    "ColumnDef",
    {
      ...recorded,
      id: "serial",
      statement: "serial types",
      sqlState: "42704",
      message: 'type "<type>" does not exist'
    },
    ({ typeName }) => {
      const type = serialName(typeName)
      return type === undefined ? undefined : { type }
    }
  ),
  rule(
    "ColumnDef",
    {
      ...recorded,
      id: "column-type",
      statement: "a column of another type than the guide lists, or of an array type",
      message: "datatype <type> not supported"
    },
    ({ typeName }) => refusedColumnType(typeName)
  ),
  rule(
    "CreateDomainStmt",
    {
      ...inferred,
      id: "domain-type",
      statement: "CREATE DOMAIN over a type that columns cannot have",
      message: "datatype <type> not supported"
    },
    ({ typeName }) => refusedColumnType(typeName)
  ),
  rule(
    "ColumnDef",
    {
      ...reported,
      id: "char-length",
      statement: "char of more than 4,096 bytes",
      sqlState: "54000",
      message: "Datatype limit greater than 4096 bytes not supported for char"
    },
    ({ typeName }) => when((lengthOf(typeName, "bpchar") ?? 0) > 4096)
  ),
  rule(
    "ColumnDef",
    {
      ...reported,
      id: "varchar-length",
      statement: "varchar of more than 65,535 bytes",
      sqlState: "54000",
      message: "Datatype limit greater than 65535 bytes not supported for varchar"
    },
    ({ typeName }) => when((lengthOf(typeName, "varchar") ?? 0) > 65_535)
  ),
  rule(
    "ColumnDef",
    {
      ...inferred,
      id: "column-collation",
      statement: "a column with COLLATE",
      message: "COLLATE not supported for columns"
    },
    ({ collClause }) => when(collClause !== undefined)
  )
]

const cacheAdvice =
  "is not supported without an explicit cache size. please define CACHE greater than or equal to 65536 or equal to 1"

/** The smallest cache beside none; see the message. */
const leastCache = 65_536

const hasCache = (options: NodeList | undefined): boolean => {
  const cache = numberOf(optionOf(options, "cache"))
  return cache === 1 || (cache !== undefined && cache >= leastCache)
}

const identityOf = ({ constraints }: ColumnDef): Constraint | undefined =>
  (constraints ?? []).find((node) => node.Constraint?.contype === "CONSTR_IDENTITY")?.Constraint

/** Identity columns and sequences. */
export const sequenceRules: ReadonlyArray<Rule> = [
  rule(
    "ColumnDef",
    {
      ...recorded,
      id: "identity-type",
      statement: "an identity column that is no bigint",
      message: "datatype <type> not supported, identity column type must be bigint"
    },
    (column) => {
      const type = columnTypeName(column.typeName)
      const isRefused = identityOf(column) !== undefined && !isBigint(column.typeName)
      return isRefused && type !== undefined ? { type } : undefined
    }
  ),
  rule(
    "Constraint",
    {
      ...recorded,
      id: "identity-cache",
      statement: "an identity column without CACHE, or with one between 2 and 65,535",
      message: `identity column ${cacheAdvice}`
    },
    ({ contype, options }) => when(contype === "CONSTR_IDENTITY" && !hasCache(options))
  ),
  rule(
    "CreateSeqStmt",
    {
      ...inferred,
      id: "sequence-type",
      statement: "CREATE SEQUENCE … AS another type than bigint",
      message: "datatype <type> not supported, sequence type must be bigint"
    },
    ({ options }) => {
      const type = optionOf(options, "as")?.TypeName
      return type === undefined || isBigint(type)
        ? undefined
        : { type: columnTypeName(type) ?? stringsOf(type.names).join(".") }
    }
  ),
  rule(
    "CreateSeqStmt",
    {
      ...recorded,
      id: "sequence-cache",
      statement: "CREATE SEQUENCE without CACHE, or with one between 2 and 65,535",
      message: `CREATE SEQUENCE ${cacheAdvice}`
    },
    ({ options }) => when(!hasCache(options))
  ),
  rule(
    "AlterSeqStmt",
    {
      ...inferred,
      id: "alter-sequence-cache",
      statement: "ALTER SEQUENCE … CACHE between 2 and 65,535",
      message: `ALTER SEQUENCE ${cacheAdvice}`
    },
    ({ options }) => when(optionOf(options, "cache") !== undefined && !hasCache(options))
  )
]

const keyTypes = ["CONSTR_PRIMARY", "CONSTR_UNIQUE"]

/** The columns of every key that a table gets: a list of names for each. */
const keysOf = ({ tableElts }: CreateStmt): ReadonlyArray<ReadonlyArray<string>> =>
  (tableElts ?? []).flatMap((node) => {
    const isKey = ({ contype }: Constraint): boolean => keyTypes.includes(contype)
    if (node.Constraint !== undefined) return isKey(node.Constraint) ? [stringsOf(node.Constraint.keys)] : []
    const { colname = "", constraints } = node.ColumnDef ?? {}
    return (constraints ?? []).flatMap(({ Constraint }) =>
      Constraint !== undefined && isKey(Constraint) ? [[colname]] : []
    )
  })

export const keyRules: ReadonlyArray<Rule> = [
  rule(
    "CreateStmt",
    {
      ...reported,
      id: "key-type",
      statement: "a primary key or unique constraint with a column of type json, jsonb, bytea, interval or timetz",
      message: "datatype <type> is not supported in a key"
    },
    (table) => {
      const keys = new Set(keysOf(table).flat())
      const columns = columnsOf(table.tableElts).filter(({ colname }) => keys.has(colname))
      return columns.map(({ typeName }) => refusedKeyType(typeName)).find((parts) => parts !== undefined)
    }
  ),
  rule(
    "Constraint",
    {
      ...inferred,
      id: "exclusion-constraint",
      statement: "EXCLUDE",
      message: "EXCLUDE not supported for CREATE TABLE"
    },
    ({ contype }) => when(contype === "CONSTR_EXCLUSION")
  ),
  rule(
    "Constraint",
    {
      ...inferred,
      id: "deferrable-key",
      statement: "a primary key or unique constraint that is DEFERRABLE",
      message: "DEFERRABLE not supported for primary key and unique constraints"
    },
    ({ contype, deferrable }) => when(keyTypes.includes(contype) && deferrable === true)
  )
]
