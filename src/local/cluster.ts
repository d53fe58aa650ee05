import { Admission } from "./admission.js"
import { cancelBackend } from "./backend.js"
import { platformPackage } from "./binaries.js"
import { makeCertificates } from "./certificates.js"
import { ConflictConductor } from "./conflicts/conductor.js"
import { Coordinator } from "./conflicts/coordinator.js"
import type { SchemaConflicts } from "./conflicts/standing.js"
import { Texts } from "./statements/texts.js"
import { openDataFolder, writeAuthority } from "./dataFolder.js"
import { LocalClusterError } from "./errors.js"
import { FaultConductor, type FaultContext } from "./faults/conductor.js"
import { Faults } from "./faults/faults.js"
import { Judge } from "./judging/judge.js"
import { loadParser } from "./judging/parser.js"
import { rulesSetting } from "./judging/schema.js"
import { JudgeStage } from "./judging/stage.js"
import { Gate } from "./gate.js"
import { type Gateway, startGateway } from "./gateway.js"
import { accountId, Iam, type Identity } from "./iam.js"
import { iamCallOf } from "./iamStatements.js"
import { randomClusterId, randomIdentity } from "./identity.js"
import { type LimitOptions, limitsSetting, limitsWith } from "./limits.js"
import { JobRunner } from "./jobs/runner.js"
import { type BuildingUniqueIndexes, jobCallOf } from "./jobs/statements.js"
import { readLogs } from "./logs.js"
import { ownStatements } from "./ownStatements.js"
import { requireLocalPackages } from "./packages.js"
import { runFolder, startPostgres } from "./postgres.js"
import { findRunAs } from "./runAs.js"
import { makeServer } from "./server.js"
import { runSession, type SessionContext } from "./session.js"
import { settingCallOf } from "./settingStatements.js"
import { SessionClock } from "./sessionClock.js"
import { type SessionInfo, Sessions } from "./sessions.js"
import { refusedSetting } from "./startupSettings.js"
import { internalUser, prepareInstallation } from "./template.js"

export type { Action, Identity } from "./iam.js"
export type { SchemaConflicts } from "./conflicts/standing.js"
export type { BuildingUniqueIndexes } from "./jobs/statements.js"
export type { DatabaseLimitOptions } from "./limits.js"
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
   * A folder that keeps the cluster with its data for further runs: then its id, region, port, certificates and credentials
   * are those of the first, and options that contradict them are refused. Made if it is not there. By default nothing is kept.
   */
  readonly data?: string | undefined
  /**
   * What a CancelRequest does. `ignored`, the default: nothing, as on the service as far as is known; it is not
   * documented there, and users report that it has no effect. `postgres`: it ends the statement with 57014. Either way
   * the connection closes without an answer, and sessions get PostgreSQL's own BackendKeyData (what the service sends is
   * not known).
   */
  readonly cancel?: "ignored" | "postgres" | undefined
  /**
   * Who loses when two transactions change the same rows, and when it learns of it. `service`, the default: whoever commits
   * second, at its COMMIT, and nobody waits. `postgres`: as PostgreSQL does it, by waiting and at the statement; for what tests
   * the waiting itself, or wants PostgreSQL's answers to the byte. See `docs/local-cluster-conflicts.md`.
   */
  readonly conflicts?: "service" | "postgres" | undefined
  /**
   * With `conflicts: "service"`: who is told, once, that another session has changed the schema: 40001 with (OC001).
   * `transactions`, the default: those that are open when that commits. `sessions`: every session, at its next statement or
   * COMMIT. The service does something between, as its sessions learn of it sooner or later, so `sessions` is for a program that
   * is to bear the worst. `off`: only those whose transaction cannot go on, since it uses what has changed.
   */
  readonly schemaConflicts?: SchemaConflicts | undefined
  /**
   * With `conflicts: "service"`: how long a statement waits for a lock before those who hold it are made to give way, in
   * milliseconds. Default 8; more on a machine so slow that statements conflict without a rival.
   */
  readonly lockProbe?: number | undefined
  /**
   * Which SQL is taken. `service`, the default: what Aurora DSQL takes, everything else is refused in its words. `off`: what
   * PostgreSQL takes, for looking into the cluster with means that the service does not have.
   */
  readonly rules?: "service" | "off" | undefined
  /** Where a client is stopped; what is not given is as on the service. */
  readonly limits?: LimitOptions | undefined
  /**
   * What becomes of a connection that sends a longer message. `close`, the default: it closes without a word, as users of
   * the service report. `error`: FATAL 08P01 comes before that, as its guide says.
   */
  readonly oversizedMessage?: "close" | "error" | undefined
  /**
   * After how much time of the session clock without connections it is inactive, and must be woken up, in milliseconds. By
   * default never; the service's times are not published.
   */
  readonly idleTime?: number | undefined
  /** How long that takes. Default 5 seconds; on the service it depends on the size of the cluster. */
  readonly wakeTime?: number | undefined
  /**
   * How long a job takes by the session clock, in milliseconds: one half it is `submitted`, the other `processing`. Default
   * 200. On the service, 5 to 60 seconds were seen with small tables.
   */
  readonly jobDuration?: number | undefined
  /**
   * Whether a unique index stands against duplicates before its job is done. `ignored`, the default: it does not, and the job
   * fails, which users of the service report. `enforced`: they fail with 23505, which a guide of AWS's says.
   */
  readonly buildingUniqueIndexes?: BuildingUniqueIndexes | undefined
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
  /** The same in a file, by its absolute path; there until the cluster stops, or where its data are kept as long as they. */
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
  /** The clock of ages, limits and jobs; that of tokens is another. */
  readonly sessionClock: Pick<SessionClock, "now" | "advance">
  /** Makes it inactive, as when nobody has used it for long: clients are dropped, and the next one wakes it up. */
  readonly inactivate: () => void
  /** What is to go wrong, and when. */
  readonly faults: Faults
  /** Resolves when the jobs that are committed have got as far as they are due. */
  readonly jobsSettled: () => Promise<void>
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
   * done. Faults that have not struck yet are forgotten, identities and clocks stay. Rejects with `LocalClusterError`.
   */
  readonly reset: () => Promise<void>
  /**
   * Ends PostgreSQL as a crash would: sessions are cut off, what was committed stays, and the port refuses connections until
   * `startServer`. A cluster that is stopped stays so.
   */
  readonly stopServer: () => Promise<void>
  /**
   * Brings the cluster back, at the same port and as it was when PostgreSQL ended, for whatever reason. Does nothing while
   * it runs. Rejects with `LocalClusterError`.
   */
  readonly startServer: () => Promise<void>
  /** The end of PostgreSQL's log: at most 64 KiB of failed statements and what else it reports. */
  readonly logs: () => Promise<string>
  /** Ends PostgreSQL, closes the port and removes what is not kept. May be called more than once. */
  readonly stop: () => Promise<void>
}

const defaultRegion = "us-east-1"
const hostaddr = "127.0.0.1"
const database = "postgres"
const clientTimeout = 30_000

/** Not published. */
const wakeTime = 5_000
const lockProbe = 8
const jobDuration = 200

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
  checkIdentity(options)
  const runAs = findRunAs()
  const installation = await prepareInstallation(runAs)
  const endings: Array<() => Promise<void>> = []
  const end = async (): Promise<void> => {
    for (const ending of endings.toReversed()) await ending()
  }
  try {
    const kept =
      options.data === undefined ? undefined : await openDataFolder(options.data, options, installation, runAs)
    if (kept !== undefined) endings.push(kept.close)
    const folder = runFolder(runAs)
    const starting = startPostgres(folder, installation, runAs, kept)
    endings.push(async () => (await starting.catch(() => undefined))?.close())

    const owner = kept?.stored ?? randomIdentity()
    const { clusterId, region } = kept?.stored ?? {
      clusterId: options.clusterId ?? randomClusterId(),
      region: options.region ?? defaultRegion
    }
    const endpoint = `${clusterId}.dsql.${region}.on.aws`
    const [postgres, certificates, judge] = await Promise.all([
      starting,
      kept?.stored ?? makeCertificates(region),
      options.rules !== "off" ? loadParser().then((parse) => new Judge(parse)) : undefined
    ])
    const { ca } = certificates
    const caFile = await writeAuthority(kept?.path ?? folder, ca)

    const clock = options.clock ?? { now: Date.now }
    let tokenSkew = 0
    const iam = new Iam()
    const { accessKeyId, secretAccessKey } = owner
    const { arn } = iam.add({ accessKeyId, secretAccessKey })
    const sessionClock = new SessionClock()
    endings.push(async () => sessionClock.close())
    const sessions = new Sessions()
    const network = new Gate()
    const databaseGate = new Gate()
    const coordinator =
      options.conflicts === "postgres" ? undefined : new Coordinator(postgres.socketPath, internalUser, database)
    const onCancel = async (key: Buffer): Promise<void> => {
      if (options.cancel !== "postgres") return
      coordinator?.expectCancel(key)
      await cancelBackend(postgres.socketPath, key)
    }
    endings.push(async () => coordinator?.close())
    const limits = limitsWith(options.limits)
    const faults = new Faults()
    const waking = { idleTime: options.idleTime, wakeTime: options.wakeTime ?? wakeTime }
    const admission = new Admission({ ...limits, ...waking }, sessionClock, faults)
    const faultContext: FaultContext = {
      faults,
      clock: sessionClock,
      texts: coordinator?.texts ?? new Texts(),
      transactionAge: limits.transactionAge
    }
    const jobs = new JobRunner({
      socketPath: postgres.socketPath,
      user: internalUser,
      database,
      clock: sessionClock,
      duration: options.jobDuration ?? jobDuration,
      onSchemaChange: () => coordinator?.countSchemaChange()
    })
    endings.push(() => jobs.close())
    const session: SessionContext = {
      endpoint,
      region,
      clusterArn: `arn:aws:dsql:${region}:${accountId}:cluster/${clusterId}`,
      databaseName: database,
      internalUser,
      socketPath: postgres.socketPath,
      loginTimeout: clientTimeout,
      now: () => clock.now() + tokenSkew,
      findPrincipal: (accessKeyId) => iam.find(accessKeyId),
      network,
      database: databaseGate,
      onCancel,
      onLogin: (info, client) => sessions.add({ ...info, since: new Date(sessionClock.now()) }, client),
      messageLimit: { messageSize: limits.messageSize, oversizedMessage: options.oversizedMessage ?? "close" },
      admit: (client) => admission.decide(client),
      refusedSetting: (parameters) => (judge === undefined ? undefined : refusedSetting(parameters)),
      makeStages: () => [
        ...(judge === undefined ? [] : [new JudgeStage(judge)]),
        ownStatements(
          (statement) =>
            iamCallOf(statement) ??
            jobCallOf(statement, options.buildingUniqueIndexes ?? "ignored") ??
            settingCallOf(statement),
          (_tag, job) => {
            if (job !== undefined && job !== "") jobs.register(job)
          }
        )
      ],
      makeConductor: (processId, wire) =>
        new FaultConductor(faultContext, wire, (wire) =>
          coordinator === undefined
            ? undefined
            : new ConflictConductor(processId, coordinator, options.schemaConflicts ?? "transactions", wire)
        ),
      settings: [
        ...(coordinator === undefined ? [] : [["lock_timeout", String(options.lockProbe ?? lockProbe)] as const]),
        ...(judge === undefined ? [] : [rulesSetting, [limitsSetting, JSON.stringify(limits)] as const])
      ]
    }
    const openGateway = (port: number): Promise<Gateway> =>
      startGateway({
        host: hostaddr,
        port,
        certificate: certificates.certificate,
        key: certificates.key,
        handshakeTimeout: clientTimeout,
        network,
        onCancel,
        onSecure: (socket) => void runSession(socket, session).catch(() => socket.destroy())
      })
    const gateway = await openGateway(options.port ?? kept?.stored?.port ?? 0).catch((error: unknown) => {
      // The port of an earlier run is kept for who has written it down, but nobody has asked for it.
      if (options.port === undefined && isPortInUse(error)) return openGateway(0)
      throw error
    })
    const server = makeServer({ postgres, gateway, openGateway, database: databaseGate })
    endings.push(server.close)
    const { port } = server
    if (kept?.stored !== undefined) jobs.wake()
    else await kept?.store({ clusterId, region, port, accessKeyId, secretAccessKey, ...certificates })

    let ended: Promise<void> | undefined
    return {
      clusterId,
      endpoint,
      region,
      hostaddr,
      port,
      user: "admin",
      database,
      ca,
      caFile,
      accessKeyId,
      secretAccessKey,
      arn,
      addIdentity: (identity) => iam.add(identity).grantee,
      removeIdentity: (accessKeyId) => iam.remove(accessKeyId),
      sessionClock,
      faults,
      inactivate: () => {
        admission.inactivate()
        server.dropConnections()
      },
      jobsSettled: () => jobs.settled(),
      setTokenSkew: (milliseconds) => void (tokenSkew = milliseconds),
      connectionCount: server.connectionCount,
      loginCount: () => sessions.logins,
      connections: () => sessions.list(),
      dropConnections: (of) =>
        of === undefined ? server.dropConnections() : void sessions.drop(({ user }) => user === of.user),
      dropConnection: (wanted) => sessions.drop(({ id }) => id === wanted) > 0,
      pause: () => network.close(),
      resume: () => network.open(),
      reset: async () => {
        faults.clear()
        await server.reset()
        coordinator?.countSchemaChange()
      },
      stopServer: server.stop,
      startServer: async () => {
        await server.start()
        jobs.wake()
      },
      logs: () => readLogs(folder),
      stop: () => (ended ??= end())
    }
  } catch (error) {
    await end()
    throw error
  }
}

const isPortInUse = (error: unknown): boolean => error instanceof LocalClusterError && error.reason === "PortInUse"

/** Refuses what would make no endpoint. */
const checkIdentity = ({ clusterId, region }: ClusterOptions): void => {
  check("region", region, /^[a-z0-9-]{1,32}$/)
  check("clusterId", clusterId, /^[a-z0-9]{26}$/)
}

const check = (name: string, value: string | undefined, pattern: RegExp): void => {
  if (value === undefined || pattern.test(value)) return
  throw new LocalClusterError("StartFailed", `${name} must match ${pattern.source}, but is ${JSON.stringify(value)}.`)
}
