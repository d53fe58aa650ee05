import { never, type Parts, type Rule, rule, when } from "./rule.js"
import { optionOf } from "./tree.js"

/** Functions, and what is done to objects of all kinds. */

const recorded = { mark: "recorded", source: "probes" } as const
const reported = { mark: "recorded", source: "reports" } as const
const inferred = { mark: "inferred", source: "pattern" } as const

/** Kinds of objects that can be dropped. A trigger cannot be there, but its absence may be made sure of. */
const droppable: ReadonlySet<string> = new Set(
  "TABLE SEQUENCE VIEW INDEX SCHEMA DOMAIN FUNCTION ROUTINE TRIGGER STATISTIC_EXT"
    .split(" ")
    .map((kind) => `OBJECT_${kind}`)
)

const renamable: ReadonlySet<string> = new Set(
  "TABLE COLUMN TABCONSTRAINT INDEX SEQUENCE VIEW SCHEMA DOMAIN DOMCONSTRAINT FUNCTION ROUTINE ROLE STATISTIC_EXT"
    .split(" ")
    .map((kind) => `OBJECT_${kind}`)
)

const alterType = { statement: "ALTER TYPE", message: "ALTER TYPE not supported" }

export const objectRules: ReadonlyArray<Rule> = [
  rule(
    "CreateFunctionStmt",
    { ...reported, id: "procedure", statement: "CREATE PROCEDURE", message: "PROCEDURE is not supported" },
    ({ is_procedure }) => when(is_procedure === true)
  ),
  rule(
    "CreateFunctionStmt",
    {
      ...recorded,
      id: "function-language",
      statement: "CREATE FUNCTION with another LANGUAGE than sql",
      message: "CREATE FUNCTION with language <language> not supported"
    },
    ({ options }): Parts | undefined => {
      const language = optionOf(options, "language")?.String?.sval
      return language === undefined || language === "sql" ? undefined : { language }
    }
  ),
  never("AlterEnumStmt", { ...recorded, ...alterType, id: "alter-type" }),
  never("AlterTypeStmt", { ...inferred, ...alterType, id: "alter-base-type" }),
  rule("AlterOwnerStmt", { ...inferred, ...alterType, id: "alter-type-owner" }, ({ objectType }) =>
    when(objectType === "OBJECT_TYPE")
  ),
  rule("AlterObjectSchemaStmt", { ...inferred, ...alterType, id: "alter-type-schema" }, ({ objectType }) =>
    when(objectType === "OBJECT_TYPE")
  ),
  rule(
    "DefineStmt",
    {
      ...inferred,
      id: "create-base-type",
      statement: "CREATE TYPE without a body or of C functions",
      message: "CREATE TYPE not supported"
    },
    ({ kind }) => when(kind === "OBJECT_TYPE")
  ),
  rule(
    "DropStmt",
    {
      ...recorded,
      id: "drop-object",
      statement: "DROP TYPE, and DROP of other kinds of objects that the service does not have",
      message: "unsupported object in DROP statement"
    },
    ({ removeType }) => when(!droppable.has(removeType))
  ),
  rule(
    "RenameStmt",
    {
      ...recorded,
      id: "rename-object",
      statement: "ALTER TYPE … RENAME, and RENAME of other kinds of objects that the service does not have",
      message: "unsupported object in RENAME statement"
    },
    ({ renameType }) => when(!renamable.has(renameType))
  )
]
