import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { TLSSocket } from "node:tls"
import { cancelBackend } from "./backend.js"
import { platformPackage } from "./binaries.js"
import { makeCertificates } from "./certificates.js"
import { LocalClusterError } from "./errors.js"
import { Gate } from "./gate.js"
import { type Gateway, startGateway } from "./gateway.js"
import { accountId, Iam, type Identity } from "./iam.js"
import { iamStatements } from "./iamStatements.js"
import { randomClusterId, randomIdentity } from "./identity.js"
import { requireLocalPackages } from "./packages.js"
import { readLogs } from "./logs.js"
import { makeRunFolder, startPostgres } from "./postgres.js"
import { resetDatabase } from "./reset.js"
import { findRunAs } from "./runAs.js"
import { runSession } from "./session.js"
import { type SessionInfo, Sessions } from "./sessions.js"
import { internalUser, prepareInstallation } from "./template.js"

export type { Action, Identity } from "./iam.js"
export type { SessionInfo } from "./sessions.js"

/** Milliseconds since the epoch. */
export interface Clock {
  readonly now: () => number
}

export interface ClusterOptions {
  /** On 127.0.0.1; by default any free one. */
  readonly port?: number | undefined
  /** Default: `us-east-1`. */
  readonly region?: string | undefined
  /** 26 characters of a-z and 0-9; by default a random one. */
  readonly clusterId?: string | undefined
  /**
   * What a CancelRequest does. `ignored`, the default: nothing, as on the service as far as is known; it is not
   * documented there, and users report that it has no effect. `postgres`: it ends the statement with 57014. Either way
   * the connection closes without an answer, and sessions get PostgreSQL's own BackendKeyData (what the service sends is
   * not known).
   */
  readonly cancel?: "ignored" | "postgres" | undefined
  /** The time that tokens are judged by; by default the real one. */
  readonly clock?: Clock | undefined
}

/** A running local cluster. */
export interface Cluster {
  readonly clusterId: string
  /** The host name that clients verify and sign tokens for: `<id>.dsql.<region>.on.aws`. */
  readonly endpoint: string
  readonly region: string
  /** Where to dial instead of resolving the endpoint. */
  readonly hostaddr: string
  readonly port: number
  readonly user: "admin"
  readonly database: "postgres"
  /** The certificate authority to trust, as PEM text. */
  readonly ca: string
  /** The same in a file, by its absolute path; there until the cluster stops. */
  readonly caFile: string
  /** Credentials made for this cluster. */
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Whose they are: a user who may do everything. */
  readonly arn: string
  /**
   * Makes further credentials known to the "IAM" of this cluster, in the place of those with the same access key. Gives
   * the ARN to grant database roles to. Throws `LocalClusterError` if `arn` is none of a user or role.
   */
  readonly addIdentity: (identity: Identity) => string
  /** Sessions that are open stay. */
  readonly removeIdentity: (accessKeyId: string) => void
  /** Moves the clock that tokens are judged by, and only that. */
  readonly setTokenSkew: (milliseconds: number) => void
  /** Client sockets now open. */
  readonly connectionCount: () => number
  /** Successful logins so far. */
  readonly loginCount: () => number
  /** The clients that are logged in now. */
  readonly connections: () => ReadonlyArray<SessionInfo>
  /** Destroys all client sockets, or those logged in as `user`; the cluster goes on. */
  readonly dropConnections: (of?: { readonly user: string }) => void
  /** Destroys the socket of one client; false if there is no such. */
  readonly dropConnection: (id: number) => boolean
  /**
   * Leaves clients without an answer, as a network that has frozen: sockets stay open and new ones are accepted, but
   * nothing gets through until `resume`. Clients that go take their backends with them all the same.
   */
  readonly pause: () => void
  readonly resume: () => void
  /**
   * Makes the database anew: empty, with no role but `admin`. All clients are dropped, and new ones wait until it is
   * done. Identities and the skew of the clock stay. Rejects with `LocalClusterError`.
   */
  readonly reset: () => Promise<void>
  /** The end of PostgreSQL's log: at most 64 KiB of failed statements and what else it reports. */
  readonly logs: () => Promise<string>
  /** Ends PostgreSQL, closes the port and removes the folder. May be called more than once. */
  readonly stop: () => Promise<void>
}

const hostaddr = "127.0.0.1"
const database = "postgres"
const clientTimeout = 30_000

/**
 * Starts a cluster: PostgreSQL behind a gateway that checks TLS and tokens as Aurora DSQL does. Rejects with
 * `LocalClusterError` and leaves nothing behind then.
 */
export const startCluster = (options: ClusterOptions = {}): Promise<Cluster> =>
  assembleCluster(options).catch((error: unknown) => {
    if (error instanceof LocalClusterError) throw error
    throw new LocalClusterError("StartFailed", `The local cluster could not start: ${String(error)}`, error)
  })

const assembleCluster = async (options: ClusterOptions): Promise<Cluster> => {
  requireLocalPackages(platformPackage(process.platform, process.arch))

  const region = checked("region", options.region ?? "us-east-1", /^[a-z0-9-]{1,32}$/)
  const clusterId = checked("clusterId", options.clusterId ?? randomClusterId(), /^[a-z0-9]{26}$/)
  const endpoint = `${clusterId}.dsql.${region}.on.aws`
  const clock = options.clock ?? { now: Date.now }
  const owner = randomIdentity()
  const iam = new Iam()
  const { arn } = iam.add(owner)
  const sessions = new Sessions()
  const network = new Gate()
  const databaseGate = new Gate()
  let tokenSkew = 0

  const runAs = findRunAs()
  const installation = await prepareInstallation(runAs)
  const folder = await makeRunFolder(runAs)
  const caFile = join(folder, "ca.pem")
  const starting = startPostgres(folder, installation, runAs)
  let gateway: Gateway | undefined
  const stopAll = async (): Promise<void> => {
    await gateway?.close()
    const postgres = await starting.catch(() => undefined)
    await postgres?.stop()
    // It went with PostgreSQL, unless not even the supervisor could start.
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const [{ socketPath }, certificates] = await Promise.all([starting, makeCertificates(region)])
    await writeFile(caFile, certificates.ca)
    const onCancel = async (key: Buffer): Promise<void> => {
      if (options.cancel === "postgres") await cancelBackend(socketPath, key)
    }
    const session = {
      endpoint,
      region,
      clusterArn: `arn:aws:dsql:${region}:${accountId}:cluster/${clusterId}`,
      databaseName: database,
      internalUser,
      socketPath,
      loginTimeout: clientTimeout,
      now: () => clock.now() + tokenSkew,
      findPrincipal: (accessKeyId: string) => iam.find(accessKeyId),
      network,
      database: databaseGate,
      onCancel,
      onLogin: (info: Omit<SessionInfo, "since">, client: TLSSocket) =>
        sessions.add({ ...info, since: new Date(clock.now()) }, client),
      makeStages: () => [iamStatements()]
    }
    const { port, connectionCount, dropConnections } = (gateway = await startGateway({
      host: hostaddr,
      port: options.port ?? 0,
      certificate: certificates.certificate,
      key: certificates.key,
      handshakeTimeout: clientTimeout,
      network,
      onCancel,
      onSecure: (socket) => void runSession(socket, session).catch(() => socket.destroy())
    }))
    const reset = async (): Promise<void> => {
      databaseGate.close()
      dropConnections()
      await resetDatabase(socketPath, internalUser).finally(() => databaseGate.open())
    }
    let resetting = Promise.resolve()
    let stopping: Promise<void> | undefined
    return {
      clusterId,
      endpoint,
      region,
      hostaddr,
      port,
      user: "admin",
      database,
      ca: certificates.ca,
      caFile,
      accessKeyId: owner.accessKeyId,
      secretAccessKey: owner.secretAccessKey,
      arn,
      addIdentity: (identity) => iam.add(identity).grantee,
      removeIdentity: (accessKeyId) => iam.remove(accessKeyId),
      setTokenSkew: (milliseconds) => void (tokenSkew = milliseconds),
      connectionCount,
      loginCount: () => sessions.logins,
      connections: () => sessions.list(),
      dropConnections: (of) =>
        of === undefined ? dropConnections() : void sessions.drop(({ user }) => user === of.user),
      dropConnection: (wanted) => sessions.drop(({ id }) => id === wanted) > 0,
      pause: () => network.close(),
      resume: () => network.open(),
      // One at a time, also after one that failed.
      reset: () => (resetting = resetting.then(reset, reset)),
      logs: () => readLogs(folder),
      stop: () => (stopping ??= stopAll())
    }
  } catch (error) {
    await stopAll()
    throw error
  }
}

const checked = (name: string, value: string, pattern: RegExp): string => {
  if (pattern.test(value)) return value
  throw new LocalClusterError("StartFailed", `${name} must match ${pattern.source}, but is ${JSON.stringify(value)}.`)
}
