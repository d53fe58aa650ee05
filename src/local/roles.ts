import { withInternalSession } from "./internalSession.js"
import { literal } from "./quoting.js"
import { roleDoesNotExist, roleMustLogin, roleNotMapped, serverUnavailable } from "./refusals.js"
import { hiddenSchema } from "./systemSchema.js"
import type { Principal } from "./iam.js"
import type { ErrorFields } from "./wire.js"

/** Why a principal may not log in as a role other than `admin`; `undefined` if it may. */
export const roleRefusal = async (
  socketPath: string,
  internalUser: string,
  database: string,
  role: string,
  { arn, grantee }: Principal
): Promise<ErrorFields | undefined> => {
  const rows = await withInternalSession(socketPath, internalUser, database, ({ run }) =>
    run(`SELECT r.rolcanlogin, EXISTS (
        SELECT FROM ${hiddenSchema}.mapping m WHERE m.role = r.oid AND m.arn = ${literal(grantee)})
      FROM pg_roles r WHERE r.rolname = ${literal(role)}`)
  ).catch(() => undefined)
  if (rows === undefined) return serverUnavailable
  const [found] = rows
  if (found === undefined) return roleDoesNotExist(role)
  const [canLogin, isMapped] = found
  if (canLogin !== "t") return roleMustLogin(role)
  return isMapped === "t" ? undefined : roleNotMapped(arn)
}
