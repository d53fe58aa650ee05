import { Admission } from "./admission.js"
import { cancelBackend } from "./backend.js"
import { platformPackage } from "./binaries.js"
import { makeCertificates } from "./certificates.js"
import { type ClusterOptions, withDefaults } from "./clusterOptions.js"
import { ConflictConductor } from "./conflicts/conductor.js"
import { Coordinator } from "./conflicts/coordinator.js"
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
import { limitsSetting, limitsWith } from "./limits.js"
import { JobRunner } from "./jobs/runner.js"
import { jobCallOf } from "./jobs/statements.js"
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
import { Texts } from "./statements/texts.js"
import { internalUser, prepareInstallation } from "./template.js"

export type { ClusterOptions } from "./clusterOptions.js"
export type { Action, Identity } from "./iam.js"
export type { DatabaseLimitOptions } from "./limits.js"
export type { SessionInfo } from "./sessions.js"

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
  const settings = withDefaults(options)
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
      region: settings.region
    }
    const endpoint = `${clusterId}.dsql.${region}.on.aws`
    const [postgres, certificates, judge] = await Promise.all([
      starting,
      kept?.stored ?? makeCertificates(region),
      settings.rules === "service" ? loadParser().then((parse) => new Judge(parse)) : undefined
    ])
    const { ca } = certificates
    const caFile = await writeAuthority(kept?.path ?? folder, ca)

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
      settings.conflicts === "postgres" ? undefined : new Coordinator(postgres.socketPath, internalUser, database)
    const onCancel = async (key: Buffer): Promise<void> => {
      if (settings.cancel !== "postgres") return
      coordinator?.expectCancel(key)
      await cancelBackend(postgres.socketPath, key)
    }
    endings.push(async () => coordinator?.close())
    const limits = limitsWith(options.limits)
    const faults = new Faults()
    const { idleTime, wakeTime } = settings
    const admission = new Admission({ ...limits, idleTime, wakeTime }, sessionClock, faults)
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
      duration: settings.jobDuration,
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
      now: () => settings.clock.now() + tokenSkew,
      findPrincipal: (accessKeyId) => iam.find(accessKeyId),
      network,
      database: databaseGate,
      onCancel,
      onLogin: (info, client) => sessions.add({ ...info, since: new Date(sessionClock.now()) }, client),
      messageLimit: { messageSize: limits.messageSize, oversizedMessage: settings.oversizedMessage },
      admit: (client) => admission.decide(client),
      refusedSetting: (parameters) => (judge === undefined ? undefined : refusedSetting(parameters)),
      makeStages: (mayBuildIndexes) => [
        ...(judge === undefined ? [] : [new JudgeStage(judge, mayBuildIndexes)]),
        ownStatements(
          (statement) =>
            iamCallOf(statement) ?? jobCallOf(statement, settings.buildingUniqueIndexes) ?? settingCallOf(statement),
          (_tag, job) => {
            if (job !== undefined && job !== "") jobs.register(job)
          }
        )
      ],
      makeConductor: (processId, wire) =>
        new FaultConductor(faultContext, wire, (wire, book) =>
          coordinator === undefined
            ? undefined
            : new ConflictConductor(processId, book, coordinator, settings.schemaConflicts, wire)
        ),
      settings: [
        ...(coordinator === undefined ? [] : [["lock_timeout", String(settings.lockProbe)] as const]),
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
