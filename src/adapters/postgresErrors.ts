/** What the errors of postgres.js mean, and queries that fail with ours. */
import type { Resolved } from "../Config.js"
import type { ServerError } from "../core/serverError.js"
import { type DsqlError, isDsqlError } from "../Errors.js"
import { dialError, lostError, reasonOf, statementError } from "../internal/driverError.js"

/** The fields of an ErrorResponse by the driver's names. */
interface PostgresError {
  readonly severity?: string
  readonly code: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
  readonly position?: string
  readonly where?: string
  readonly schema_name?: string
  readonly table_name?: string
  readonly column_name?: string
  readonly "data type_name"?: string
  readonly constraint_name?: string
  readonly routine?: string
}

const isPostgresError = (u: unknown): u is PostgresError => u instanceof Error && u.name === "PostgresError"

const saidBy = (u: unknown): ServerError | undefined =>
  isPostgresError(u)
    ? {
        severity: u.severity,
        sqlState: u.code,
        message: u.message,
        detail: u.detail,
        hint: u.hint,
        position: u.position,
        where: u.where,
        schema: u.schema_name,
        table: u.table_name,
        column: u.column_name,
        dataType: u["data type_name"],
        constraint: u.constraint_name,
        routine: u.routine
      }
    : undefined

/** How the program misuses the driver: nothing that a server or a network has said. */
const misuse = /^(?:UNSAFE_TRANSACTION|NOT_TAGGED_CALL|COPY_IN_PROGRESS|MAX_PARAMETERS_EXCEEDED|UNDEFINED_VALUE)$/

/** `sent` says whether a statement was under way on an open connection. What is none of the database's stays as it is. */
export const postgresError = (config: Resolved, cause: unknown, sent: boolean): unknown => {
  const { code } = (cause ?? {}) as { readonly code?: unknown }
  if (isDsqlError(cause) || !(cause instanceof Error) || misuse.test(String(code))) return cause
  const server = saidBy(cause)
  if (!sent) return dialError(config, cause, server)
  // Whatever else has a code comes from the socket; what has none was thrown when a value was converted.
  if (server !== undefined || code === undefined) return statementError(config, cause, server)
  return reasonOf(cause) === "PoolClosed" ? dialError(config, cause) : lostError(config, cause)
}

/** A query of the driver, as far as its outcome goes. */
interface Query {
  reject: (error: unknown) => void
  /** Sends it, when somebody waits for it. */
  handler: (query: Query) => void
  readonly state: unknown
}

const isQuery = (u: unknown): u is Query => u instanceof Promise && "reject" in u && "handler" in u && "state" in u

/** Changes what a query rejects with; a cursor puts another `reject` in the place of the first. */
const rejectingWith = (query: Query, change: (error: unknown, sent: boolean) => unknown): void => {
  let { reject } = query
  Object.defineProperty(query, "reject", {
    get: () => (error: unknown) => reject(change(error, Boolean(query.state))),
    set: (other: Query["reject"]) => {
      reject = other
    }
  })
}

export interface Watch {
  /** What becomes of the error of a query. */
  readonly change: (error: unknown, sent: boolean) => unknown
  /** Why nothing may be asked any more. Helpers, which ask nothing, go on as they are. */
  readonly refusal: () => DsqlError | undefined
  /** Members to put in the place of the driver's. */
  readonly members: Readonly<Record<PropertyKey, unknown>>
}

/** The same `sql`, with another outcome of its queries. */
export const watched = <S extends object>(sql: S, { change, members, refusal }: Watch): S => {
  const call = (target: object, self: unknown, args: ReadonlyArray<unknown>): unknown => {
    const result: unknown = Reflect.apply(target as (...args: ReadonlyArray<unknown>) => unknown, self, args)
    if (!isQuery(result)) return result
    const refused = refusal()
    if (refused === undefined) rejectingWith(result, change)
    else result.handler = () => result.reject(refused)
    return result
  }
  return new Proxy<S>(sql, {
    apply: call,
    get: (target, name) => {
      if (Object.hasOwn(members, name)) return members[name]
      const value: unknown = Reflect.get(target, name)
      return name === "unsafe" || name === "file"
        ? (...args: ReadonlyArray<unknown>) => call(value as object, target, args)
        : value
    }
  })
}
