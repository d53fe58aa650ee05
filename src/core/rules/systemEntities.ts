import { never, type Parts, type Rule, when } from "./rule.js"

/** What belongs to the service, and what nobody may change about it. */

/** Schemas that are there from the first. */
const systemSchemas: ReadonlySet<string> = new Set(["public", "sys", "pg_catalog", "information_schema"])

/** Those of them in which nobody else has anything. */
const closedSchemas: ReadonlySet<string> = new Set(["sys", "pg_catalog", "information_schema"])

const admin = "admin"

/** Recorded for GRANT USAGE ON SCHEMA public. */
const message = "feature not supported on system entity"

interface RoleSpec {
  readonly rolename?: string
}

interface Named {
  readonly String?: { readonly sval?: string }
  readonly RangeVar?: { readonly schemaname?: string }
  readonly RoleSpec?: RoleSpec
}

type NamedList = ReadonlyArray<Named>

interface Bodies {
  readonly GrantStmt: { readonly objtype: string; readonly targtype?: string; readonly objects?: NamedList }
  readonly AlterRoleStmt: { readonly role?: RoleSpec }
  readonly AlterRoleSetStmt: { readonly role?: RoleSpec }
  readonly DropRoleStmt: { readonly roles?: NamedList }
  readonly RenameStmt: { readonly renameType: string; readonly subname?: string }
  readonly DropStmt: { readonly removeType: string; readonly objects?: NamedList }
  readonly AlterOwnerStmt: { readonly objectType: string; readonly object?: Named }
}

/** As `rule`, for nodes that no other rule looks into as far. */
const rule = <Type extends keyof Bodies>(
  node: Type,
  facts: Parameters<typeof never>[1],
  find: (body: Bodies[Type]) => Parts | undefined
): Rule => ({ ...never(node, facts), find: find as Rule["find"] })

const namesSystemSchema = (objects: NamedList = []): boolean =>
  objects.some(({ String }) => isSystemSchema(String?.sval ?? ""))

const isSystemSchema = (name: string): boolean => systemSchemas.has(name)

const isAdmin = (role: RoleSpec | undefined): Parts | undefined => when(role?.rolename === admin)

const documented = { mark: "documented", source: "guide", message } as const
const inferred = { mark: "inferred", source: "pattern", message } as const

export const systemEntityRules: ReadonlyArray<Rule> = [
  rule(
    "GrantStmt",
    {
      mark: "recorded",
      source: "reports",
      id: "grant-on-system-schema",
      statement: "GRANT, REVOKE on public and the schemas of the system",
      message
    },
    ({ objects, objtype, targtype }) =>
      when(objtype === "OBJECT_SCHEMA" && targtype !== "ACL_TARGET_DEFAULTS" && namesSystemSchema(objects))
  ),
  rule(
    "GrantStmt",
    { ...inferred, id: "grant-on-system-object", statement: "GRANT, REVOKE on what is in the schemas of the system" },
    ({ objects }) => when((objects ?? []).some(({ RangeVar }) => closedSchemas.has(RangeVar?.schemaname ?? "")))
  ),
  rule("AlterRoleStmt", { ...documented, id: "alter-admin", statement: "ALTER ROLE admin" }, ({ role }) =>
    isAdmin(role)
  ),
  rule(
    "AlterRoleSetStmt",
    { ...documented, id: "alter-admin-set", statement: "ALTER ROLE admin SET, RESET" },
    ({ role }) => isAdmin(role)
  ),
  rule("DropRoleStmt", { ...inferred, id: "drop-admin", statement: "DROP ROLE admin" }, ({ roles }) =>
    when((roles ?? []).some(({ RoleSpec }) => RoleSpec?.rolename === admin))
  ),
  rule(
    "RenameStmt",
    {
      ...inferred,
      id: "rename-system-entity",
      statement: "ALTER … RENAME of admin, public and the schemas of the system"
    },
    ({ renameType, subname = "" }) =>
      when(
        (renameType === "OBJECT_ROLE" && subname === admin) ||
          (renameType === "OBJECT_SCHEMA" && isSystemSchema(subname))
      )
  ),
  rule(
    "DropStmt",
    { ...inferred, id: "drop-system-schema", statement: "DROP SCHEMA of public and the schemas of the system" },
    ({ objects, removeType }) => when(removeType === "OBJECT_SCHEMA" && namesSystemSchema(objects))
  ),
  rule(
    "AlterOwnerStmt",
    {
      ...inferred,
      id: "own-system-schema",
      statement: "ALTER SCHEMA … OWNER TO of public and the schemas of the system"
    },
    ({ object, objectType }) => when(objectType === "OBJECT_SCHEMA" && isSystemSchema(object?.String?.sval ?? ""))
  )
]
