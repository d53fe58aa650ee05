import { never, type Refusal, refuse, type Rule } from "./rule.js"
import type { Spelling } from "../spellings.js"
import type { Tree } from "./tree.js"

/** What a statement is to the transaction that it runs in. */
export type Role = "begin" | "end" | "ddl" | "dml" | "other"

const ddlNodes: ReadonlySet<string> = new Set(
  (
    "CreateStmt AlterTableStmt IndexStmt ViewStmt CreateSeqStmt AlterSeqStmt CreateSchemaStmt CreateDomainStmt " +
    "AlterDomainStmt CreateFunctionStmt AlterFunctionStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt " +
    "GrantStmt GrantRoleStmt AlterDefaultPrivilegesStmt DropStmt DropOwnedStmt ReassignOwnedStmt RenameStmt " +
    "AlterOwnerStmt AlterObjectSchemaStmt AlterObjectDependsStmt CommentStmt CreateStatsStmt AlterStatsStmt"
  ).split(" ")
)

const dmlNodes: ReadonlySet<string> = new Set(["InsertStmt", "UpdateStmt", "DeleteStmt"])

/** By the tree, or where there is none by the spelling. Whether a query writes depends on what it holds. */
export const roleOf = (
  tree: Tree | undefined,
  spelling: Spelling | undefined,
  holds: (type: string) => boolean
): Role => {
  if (tree === undefined) return spelling === undefined ? "other" : "ddl"
  const { body, type } = tree
  if (type === "TransactionStmt") return transactionRole(body as { readonly kind: string })
  if (ddlNodes.has(type)) return "ddl"
  if (type === "CopyStmt") return (body as { readonly is_from?: boolean }).is_from === true ? "dml" : "other"
  // EXPLAIN runs a statement only with ANALYZE.
  if (type === "ExplainStmt" && !holdsAnalyze(body)) return "other"
  return [...dmlNodes].some(holds) ? "dml" : "other"
}

const transactionRole = ({ kind }: { readonly kind: string }): Role => {
  if (kind === "TRANS_STMT_BEGIN" || kind === "TRANS_STMT_START") return "begin"
  return kind === "TRANS_STMT_COMMIT" || kind === "TRANS_STMT_ROLLBACK" ? "end" : "other"
}

const holdsAnalyze = (body: object): boolean => {
  const { options } = body as { readonly options?: ReadonlyArray<{ readonly DefElem?: { readonly defname: string } }> }
  return options?.some((option) => option.DefElem?.defname === "analyze") ?? false
}

/** They look at no node: what has run before in the same transaction decides. */
export const severalDdl = never("", {
  id: "several-ddl",
  statement: "a second DDL statement in a transaction",
  message: "multiple ddl statements not supported in a transaction",
  mark: "recorded",
  source: "probes"
})

export const ddlWithDml = never("", {
  id: "ddl-with-dml",
  statement: "DDL and DML in one transaction, in either order",
  message: "ddl and dml are not supported in the same transaction",
  mark: "recorded",
  source: "probes"
})

export const mixingRules: ReadonlyArray<Rule> = [severalDdl, ddlWithDml]

/** What has run in the transactions of one session, as far as it can be known from what the client sends. */
export class TransactionState {
  #isBlock = false
  #hasDdl = false
  #hasDml = false

  /** Takes note of a statement that is run now, unless it must be refused. */
  run(role: Role): Refusal | undefined {
    switch (role) {
      case "begin":
        this.#isBlock = true
        return undefined
      case "end":
        this.#end()
        return undefined
      case "ddl": {
        const broken = this.#hasDdl ? severalDdl : this.#hasDml ? ddlWithDml : undefined
        this.#hasDdl = true
        return broken === undefined ? undefined : refuse(broken, {})
      }
      case "dml":
        this.#hasDml = true
        return this.#hasDdl ? refuse(ddlWithDml, {}) : undefined
      case "other":
        return undefined
    }
  }

  /** A simple query or a pipeline is over: outside of a block that was a transaction of its own. */
  endUnit(): void {
    if (!this.#isBlock) this.#end()
  }

  /** What PostgreSQL says, which is right, once it has answered everything. */
  settle(isBlock: boolean): void {
    if (!isBlock) this.#end()
    this.#isBlock = isBlock
  }

  #end(): void {
    this.#isBlock = false
    this.#hasDdl = false
    this.#hasDml = false
  }
}
