/** A database role and who may log in as it: the statements that make it, and the IAM policy beside them. */
import { quotedName, quotedText } from "./quoting.js"

/** The role of every cluster. It is there from the first, and may do everything. */
export const adminRole = "admin"

export type Access = "read-write" | "read-only"

export interface RoleGrants {
  readonly role: string
  /** IAM users and roles that may log in as it. */
  readonly arns: ReadonlyArray<string>
  readonly schema?: string | undefined
  readonly access: Access
}

const privilegesOf: Readonly<Record<Access, string>> = {
  "read-write": "SELECT, INSERT, UPDATE, DELETE",
  "read-only": "SELECT"
}

export const createRole = (role: string): string => `CREATE ROLE ${quotedName(role)} WITH LOGIN`

export const mapArn = (role: string, arn: string): string => `AWS IAM GRANT ${quotedName(role)} TO ${quotedText(arn)}`

/**
 * In an order in which each can run: what is granted to a role needs the role. Each is a DDL statement for the service, so
 * each needs a transaction of its own. `admin` needs none.
 */
export const roleStatements = ({ access, arns, role, schema }: RoleGrants): ReadonlyArray<string> => {
  if (role === adminRole) return []
  const to = quotedName(role)
  const statements = [createRole(role), ...arns.map((arn) => mapArn(role, arn))]
  if (schema === undefined) return statements
  const where = quotedName(schema)
  const privileges = privilegesOf[access]
  return [
    ...statements,
    // The service refuses the grant for `public` (0A000), which is there and which every role may use as it is.
    ...(schema === "public" ? [] : [`CREATE SCHEMA IF NOT EXISTS ${where}`, `GRANT USAGE ON SCHEMA ${where} TO ${to}`]),
    `GRANT ${privileges} ON ALL TABLES IN SCHEMA ${where} TO ${to}`,
    `ALTER DEFAULT PRIVILEGES IN SCHEMA ${where} GRANT ${privileges} ON TABLES TO ${to}`
  ]
}

export type LoginAction = "DbConnect" | "DbConnectAdmin"

/** Which action of IAM a login needs. */
export const loginAction = (user: string): LoginAction => (user === adminRole ? "DbConnectAdmin" : "DbConnect")

/** AWS names its partitions in front of every ARN; a region tells which it is in. */
const partitionOf = (region: string): string =>
  region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws"

export const clusterArn = (cluster: {
  readonly account: string
  readonly clusterId: string
  readonly region: string
}): string =>
  `arn:${partitionOf(cluster.region)}:dsql:${cluster.region}:${cluster.account}:cluster/${cluster.clusterId}`

/** A statement of an IAM policy that allows one action on one resource, and no more. */
export interface PolicyStatement {
  readonly Effect: "Allow"
  readonly Action: string
  readonly Resource: string
}

export interface Policy {
  readonly Version: "2012-10-17"
  readonly Statement: ReadonlyArray<PolicyStatement>
}

export const policyFor = (action: string, resource: string): Policy => ({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: action, Resource: resource }]
})
