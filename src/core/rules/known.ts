import type { Tree } from "./tree.js"

/**
 * Statements that the service is known to take, by the guide or by recorded answers. What neither a rule refuses nor this
 * list names is not judged: PostgreSQL decides.
 */
const taken: ReadonlySet<string> = new Set(
  (
    "SelectStmt InsertStmt UpdateStmt DeleteStmt CopyStmt ExplainStmt VacuumStmt CallStmt TransactionStmt " +
    "VariableSetStmt VariableShowStmt DeallocateStmt ConstraintsSetStmt CreateStmt AlterTableStmt IndexStmt ViewStmt " +
    "CreateSeqStmt AlterSeqStmt CreateSchemaStmt CreateDomainStmt AlterDomainStmt CreateFunctionStmt " +
    "AlterFunctionStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt GrantStmt GrantRoleStmt " +
    "AlterDefaultPrivilegesStmt DropStmt RenameStmt AlterOwnerStmt AlterObjectSchemaStmt CommentStmt CreateStatsStmt"
  ).split(" ")
)

export const isTaken = (type: Tree["type"]): boolean => taken.has(type)
