/**
 * The parts of PostgreSQL's parse tree that rules look at, as libpg_query writes it as JSON: a node is an object with one
 * key, its type. What a field is left out for is false, zero or nothing.
 */

/** A node of any type; at most one of the keys is there. */
export type Node = { readonly [Type in keyof Nodes]?: Nodes[Type] }

export interface Nodes {
  readonly AlterTableStmt: AlterTableStmt
  readonly AlterTableCmd: AlterTableCmd
  readonly ColumnDef: ColumnDef
  readonly Constraint: Constraint
  readonly CreateStmt: CreateStmt
  readonly DefElem: DefElem
  readonly FuncCall: FuncCall
  readonly IndexElem: IndexElem
  readonly IndexStmt: IndexStmt
  readonly LockingClause: { readonly strength: string }
  readonly RangeVar: RangeVar
  readonly SelectStmt: SelectStmt
  readonly TransactionStmt: TransactionStmt
  readonly TypeName: TypeName
  readonly TypeCast: { readonly arg?: Node; readonly typeName?: TypeName }
  readonly VacuumStmt: { readonly is_vacuumcmd?: boolean }
  readonly VariableSetStmt: VariableSetStmt
  readonly A_Const: Constant
  readonly Integer: { readonly ival?: number }
  readonly String: { readonly sval?: string }
  readonly Boolean: { readonly boolval?: boolean }
  readonly Float: { readonly fval?: string }
  readonly List: { readonly items?: ReadonlyArray<Node> }
  readonly TableLikeClause: { readonly relation?: RangeVar }
}

type NodeList = ReadonlyArray<Node>

export interface RangeVar {
  readonly schemaname?: string
  readonly relname: string
  /** `p`, `u` for unlogged, `t` for temporary. */
  readonly relpersistence?: string
  readonly location?: number
}

export interface Constant {
  readonly isnull?: boolean
  readonly ival?: { readonly ival?: number }
  readonly sval?: { readonly sval?: string }
  readonly fval?: { readonly fval?: string }
  readonly boolval?: { readonly boolval?: boolean }
}

export interface TypeName {
  readonly names?: NodeList
  readonly typmods?: NodeList
  readonly arrayBounds?: NodeList
  readonly setof?: boolean
  readonly location?: number
}

export interface DefElem {
  readonly defname: string
  readonly arg?: Node
}

export interface Constraint {
  readonly contype: string
  readonly conname?: string
  readonly indexname?: string
  readonly keys?: NodeList
  readonly including?: NodeList
  readonly options?: NodeList
  readonly indexspace?: string
  readonly deferrable?: boolean
  readonly initdeferred?: boolean
  readonly skip_validation?: boolean
}

export interface ColumnDef {
  readonly colname: string
  readonly typeName?: TypeName
  readonly constraints?: NodeList
  readonly collClause?: object
  readonly compression?: string
}

export interface CreateStmt {
  readonly relation?: RangeVar
  readonly tableElts?: NodeList
  readonly inhRelations?: NodeList
  readonly partbound?: object
  readonly partspec?: object
  readonly ofTypename?: TypeName
  readonly options?: NodeList
  readonly oncommit?: string
  readonly tablespacename?: string
  readonly accessMethod?: string
}

export interface AlterTableStmt {
  readonly relation?: RangeVar
  readonly cmds?: NodeList
  readonly objtype?: string
}

export interface AlterTableCmd {
  readonly subtype: string
  readonly name?: string
  readonly def?: Node
  readonly missing_ok?: boolean
}

export interface IndexElem {
  readonly name?: string
  readonly expr?: Node
  readonly collation?: NodeList
  readonly opclass?: NodeList
  readonly ordering?: string
}

export interface IndexStmt {
  readonly idxname?: string
  readonly relation?: RangeVar
  readonly accessMethod?: string
  readonly indexParams?: NodeList
  readonly options?: NodeList
  readonly tableSpace?: string
  readonly concurrent?: boolean
}

export interface FuncCall {
  readonly funcname?: NodeList
  readonly args?: NodeList
}

export interface SelectStmt {
  readonly intoClause?: object
  readonly lockingClause?: NodeList
  readonly withClause?: object
}

export interface TransactionStmt {
  readonly kind: string
  readonly options?: NodeList
  readonly chain?: boolean
}

export interface VariableSetStmt {
  readonly kind: string
  readonly name?: string
  readonly args?: NodeList
  readonly is_local?: boolean
}

/** A statement: the type of its node, and the node. */
export interface Tree {
  readonly type: string
  readonly body: object
}

/** The names of a qualified name, or of a list of names. */
export const stringsOf = (nodes: NodeList | undefined): ReadonlyArray<string> =>
  (nodes ?? []).flatMap((node) => node.String?.sval ?? [])

/** Fields that hold a node without its type. */
const bareFields: Readonly<Record<string, string>> = {
  argType: "TypeName",
  funccall: "FuncCall",
  intoClause: "IntoClause",
  larg: "SelectStmt",
  rarg: "SelectStmt",
  relation: "RangeVar",
  returnType: "TypeName",
  typeName: "TypeName"
}

/** Calls `visit` for a node and everything in it, from the outside to the inside, in the order of the text. */
export const walk = (type: string, body: object, visit: (type: string, body: object) => void): void => {
  visit(type, body)
  for (const [field, value] of Object.entries(body)) descend(field, value, visit)
}

const descend = (field: string, value: unknown, visit: (type: string, body: object) => void): void => {
  if (typeof value !== "object" || value === null) return
  if (Array.isArray(value)) {
    for (const item of value) descend("", item, visit)
    return
  }
  const bare = bareFields[field]
  if (bare !== undefined) return walk(bare, value, visit)
  for (const [key, inner] of Object.entries(value)) {
    // The types of nodes begin with a capital letter, fields with a small one.
    const isType = typeof inner === "object" && inner !== null && !Array.isArray(inner) && /^[A-Z]/.test(key)
    if (isType) walk(key, inner, visit)
    else descend(key, inner, visit)
  }
}
