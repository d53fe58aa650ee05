import { never, type Parts, type Rule, rule, when } from "./rule.js"
import { stringsOf } from "./tree.js"
import { refusedTypeFunction, refusedValueType } from "./types.js"

/** What may not stand in a query, wherever the query stands. */

const recorded = { mark: "recorded", source: "probes" } as const
const inferred = { mark: "inferred", source: "pattern" } as const

const geometry = {
  ...recorded,
  statement: "values of a geometric type",
  message: "datatype <type> not supported"
}

const advisoryLocks = [
  ...["", "try_"].flatMap((way) => ["", "xact_"].map((span) => `pg_${way}advisory_${span}lock`)),
  "pg_advisory_unlock"
].flatMap((name) => [name, `${name}_shared`])

const lockFunctions: ReadonlySet<string> = new Set([...advisoryLocks, "pg_advisory_unlock_all"])

const otherFunctions: ReadonlySet<string> = new Set(
  "inet_server_addr inet_server_port pg_notify pg_listening_channels pg_export_snapshot lo_create lo_creat lo_unlink lo_open lo_close lo_put lo_get lo_from_bytea lo_import lo_export".split(
    " "
  )
)

/** Views over what the service has no single place for. */
const otherViews = /^(?:pg_locks|pg_cursors|pg_stat_(?!s_ext|istic).*|pg_statio_.*|pg_wait_.*|pg_shmem_allocations)$/

/** The name of a function that is PostgreSQL's own, or may be. */
const builtinName = (names: ReadonlyArray<string>): string | undefined =>
  names.length === 1 || (names.length === 2 && names[0] === "pg_catalog") ? names.at(-1) : undefined

const functionIn =
  (functions: ReadonlySet<string>) =>
  ({ funcname }: { readonly funcname?: Parameters<typeof stringsOf>[0] }): Parts | undefined => {
    const name = builtinName(stringsOf(funcname))
    return name !== undefined && functions.has(name) ? { name } : undefined
  }

export const queryRules: ReadonlyArray<Rule> = [
  rule(
    "LockingClause",
    {
      ...recorded,
      id: "locking-strength",
      statement: "FOR SHARE, FOR NO KEY UPDATE",
      message: "locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported"
    },
    ({ strength }) => when(strength === "LCS_FORSHARE" || strength === "LCS_FORNOKEYUPDATE")
  ),
  never("RangeTableSample", {
    ...recorded,
    id: "tablesample",
    statement: "TABLESAMPLE",
    message: "TABLESAMPLE clause not supported"
  }),
  rule("FuncCall", { ...geometry, id: "geometric-function" }, ({ funcname }) => {
    const name = builtinName(stringsOf(funcname))
    return name === undefined ? undefined : refusedTypeFunction(name)
  }),
  rule("TypeCast", { ...geometry, ...inferred, id: "geometric-cast" }, ({ typeName }) =>
    typeName === undefined ? undefined : refusedValueType(typeName)
  ),
  rule(
    "FuncCall",
    {
      mark: "recorded",
      source: "reports",
      id: "advisory-lock",
      statement: "functions of advisory locks",
      message: "function <name> not supported"
    },
    functionIn(lockFunctions)
  ),
  rule(
    "FuncCall",
    {
      ...inferred,
      id: "unavailable-function",
      statement: "functions about the server's address, notifications and large objects",
      message: "function <name> not supported"
    },
    functionIn(otherFunctions)
  ),
  rule(
    "RangeVar",
    {
      ...inferred,
      id: "unavailable-view",
      statement: "pg_locks, pg_cursors, pg_stat_activity and the other pg_stat_ views; pg_stats is there",
      sqlState: "42P01",
      message: 'relation "<name>" does not exist'
    },
    ({ relname, schemaname }): Parts | undefined => {
      if (schemaname !== undefined && schemaname !== "pg_catalog") return undefined
      if (!otherViews.test(relname)) return undefined
      return { name: schemaname === undefined ? relname : `${schemaname}.${relname}` }
    }
  )
]
