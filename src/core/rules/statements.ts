import { never, type Rule, rule, when } from "./rule.js"

/** Whole statements that the service does not have, by the names it gives them. */

const recorded = { mark: "recorded", source: "probes" } as const
const reported = { mark: "recorded", source: "reports" } as const
/** The text follows the pattern of the recorded ones: the name of PostgreSQL's node. */
const inferred = { mark: "inferred", source: "pattern" } as const

const unsupported = (
  node: string,
  statement: string,
  known: typeof recorded | typeof reported | typeof inferred
): Rule => {
  const name = node.replace(/Stmt$/, "")
  return never(node, {
    ...known,
    id: `unsupported-${name.replace(/(?<!^)([A-Z])/g, "-$1").toLowerCase()}`,
    statement,
    message: `unsupported statement: ${name}`
  })
}

/** Those of which no answer is known. */
const others: ReadonlyArray<readonly [node: string, statement: string]> = [
  ["PrepareStmt", "PREPARE"],
  ["ExecuteStmt", "EXECUTE"],
  ["DiscardStmt", "DISCARD"],
  ["DoStmt", "DO"],
  ["RuleStmt", "CREATE RULE"],
  ["CreatePolicyStmt", "CREATE POLICY"],
  ["AlterPolicyStmt", "ALTER POLICY"],
  ["CreatePublicationStmt", "CREATE PUBLICATION"],
  ["AlterPublicationStmt", "ALTER PUBLICATION"],
  ["CreateSubscriptionStmt", "CREATE SUBSCRIPTION"],
  ["AlterSubscriptionStmt", "ALTER SUBSCRIPTION"],
  ["DropSubscriptionStmt", "DROP SUBSCRIPTION"],
  ["CreateCastStmt", "CREATE CAST"],
  ["CreateConversionStmt", "CREATE CONVERSION"],
  ["CreateTransformStmt", "CREATE TRANSFORM"],
  ["CreateOpClassStmt", "CREATE OPERATOR CLASS"],
  ["CreateOpFamilyStmt", "CREATE OPERATOR FAMILY"],
  ["AlterOpFamilyStmt", "ALTER OPERATOR FAMILY"],
  ["AlterOperatorStmt", "ALTER OPERATOR"],
  ["DefineStmt", "CREATE AGGREGATE, OPERATOR, COLLATION, TEXT SEARCH …"],
  ["AlterCollationStmt", "ALTER COLLATION"],
  ["AlterTSConfigurationStmt", "ALTER TEXT SEARCH CONFIGURATION"],
  ["AlterTSDictionaryStmt", "ALTER TEXT SEARCH DICTIONARY"],
  ["CreatePLangStmt", "CREATE LANGUAGE"],
  ["CreateAmStmt", "CREATE ACCESS METHOD"],
  ["CreateEventTrigStmt", "CREATE EVENT TRIGGER"],
  ["AlterEventTrigStmt", "ALTER EVENT TRIGGER"],
  ["AlterExtensionStmt", "ALTER EXTENSION … UPDATE"],
  ["AlterExtensionContentsStmt", "ALTER EXTENSION … ADD, DROP"],
  ["CreateFdwStmt", "CREATE FOREIGN DATA WRAPPER"],
  ["AlterFdwStmt", "ALTER FOREIGN DATA WRAPPER"],
  ["CreateForeignServerStmt", "CREATE SERVER"],
  ["AlterForeignServerStmt", "ALTER SERVER"],
  ["CreateUserMappingStmt", "CREATE USER MAPPING"],
  ["AlterUserMappingStmt", "ALTER USER MAPPING"],
  ["DropUserMappingStmt", "DROP USER MAPPING"],
  ["ImportForeignSchemaStmt", "IMPORT FOREIGN SCHEMA"],
  ["RefreshMatViewStmt", "REFRESH MATERIALIZED VIEW"],
  ["ClusterStmt", "CLUSTER"],
  ["ReindexStmt", "REINDEX"],
  ["CheckPointStmt", "CHECKPOINT"],
  ["LoadStmt", "LOAD"],
  ["SecLabelStmt", "SECURITY LABEL"],
  ["AlterDatabaseStmt", "ALTER DATABASE"],
  ["AlterDatabaseSetStmt", "ALTER DATABASE … SET"],
  ["DropdbStmt", "DROP DATABASE"],
  ["DropTableSpaceStmt", "DROP TABLESPACE"],
  ["AlterTableSpaceOptionsStmt", "ALTER TABLESPACE"],
  ["AlterTableMoveAllStmt", "ALTER TABLE ALL IN TABLESPACE"],
  ["DropOwnedStmt", "DROP OWNED"],
  ["ReassignOwnedStmt", "REASSIGN OWNED"]
]

export const statementRules: ReadonlyArray<Rule> = [
  unsupported("TruncateStmt", "TRUNCATE", recorded),
  unsupported("CreateExtensionStmt", "CREATE EXTENSION", recorded),
  unsupported("CreatedbStmt", "CREATE DATABASE", recorded),
  unsupported("CreateTableAsStmt", "CREATE TABLE AS, CREATE MATERIALIZED VIEW", recorded),
  unsupported("CompositeTypeStmt", "CREATE TYPE … AS (…)", recorded),
  unsupported("CreateRangeStmt", "CREATE TYPE … AS RANGE", recorded),
  unsupported("CreateTableSpaceStmt", "CREATE TABLESPACE", recorded),
  unsupported("CreateForeignTableStmt", "CREATE FOREIGN TABLE", recorded),
  unsupported("ListenStmt", "LISTEN", recorded),
  unsupported("NotifyStmt", "NOTIFY", recorded),
  unsupported("UnlistenStmt", "UNLISTEN", recorded),
  unsupported("AlterSystemStmt", "ALTER SYSTEM", recorded),
  unsupported("LockStmt", "LOCK TABLE", reported),
  unsupported("DeclareCursorStmt", "DECLARE", reported),
  rule(
    "IntoClause",
    { ...inferred, id: "select-into", statement: "SELECT … INTO", message: "unsupported statement: CreateTableAs" },
    // CREATE TABLE AS has one too, and a rule of its own.
    (_, { statement }) => when(statement !== "CreateTableAsStmt")
  ),
  rule(
    "VacuumStmt",
    { ...recorded, id: "unsupported-vacuum", statement: "VACUUM", message: "unsupported VACUUM statement" },
    // ANALYZE is the same node.
    ({ is_vacuumcmd }) => when(is_vacuumcmd === true)
  ),
  never("MergeStmt", {
    ...recorded,
    id: "unsupported-merge",
    statement: "MERGE",
    message: "unsupported statement type: MERGE"
  }),
  never("CreateTrigStmt", {
    ...recorded,
    id: "create-trigger",
    statement: "CREATE TRIGGER",
    message: "CREATE TRIGGER not supported"
  }),
  never("CreateEnumStmt", {
    ...recorded,
    id: "create-type-enum",
    statement: "CREATE TYPE … AS ENUM",
    message: "CREATE TYPE not supported"
  }),
  ...others.map(([node, statement]) => unsupported(node, statement, inferred))
]

/** Statements about transactions. */
export const transactionRules: ReadonlyArray<Rule> = [
  rule(
    "TransactionStmt",
    {
      ...recorded,
      id: "savepoint",
      statement: "SAVEPOINT, RELEASE, ROLLBACK TO",
      message: "unsupported transaction statement: <verb>"
    },
    ({ kind }) => {
      const verb = savepointVerbs[kind]
      return verb === undefined ? undefined : { verb }
    }
  ),
  rule(
    "TransactionStmt",
    {
      ...inferred,
      id: "two-phase-commit",
      statement: "PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED",
      message: "unsupported transaction statement: <verb>"
    },
    ({ kind }) => {
      const verb = preparedVerbs[kind]
      return verb === undefined ? undefined : { verb }
    }
  ),
  rule(
    "TransactionStmt",
    {
      ...inferred,
      id: "and-chain",
      statement: "COMMIT AND CHAIN, ROLLBACK AND CHAIN",
      message: "unsupported transaction statement: AND CHAIN"
    },
    ({ chain }) => when(chain === true)
  )
]

const savepointVerbs: Readonly<Record<string, string>> = {
  TRANS_STMT_SAVEPOINT: "SAVEPOINT",
  TRANS_STMT_RELEASE: "RELEASE",
  TRANS_STMT_ROLLBACK_TO: "ROLLBACK TO"
}

const preparedVerbs: Readonly<Record<string, string>> = {
  TRANS_STMT_PREPARE: "PREPARE TRANSACTION",
  TRANS_STMT_COMMIT_PREPARED: "COMMIT PREPARED",
  TRANS_STMT_ROLLBACK_PREPARED: "ROLLBACK PREPARED"
}
