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
  readonly AlterSeqStmt: { readonly options?: NodeList }
  readonly CallStmt: { readonly funccall?: FuncCall }
  readonly CopyStmt: { readonly is_from?: boolean }
  readonly CreateDomainStmt: { readonly typeName?: TypeName }
  readonly CreateFunctionStmt: CreateFunctionStmt
  readonly CreateSeqStmt: { readonly sequence?: RangeVar; readonly options?: NodeList }
  readonly DeallocateStmt: { readonly name?: string }
  readonly DefineStmt: { readonly kind: string }
  readonly DropStmt: { readonly removeType: string }
  readonly IntoClause: object
  readonly RangeTableSample: object
  readonly RenameStmt: { readonly renameType: string }
  readonly AlterOwnerStmt: { readonly objectType: string }
  readonly AlterObjectSchemaStmt: { readonly objectType: string }
  readonly ViewStmt: { readonly view?: RangeVar; readonly options?: NodeList }
  readonly Integer: { readonly ival?: number }
  readonly String: { readonly sval?: string }
  readonly Boolean: { readonly boolval?: boolean }
  readonly Float: { readonly fval?: string }
  readonly List: { readonly items?: ReadonlyArray<Node> }
  readonly TableLikeClause: { readonly relation?: RangeVar }
}

export type NodeList = ReadonlyArray<Node>

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

export interface CreateFunctionStmt {
  readonly is_procedure?: boolean
  readonly options?: NodeList
  readonly sql_body?: Node
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

/** The value of an option, if it has one of that name. */
export const optionOf = (options: NodeList | undefined, name: string): Node | undefined =>
  (options ?? []).find((option) => option.DefElem?.defname === name)?.DefElem?.arg

/** A number, wherever it fits into one; `undefined` for anything else. */
export const numberOf = (node: Node | undefined): number | undefined => {
  const whole = node?.Integer ?? node?.A_Const?.ival
  if (whole !== undefined) return whole.ival ?? 0
  const text = node?.Float?.fval ?? node?.A_Const?.fval?.fval
  return text === undefined ? undefined : Number(text)
}

/** The text of a constant; `undefined` if it is none. */
export const textOf = (node: Node | undefined): string | undefined => {
  const constant = node?.A_Const ?? node?.TypeCast?.arg?.A_Const
  return constant?.sval === undefined ? undefined : (constant.sval.sval ?? "")
}

/** Fields that hold a node without its type. */
const bareFields: Readonly<Record<string, string>> = {
  argType: "TypeName",
  funccall: "FuncCall",
  intoClause: "IntoClause",
  larg: "SelectStmt",
  rarg: "SelectStmt",
  relation: "RangeVar",
  setstmt: "VariableSetStmt",
  rel: "RangeVar",
  returnType: "TypeName",
  sequence: "RangeVar",
  typeName: "TypeName",
  view: "RangeVar"
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
  // Joins have the same fields as set operations, with nodes of any type in them.
  if (bare !== undefined && !Object.keys(value).some(isTypeName)) return walk(bare, value, visit)
  for (const [key, inner] of Object.entries(value)) {
    const isNode = isTypeName(key) && typeof inner === "object" && inner !== null && !Array.isArray(inner)
    if (isNode) walk(key, inner, visit)
    else descend(key, inner, visit)
  }
}

/** The types of nodes begin with a capital letter, fields with a small one. */
const isTypeName = (key: string): boolean => /^[A-Z]/.test(key)
