import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { forwardAsReceived } from "./batches.js"
import { platformPackage } from "./binaries.js"
import { makeCertificates } from "./certificates.js"
import { LocalClusterError } from "./errors.js"
import { type Gateway, startGateway } from "./gateway.js"
import { randomClusterId, randomIdentity } from "./identity.js"
import { requireLocalPackages } from "./packages.js"
import { makeRunFolder, startPostgres } from "./postgres.js"
import { findRunAs } from "./runAs.js"
import { runSession } from "./session.js"
import { internalUser, prepareInstallation } from "./template.js"
import type { Identity } from "./token.js"

export type { Identity } from "./token.js"

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
  /** Makes further credentials known to the "IAM" of this cluster. */
  readonly addIdentity: (identity: Identity) => void
  /** Moves the clock that tokens are judged by, and only that. */
  readonly setTokenSkew: (milliseconds: number) => void
  /** Client sockets now open. */
  readonly connectionCount: () => number
  /** Successful logins so far. */
  readonly loginCount: () => number
  /** Destroys all client sockets; the cluster goes on. */
  readonly dropConnections: () => void
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
  const identities = new Map([[owner.accessKeyId, owner]])
  let tokenSkew = 0
  let logins = 0

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
    const session = {
      endpoint,
      region,
      database,
      internalUser,
      socketPath,
      loginTimeout: clientTimeout,
      now: () => clock.now() + tokenSkew,
      findIdentity: (accessKeyId: string) => identities.get(accessKeyId),
      onLogin: () => void logins++,
      onBatch: forwardAsReceived
    }
    const { port, connectionCount, dropConnections } = (gateway = await startGateway({
      host: hostaddr,
      port: options.port ?? 0,
      certificate: certificates.certificate,
      key: certificates.key,
      handshakeTimeout: clientTimeout,
      onSecure: (socket) => void runSession(socket, session).catch(() => socket.destroy())
    }))
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
      addIdentity: (identity) => void identities.set(identity.accessKeyId, identity),
      setTokenSkew: (milliseconds) => void (tokenSkew = milliseconds),
      connectionCount,
      loginCount: () => logins,
      dropConnections,
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
