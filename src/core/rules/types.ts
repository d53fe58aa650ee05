import type { Parts } from "./rule.js"
import { type ColumnDef, type Node, numberOf, stringsOf, type TypeName } from "./tree.js"

/** The names of types: which columns may have, which PostgreSQL has beside them, and how both are displayed. */

/** As PostgreSQL's catalog names them. */
const columnTypes: ReadonlySet<string> = new Set(
  (
    "int2 int4 int8 float4 float8 numeric bpchar varchar text date time timetz timestamp timestamptz interval bool " +
    "bytea uuid json jsonb"
  ).split(" ")
)

const otherTypes: ReadonlySet<string> = new Set(
  (
    "money xml inet cidr macaddr macaddr8 point line lseg box path polygon circle tsvector tsquery bit varbit pg_lsn " +
    "int4range int8range numrange tsrange tstzrange daterange int4multirange int8multirange nummultirange " +
    "tsmultirange tstzmultirange datemultirange pg_snapshot txid_snapshot jsonpath name oid xid xid8 cid tid char " +
    "oidvector int2vector refcursor aclitem regclass regcollation regconfig regdictionary regnamespace regoper " +
    "regoperator regproc regprocedure regrole regtype"
  ).split(" ")
)

/** What the grammar does not spell out itself. */
const aliases: Readonly<Record<string, string>> = { smallint: "int2", integer: "int4", int: "int4", bigint: "int8" }

const displayNames: Readonly<Record<string, string>> = {
  int2: "smallint",
  int4: "integer",
  int8: "bigint",
  float4: "real",
  float8: "double precision",
  bool: "boolean",
  bpchar: "character",
  varchar: "character varying",
  varbit: "bit varying",
  time: "time without time zone",
  timetz: "time with time zone",
  timestamp: "timestamp without time zone",
  timestamptz: "timestamp with time zone",
  char: '"char"'
}

const serialTypes: ReadonlySet<string> = new Set("serial serial2 serial4 serial8 bigserial smallserial".split(" "))

const keylessTypes: ReadonlySet<string> = new Set("json jsonb bytea interval timetz".split(" "))

const geometricTypes: ReadonlySet<string> = new Set("point line lseg box path polygon circle".split(" "))

/** The name in PostgreSQL's catalog; `undefined` for a type of another schema. */
const catalogName = ({ names }: TypeName): string | undefined => {
  const [first, second, ...rest] = stringsOf(names)
  if (rest.length > 0 || first === undefined || (second !== undefined && first !== "pg_catalog")) return undefined
  const name = second ?? first
  return aliases[name] ?? name
}

const displayName = (type: TypeName): string => {
  const name = catalogName(type)
  const shown = name === undefined ? stringsOf(type.names).join(".") : (displayNames[name] ?? name)
  return isArray(type) ? `${shown}[]` : shown
}

const isArray = ({ arrayBounds }: TypeName): boolean => arrayBounds !== undefined && arrayBounds.length > 0

/** The name of a serial type, which to the service is no type at all. */
export const serialName = (type: TypeName | undefined): string | undefined => {
  const [name, ...rest] = stringsOf(type?.names)
  return name !== undefined && rest.length === 0 && serialTypes.has(name) ? name : undefined
}

/** A type that no column may have, as the service displays it. Types that are not PostgreSQL's own are not judged. */
export const refusedColumnType = (type: TypeName | undefined): Parts | undefined => {
  if (type === undefined) return undefined
  const name = catalogName(type)
  const isKnown = name !== undefined && otherTypes.has(name)
  return isKnown || isArray(type) ? { type: displayName(type) } : undefined
}

export const isBigint = (type: TypeName | undefined): boolean =>
  type !== undefined && !isArray(type) && catalogName(type) === "int8"

/** The display name of a type that columns may have, and `undefined` for all others. */
export const columnTypeName = (type: TypeName | undefined): string | undefined => {
  const name = type === undefined ? undefined : catalogName(type)
  return type !== undefined && name !== undefined && columnTypes.has(name) ? displayName(type) : undefined
}

/** A type that may be in a column and not in a key. */
export const refusedKeyType = (type: TypeName | undefined): Parts | undefined => {
  const name = type === undefined ? undefined : catalogName(type)
  return type !== undefined && name !== undefined && keylessTypes.has(name) ? { type: displayName(type) } : undefined
}

/** A type that cannot even be computed with. */
export const refusedValueType = (type: TypeName): Parts | undefined => {
  const name = catalogName(type)
  return name !== undefined && geometricTypes.has(name) ? { type: displayName(type) } : undefined
}

/** The same for the call of a function that is named as the type. */
export const refusedTypeFunction = (name: string): Parts | undefined =>
  geometricTypes.has(name) ? { type: name } : undefined

/** How many characters a type is to hold, if it says so. */
export const lengthOf = (type: TypeName | undefined, name: "bpchar" | "varchar"): number | undefined =>
  type !== undefined && catalogName(type) === name ? numberOf(type.typmods?.[0]) : undefined

/** Where `numeric` stands without a precision, which the service takes for (18,6). */
export const unsizedNumeric = (type: TypeName | undefined): number | undefined =>
  type !== undefined && catalogName(type) === "numeric" && type.typmods === undefined && !isArray(type)
    ? type.location
    : undefined

export const columnsOf = (nodes: ReadonlyArray<Node> | undefined): ReadonlyArray<ColumnDef> =>
  (nodes ?? []).flatMap((node) => node.ColumnDef ?? [])
