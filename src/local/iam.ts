import { LocalClusterError } from "./errors.js"

/** What an identity's policy may allow on a cluster. */
export type Action = "dsql:DbConnect" | "dsql:DbConnectAdmin"

/** Credentials, and whose they are. */
export interface Identity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  /**
   * A user, a role or a session of a role. By default a user named as the access key, or with a session token a session of
   * a role named so.
   */
  readonly arn?: string | undefined
  /** By default all. */
  readonly allowedActions?: ReadonlyArray<Action> | undefined
}

/** An identity with its defaults filled in. */
export interface Principal extends Identity {
  /** As AWS calls it where it refuses something. */
  readonly arn: string
  /** What database roles are granted to: for a session of a role that role, else the ARN itself. */
  readonly grantee: string
  readonly allowedActions: ReadonlyArray<Action>
}

/** The account of everything that is not given another: the one of AWS's examples. */
export const accountId = "123456789012"

const user = /^arn:aws[a-z-]*:iam::\d{12}:(?:user|role)\/[!-~]+$/
const assumedRole = /^(arn:aws[a-z-]*):sts::(\d{12}):assumed-role\/([\w+=,.@-]+)\/[\w+=,.@-]+$/

/** The "IAM" of a cluster: who it knows. */
export class Iam {
  readonly #principals = new Map<string, Principal>()

  /** Makes an identity known, in the place of one with the same access key. */
  add(identity: Identity): Principal {
    const arn = identity.arn ?? defaultArn(identity)
    const role = assumedRole.exec(arn)
    if (role === null && !user.test(arn)) {
      throw new LocalClusterError(
        "InvalidArn",
        `${JSON.stringify(arn)} is no identity. Use arn:aws:iam::<12 digits>:user/<name>, arn:aws:iam::<12 digits>:role/<name> or arn:aws:sts::<12 digits>:assumed-role/<role>/<session>.`
      )
    }
    const grantee = role === null ? arn : `${role[1]}:iam::${role[2]}:role/${role[3]}`
    const principal: Principal = {
      ...identity,
      arn,
      grantee,
      allowedActions: identity.allowedActions ?? ["dsql:DbConnect", "dsql:DbConnectAdmin"]
    }
    this.#principals.set(identity.accessKeyId, principal)
    return principal
  }

  /** False if there was none. */
  remove(accessKeyId: string): boolean {
    return this.#principals.delete(accessKeyId)
  }

  find(accessKeyId: string): Principal | undefined {
    return this.#principals.get(accessKeyId)
  }
}

const defaultArn = ({ accessKeyId, sessionToken }: Identity): string =>
  sessionToken === undefined
    ? `arn:aws:iam::${accountId}:user/${accessKeyId}`
    : `arn:aws:sts::${accountId}:assumed-role/${accessKeyId}/local`
