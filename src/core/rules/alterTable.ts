import { type Parts, type Rule, rule, when } from "./rule.js"
import type { AlterTableCmd, Constraint } from "./tree.js"

/** The actions of ALTER TABLE. */

const recorded = { mark: "recorded", source: "probes" } as const
const inferred = { mark: "inferred", source: "pattern" } as const

/** The actions that the service does not have, in PostgreSQL's own words for them, which it uses. */
const recordedActions: Readonly<Record<string, string>> = {
  AT_AlterColumnType: "ALTER COLUMN ... SET DATA TYPE",
  AT_SetNotNull: "ALTER COLUMN ... SET NOT NULL",
  AT_SetStatistics: "ALTER COLUMN ... SET STATISTICS"
}

const inferredActions: Readonly<Record<string, string>> = {
  AT_SetOptions: "ALTER COLUMN ... SET",
  AT_ResetOptions: "ALTER COLUMN ... RESET",
  AT_AlterColumnGenericOptions: "ALTER COLUMN ... OPTIONS",
  AT_AlterConstraint: "ALTER CONSTRAINT",
  AT_ClusterOn: "CLUSTER",
  AT_DropCluster: "SET WITHOUT CLUSTER",
  AT_SetLogged: "SET LOGGED",
  AT_SetUnLogged: "SET UNLOGGED",
  AT_DropOids: "SET WITHOUT OIDS",
  AT_SetAccessMethod: "SET ACCESS METHOD",
  AT_SetTableSpace: "SET TABLESPACE",
  AT_SetRelOptions: "SET",
  AT_ResetRelOptions: "RESET",
  AT_EnableTrig: "ENABLE TRIGGER",
  AT_EnableAlwaysTrig: "ENABLE ALWAYS TRIGGER",
  AT_EnableReplicaTrig: "ENABLE REPLICA TRIGGER",
  AT_DisableTrig: "DISABLE TRIGGER",
  AT_EnableRule: "ENABLE RULE",
  AT_EnableAlwaysRule: "ENABLE ALWAYS RULE",
  AT_EnableReplicaRule: "ENABLE REPLICA RULE",
  AT_DisableRule: "DISABLE RULE",
  AT_AddInherit: "INHERIT",
  AT_DropInherit: "NO INHERIT",
  AT_AddOf: "OF",
  AT_DropOf: "NOT OF",
  AT_ReplicaIdentity: "REPLICA IDENTITY",
  AT_EnableRowSecurity: "ENABLE ROW SECURITY",
  AT_DisableRowSecurity: "DISABLE ROW SECURITY",
  AT_ForceRowSecurity: "FORCE ROW SECURITY",
  AT_NoForceRowSecurity: "NO FORCE ROW SECURITY",
  AT_GenericOptions: "OPTIONS",
  AT_AttachPartition: "ATTACH PARTITION",
  AT_DetachPartition: "DETACH PARTITION",
  AT_DetachPartitionFinalize: "DETACH PARTITION ... FINALIZE"
}

const message = "unsupported ALTER TABLE <action> statement"

const actionIn =
  (actions: Readonly<Record<string, string>>) =>
  ({ subtype }: AlterTableCmd): Parts | undefined => {
    const action = actions[subtype]
    return action === undefined ? undefined : { action }
  }

const constraintOf = ({ def }: AlterTableCmd): Constraint | undefined => def?.Constraint

/** CHECK and FOREIGN KEY without a look at the rows that are there, and UNIQUE by an index that is there. */
const canBeAdded = ({ contype, indexname, skip_validation }: Constraint): boolean => {
  if (contype === "CONSTR_UNIQUE") return indexname !== undefined
  return skip_validation === true && (contype === "CONSTR_CHECK" || contype === "CONSTR_FOREIGN")
}

/** NULL is no constraint; what the service says of it is not known. */
const isNone = (contype: string | undefined): boolean => contype === "CONSTR_NULL"

export const alterTableRules: ReadonlyArray<Rule> = [
  rule(
    "AlterTableStmt",
    {
      ...inferred,
      id: "alter-type-attributes",
      statement: "ALTER TYPE … ADD ATTRIBUTE, DROP ATTRIBUTE, ALTER ATTRIBUTE",
      message: "ALTER TYPE not supported"
    },
    ({ objtype }) => when(objtype === "OBJECT_TYPE")
  ),
  rule(
    "AlterTableCmd",
    {
      ...recorded,
      id: "alter-table-action",
      statement: "ALTER TABLE … ALTER COLUMN … TYPE, SET NOT NULL, SET STATISTICS",
      message
    },
    actionIn(recordedActions)
  ),
  rule(
    "AlterTableCmd",
    {
      ...recorded,
      id: "add-column-constraint",
      statement: "ALTER TABLE … ADD COLUMN with DEFAULT, NOT NULL, CHECK, a key, REFERENCES or identity",
      message: "ALTER TABLE ADD COLUMN with constraint not supported"
    },
    ({ def, subtype }) => {
      const constraints = subtype === "AT_AddColumn" ? (def?.ColumnDef?.constraints ?? []) : []
      return when(constraints.some((node) => !isNone(node.Constraint?.contype)))
    }
  ),
  rule(
    "AlterTableCmd",
    {
      ...recorded,
      id: "add-constraint",
      statement: "ALTER TABLE … ADD a key, or CHECK and FOREIGN KEY without NOT VALID",
      message: "unsupported ALTER TABLE ADD CONSTRAINT statement"
    },
    (command) => {
      const constraint = command.subtype === "AT_AddConstraint" ? constraintOf(command) : undefined
      return when(constraint !== undefined && !canBeAdded(constraint))
    }
  ),
  rule(
    "AlterTableCmd",
    {
      ...recorded,
      id: "validate-constraint",
      statement: "ALTER TABLE … VALIDATE CONSTRAINT without ASYNC",
      message: "unsupported ALTER TABLE VALIDATE CONSTRAINT statement"
    },
    ({ subtype }, { spelling }) => when(subtype === "AT_ValidateConstraint" && spelling?._tag !== "AlterTableAsync")
  ),
  rule(
    "AlterTableCmd",
    {
      ...inferred,
      id: "alter-table-async",
      statement: "ALTER TABLE ASYNC with another action than VALIDATE CONSTRAINT",
      message: "unsupported ALTER TABLE ASYNC statement"
    },
    ({ subtype }, { spelling }) => when(subtype !== "AT_ValidateConstraint" && spelling?._tag === "AlterTableAsync")
  ),
  rule(
    "AlterTableCmd",
    {
      ...inferred,
      id: "alter-table-other-action",
      statement: "ALTER TABLE with an action that the guide does not list",
      message
    },
    actionIn(inferredActions)
  )
]
