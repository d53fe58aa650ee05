import { type Parts, type Rule, rule, when } from "./rule.js"
import { stringsOf, textOf, type VariableSetStmt } from "./tree.js"

/** SET, RESET, set_config, and what a transaction may be begun with. */

/** The complete list of the guide; `role` besides, with SET LOCAL only. */
const settable: ReadonlySet<string> = new Set(
  (
    "application_name client_encoding datestyle extra_float_digits intervalstyle timezone search_path " +
    "enable_bitmapscan enable_hashjoin enable_indexonlyscan enable_indexscan enable_material enable_mergejoin " +
    "enable_nestloop dsql.enable_batched_nestloop enable_seqscan disable_sync_create_index"
  ).split(" ")
)

/** Whether sessions may set it, whatever the case of its letters. */
export const isSettable = (name: string): boolean => settable.has(name.toLowerCase())

/** All that sessions may set, in the order of the guide. */
export const settableNames: ReadonlyArray<string> = [...settable]

const message = 'setting configuration parameter "<name>" not supported'

/** What the service answers to a setting that it does not have; also to the options of a login. */
export const settingRefusal = (name: string) => ({
  code: "0A000",
  message: message.replace("<name>", name)
})

/** The only isolation level. */
const isolation = "repeatable read"

const isTransactionMode = ({ kind }: VariableSetStmt): boolean => kind === "VAR_SET_MULTI"

export const settingRules: ReadonlyArray<Rule> = [
  rule(
    "DefElem",
    {
      mark: "recorded",
      source: "probes",
      id: "isolation-level",
      statement: "BEGIN, START TRANSACTION, SET TRANSACTION with another ISOLATION LEVEL than REPEATABLE READ",
      message: "Unsupported isolation level: <level>"
    },
    ({ arg, defname }) => {
      const level = defname === "transaction_isolation" ? textOf(arg) : undefined
      return level === undefined || level === isolation ? undefined : { level: level.toUpperCase() }
    }
  ),
  rule(
    "VariableSetStmt",
    {
      mark: "recorded",
      source: "probes",
      id: "set-transaction",
      statement: "SET TRANSACTION, SET SESSION CHARACTERISTICS",
      message
    },
    (set): Parts | undefined => (isTransactionMode(set) ? { name: set.name ?? "TRANSACTION" } : undefined)
  ),
  rule(
    "VariableSetStmt",
    {
      mark: "recorded",
      source: "probes",
      id: "set",
      statement: "SET of a parameter that is not on the guide's list",
      message
    },
    (set): Parts | undefined => {
      const { is_local, kind, name } = set
      if (name === undefined || isTransactionMode(set) || kind === "VAR_RESET") return undefined
      // The guide allows it inside a block only, and for its length.
      if (name === "role") return is_local === true ? undefined : { name }
      if (name === "session_authorization" && kind === "VAR_SET_DEFAULT") return undefined
      return isSettable(name) ? undefined : { name }
    }
  ),
  rule(
    "VariableSetStmt",
    {
      mark: "inferred",
      source: "pattern",
      id: "reset",
      statement: "RESET of a parameter that cannot be set",
      message
    },
    ({ kind, name }): Parts | undefined => {
      if (kind !== "VAR_RESET" || name === undefined) return undefined
      return isSettable(name) || name === "role" || name === "session_authorization" ? undefined : { name }
    }
  ),
  rule(
    "FuncCall",
    {
      mark: "documented",
      source: "tools",
      id: "set-config",
      statement: "set_config of a parameter that is not on the guide's list",
      message
    },
    ({ args, funcname }): Parts | undefined => {
      const names = stringsOf(funcname)
      const isOther = names.length > 1 && names[0] !== "pg_catalog"
      const name = isOther || names.at(-1) !== "set_config" ? undefined : textOf(args?.[0])
      return name === undefined || isSettable(name) || name === "role" ? undefined : { name }
    }
  ),
  rule(
    "DeallocateStmt",
    {
      mark: "inferred",
      source: "pattern",
      id: "deallocate-name",
      statement: "DEALLOCATE of one statement; DEALLOCATE ALL is taken",
      message: "unsupported statement: Deallocate"
    },
    ({ name }) => when(name !== undefined)
  )
]
