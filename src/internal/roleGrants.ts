/** What may be asked of `roles`, checked before it becomes SQL. */
import * as Either from "effect/Either"
import type { Access, RoleGrants } from "../core/roles.js"
import { adminRole } from "../core/roles.js"
import type { DsqlConfigError } from "../Errors.js"
import { invalid } from "./checks.js"

export interface RoleOptions {
  readonly role: string
  readonly arns: ReadonlyArray<string>
  readonly schema?: string | undefined
  readonly access: Access
}

/** PostgreSQL cuts longer names without a word (NAMEDATALEN). */
const longestName = 63

const taken = /^(?:public|none|pg_.*)$/

const closedSchemas = /^(?:sys|information_schema|pg_.*)$/

const name = (option: string, value: string): Either.Either<string, DsqlConfigError> => {
  if (value === "" || value.includes("\0")) return Either.left(invalid(option, "must not be empty or contain NUL"))
  return Buffer.byteLength(value) > longestName
    ? Either.left(invalid(option, `must be at most ${longestName} bytes long, as a name in PostgreSQL is`))
    : Either.right(value)
}

const identity = /^arn:aws[a-z-]*:iam::(\d{12}):(?:user|role)\/[!-~]+$/
const session = /^(arn:aws[a-z-]*):sts::(\d{12}):assumed-role\/([^/]+)\/.+$/

/** Whom roles are mapped to when this identity is to log in: for a session of a role, that role. Its path is not told. */
export const granteeOf = (arn: string): string => {
  const [, partition, account, role] = session.exec(arn) ?? []
  return partition === undefined ? arn : `${partition}:iam::${account}:role/${role}`
}

const arn = (value: string): Either.Either<string, DsqlConfigError> => {
  if (identity.test(value)) return Either.right(value)
  const grantee = granteeOf(value)
  const instead =
    grantee === value
      ? `must be the ARN of an IAM user or role, such as arn:aws:iam::111122223333:role/orders, not ${JSON.stringify(value)}`
      : `is of one session of a role; map the role itself: ${grantee} (with its path, if it has one)`
  return Either.left(invalid("arn", instead))
}

/** The account of an identity that {@link roleGrants} has accepted. */
export const accountOf = (arn: string): string | undefined => identity.exec(arn)?.[1]

export const account = (value: string): Either.Either<string, DsqlConfigError> =>
  /^\d{12}$/.test(value)
    ? Either.right(value)
    : Either.left(invalid("account", `must be the 12 digits of an AWS account, not ${JSON.stringify(value)}`))

export const roleGrants = (options: RoleOptions): Either.Either<RoleGrants, DsqlConfigError> =>
  Either.gen(function* () {
    const role = yield* name("role", options.role)
    if (taken.test(role)) yield* Either.left(invalid("role", `"${role}" is a name that PostgreSQL keeps for itself`))
    const arns = yield* Either.all(options.arns.map(arn))
    const schema = options.schema === undefined ? undefined : yield* name("schema", options.schema)
    if (schema !== undefined && closedSchemas.test(schema)) {
      yield* Either.left(invalid("schema", `nothing in ${schema} can be granted: it belongs to the service`))
    }
    if (role === adminRole && schema !== undefined) {
      yield* Either.left(
        invalid("schema", "admin may use every schema that it owns; nothing can be granted to it here")
      )
    }
    if (role !== adminRole && arns.length === 0) {
      yield* Either.left(
        invalid("arn", "must name who logs in as the role; `aws sts get-caller-identity` tells who you are")
      )
    }
    return { role, arns, schema, access: options.access }
  })
