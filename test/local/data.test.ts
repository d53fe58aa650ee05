import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type Cluster, type ClusterOptions, startCluster } from "../../src/local/cluster.js"
import { processesWith } from "../support/processes.js"
import { withClient } from "./support.js"

const isRoot = process.getuid?.() === 0
const nobody = 65534

let base: string
let folder: string
const clusters: Array<Cluster> = []

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "dsql data "))
  chmodSync(base, 0o755)
  folder = join(base, "kept here")
})
afterEach(async () => {
  await Promise.all(clusters.splice(0).map((cluster) => cluster.stop()))
  vi.unstubAllEnvs()
  // A test may have closed it, and an ordinary user cannot empty what is closed.
  chmodSync(base, 0o755)
  rmSync(base, { recursive: true, force: true })
})

const start = async (options: ClusterOptions = {}): Promise<Cluster> => {
  const cluster = await startCluster({ data: folder, ...options })
  clusters.push(cluster)
  return cluster
}

/** A cluster that has been there, with a table. */
const earlierRun = async (options?: ClusterOptions): Promise<Cluster> => {
  const cluster = await start(options)
  await withClient(cluster, (client) => client.query("CREATE TABLE kept (n int); COMMIT; INSERT INTO kept VALUES (1)"))
  await cluster.stop()
  return cluster
}

const rowsOf = async (cluster: Cluster): Promise<number> =>
  withClient(cluster, async (client) => (await client.query("SELECT count(*)::int AS n FROM kept")).rows[0].n)

const refusal = (options?: ClusterOptions): Promise<{ readonly reason: string; readonly message: string }> =>
  start(options).then(
    () => expect.fail("was not refused"),
    (error) => error
  )

/** Every path below a folder, with what the files hold. */
const contentsOf = (path: string): ReadonlyArray<readonly [string, string]> =>
  readdirSync(path, { recursive: true, withFileTypes: true }).map((entry) => {
    const at = join(entry.parentPath, entry.name)
    return [at, entry.isFile() ? readFileSync(at, "utf8") : ""] as const
  })

const marker = (): string => join(folder, "effect-dsql.json")
const database = (): string => join(folder, "postgres/data")
const modeOf = (path: string): number => statSync(path).mode & 0o777

/** Starts a cluster in a process of its own; gives what it says first. */
const inProcess = async (then: string, ids: { readonly uid?: number; readonly gid?: number } = {}) => {
  const child = spawn(process.execPath, ["--import", "tsx", program, then], {
    env: { ...process.env, DATA: folder },
    stdio: ["ignore", "pipe", "inherit"],
    ...ids
  })
  const exited = once(child, "exit")
  const [line] = (await once(child.stdout, "data")) as [Buffer]
  return { child, exited, said: JSON.parse(line.toString().split("\n")[0]!) as Record<string, unknown> }
}
const program = fileURLToPath(new URL("clusterProcess.ts", import.meta.url))

describe("data that are kept", () => {
  it("are there in the next run, and so is all that clients were told", async () => {
    const first = await start({ region: "eu-west-3" })
    await withClient(first, (client) =>
      client.query(`CREATE ROLE orders LOGIN; COMMIT; AWS IAM GRANT orders TO '${first.arn}'`)
    )
    await withClient(first, (client) => client.query("CREATE TABLE kept (n int); COMMIT; INSERT INTO kept VALUES (1)"))
    await first.stop()
    expect(processesWith(folder)).toEqual([])

    const second = await start()
    for (const fact of [
      "endpoint",
      "region",
      "port",
      "ca",
      "caFile",
      "arn",
      "accessKeyId",
      "secretAccessKey"
    ] as const) {
      expect([fact, second[fact]]).toEqual([fact, first[fact]])
    }
    expect(readFileSync(second.caFile, "utf8")).toBe(second.ca)
    expect(dirname(second.caFile)).toBe(folder)
    const rows = await withClient(second, (client) => client.query("SELECT n FROM kept"), {
      user: "orders",
      action: "DbConnect"
    }).catch((error: Error) => error)
    expect(rows).toMatchObject({ code: "42501" })
    expect(await rowsOf(second)).toBe(1)
    expect(await second.logs()).not.toContain("not properly shut down")
  })

  it("are nobody else's business", async () => {
    const { secretAccessKey } = await earlierRun()
    expect(modeOf(folder)).toBe(isRoot ? 0o755 : 0o700)
    expect([modeOf(marker()), modeOf(join(folder, "postgres")), modeOf(database())]).toEqual([0o600, 0o700, 0o700])
    const withSecret = contentsOf(folder).filter(([, text]) => text.includes(secretAccessKey))
    expect(withSecret.map(([path]) => path)).toEqual([marker()])
  })

  it("may lie at a relative path, behind a link, or in a folder that is there and empty", async () => {
    mkdirSync(folder)
    symlinkSync(folder, join(base, "link"))
    await earlierRun({ data: relative(process.cwd(), folder) })
    expect(await rowsOf(await start({ data: join(base, "link") }))).toBe(1)
    expect(existsSync(join(base, "a/b"))).toBe(false)
    const deep = await start({ data: join(base, "a/b/c") })
    expect(dirname(deep.caFile)).toBe(join(base, "a/b/c"))
  })

  it("can be reset, and survive a crash of the server", async () => {
    const cluster = await start()
    await withClient(cluster, (client) => client.query("CREATE TABLE dropped ()"))
    await cluster.reset()
    await withClient(cluster, (client) =>
      client.query("CREATE TABLE kept (n int); COMMIT; INSERT INTO kept VALUES (1)")
    )
    await cluster.stopServer()
    await cluster.startServer()
    await cluster.stop()
    const next = await start()
    expect(await rowsOf(next)).toBe(1)
    const { rows } = await withClient(next, (client) => client.query("SELECT to_regclass('dropped') AS found"))
    expect(rows).toEqual([{ found: null }])
  })

  it("are durable and vacuumed, whatever settings they were made with", async () => {
    await earlierRun()
    writeFileSync(join(database(), "postgresql.conf"), "listen_addresses = '*'\n")
    const cluster = await start()
    const { rows } = await withClient(cluster, (client) =>
      client.query(
        "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum', 'listen_addresses') ORDER BY 1"
      )
    )
    expect(rows.map(({ name, setting }) => `${name}=${setting}`)).toEqual([
      "autovacuum=on",
      "fsync=on",
      "full_page_writes=on",
      "listen_addresses=",
      "synchronous_commit=on"
    ])
  })

  it("keep their port, unless another is wanted or somebody else has it", async () => {
    const { port } = await earlierRun()
    const taken = createServer().listen(port, "127.0.0.1")
    await once(taken, "listening")
    const elsewhere = await start()
    expect(elsewhere.port).not.toBe(port)
    await elsewhere.stop()
    expect(await refusal({ port })).toMatchObject({ reason: "PortInUse" })
    taken.close()
    await once(taken, "close")
    expect((await start()).port).toBe(port)
  })
})

describe("a process that keeps data", () => {
  it.each(["wait", "stopServer"])("may be killed with SIGKILL (%s), and the next run has them", async (state) => {
    await earlierRun()
    const { child, exited } = await inProcess(state)
    if (state === "stopServer") await once(child.stdout, "data")
    child.kill("SIGKILL")
    await exited
    // At once: PostgreSQL may still be ending.
    const cluster = await start()
    expect(await rowsOf(cluster)).toBe(1)
    await cluster.stop()
    expect(processesWith(folder)).toEqual([])
  })

  it("keeps others away for as long as it lives, or its PostgreSQL", async () => {
    await earlierRun()
    const { child, exited } = await inProcess("wait")
    const inUse = { name: "LocalClusterError", reason: "DataInUse", message: expect.stringContaining(folder) }
    const postmaster = Number(readFileSync(join(database(), "postmaster.pid"), "utf8").split("\n")[0])
    process.kill(postmaster, "SIGSTOP")
    child.kill("SIGKILL")
    await exited
    expect(await refusal().finally(() => process.kill(postmaster, "SIGCONT"))).toMatchObject(inUse)
    const cluster = await start()
    await cluster.stopServer()
    expect(await refusal()).toMatchObject(inUse)
    await cluster.startServer()
    expect(await rowsOf(cluster)).toBe(1)
  })

  it("is not kept from them by a process that has the number of a PostgreSQL that is gone", async () => {
    await earlierRun()
    const other = await startCluster()
    clusters.push(other)
    const [pid] = readFileSync(join(dirname(other.caFile), "data/postmaster.pid"), "utf8").split("\n")
    writeFileSync(join(database(), "postmaster.pid"), `${pid}\n${database()}\n0\n5432\n/nowhere\n\n`)
    if (isRoot) chownSync(join(database(), "postmaster.pid"), nobody, nobody)
    expect(await rowsOf(await start())).toBe(1)
    await withClient(other, (client) => client.query("SELECT 1"))
  })

  it("begins anew where a first start has died half-way", async () => {
    mkdirSync(join(folder, "postgres/data.new/half"), { recursive: true })
    if (isRoot) chownSync(join(folder, "postgres/data.new"), nobody, nobody)
    writeFileSync(marker(), "")
    await earlierRun()
    expect(readdirSync(folder).sort()).toEqual(["ca.pem", "effect-dsql.json", "postgres"])
    expect(readdirSync(join(folder, "postgres"))).toEqual(["data"])
    expect(existsSync(join(database(), "half"))).toBe(false)
    expect(await rowsOf(await start())).toBe(1)
  })

  it("never throws a database away, even if it no longer knows whose it is", async () => {
    const { clusterId } = await earlierRun()
    writeFileSync(marker(), "")
    const next = await start()
    expect(next.clusterId).not.toBe(clusterId)
    expect(await rowsOf(next)).toBe(1)
  })

  it("may be an ordinary user's", async () => {
    // Root is one of the two cases, and that of the other tests.
    const ids = isRoot ? { uid: nobody, gid: nobody } : {}
    if (isRoot) chownSync(base, nobody, nobody)
    vi.stubEnv("XDG_CACHE_HOME", join(base, "cache"))
    for (const then of ["stop", "stop"]) {
      const { exited, said } = await inProcess(then, ids)
      expect(said).toMatchObject({ folder })
      expect(await exited).toEqual([0, null])
    }
    expect([modeOf(folder), statSync(database()).uid]).toEqual([0o700, ids.uid ?? process.getuid?.()])

    rmSync(folder, { recursive: true })
    chmodSync(base, 0o555)
    const { said } = await inProcess("stop", ids)
    expect(said).toMatchObject({ reason: "DataUnusable", message: expect.stringContaining("cannot be made (EACCES)") })
  })
})

describe("a folder that cannot be used", () => {
  const unusable = (text: string) => ({
    name: "LocalClusterError",
    reason: "DataUnusable",
    message: expect.stringContaining(text)
  })

  it("is one that somebody else has filled, and it stays as it is", async () => {
    mkdirSync(join(folder, "postgres/data"), { recursive: true })
    writeFileSync(join(folder, "postgres/data/PG_VERSION"), "16\n")
    writeFileSync(join(folder, "letter.txt"), "dear")
    for (const prepare of [() => {}, () => writeFileSync(marker(), "")]) {
      prepare()
      const before = contentsOf(folder)
      expect(await refusal()).toMatchObject(unusable("is not empty and was not made by a local cluster"))
      expect(contentsOf(folder)).toEqual(before)
    }
  })

  it("is one that is none, or that others can write to", async () => {
    writeFileSync(folder, "a file")
    expect(await refusal()).toMatchObject(unusable("is no folder"))
    expect(await refusal({ data: join(folder, "below") })).toMatchObject(unusable("cannot be made (ENOTDIR)"))
    expect(readFileSync(folder, "utf8")).toBe("a file")
    symlinkSync(join(base, "nowhere"), join(base, "dangling"))
    expect(await refusal({ data: join(base, "dangling") })).toMatchObject(unusable("cannot be made (ENOENT)"))
    mkdirSync(join(base, "open"))
    chmodSync(join(base, "open"), 0o777)
    expect(await refusal({ data: join(base, "open") })).toMatchObject(unusable("can be written to by others"))
    expect(readdirSync(join(base, "open"))).toEqual([])
  })

  it.runIf(isRoot)("is one that PostgreSQL's account cannot enter", async () => {
    chmodSync(base, 0o700)
    expect(await refusal()).toMatchObject(unusable(`open ${base} and all above it (chmod o+x)`))
    expect(existsSync(folder)).toBe(false)
  })

  it.runIf(isRoot)("is one that belongs to somebody else", async () => {
    mkdirSync(folder)
    chownSync(folder, nobody, nobody)
    expect(await refusal()).toMatchObject(unusable("belongs to somebody else"))
  })

  it("is one that is damaged, and no secret is shown", async () => {
    const { secretAccessKey } = await earlierRun()
    const text = readFileSync(marker(), "utf8")
    for (const [damaged, why] of [
      [text.slice(0, -10), "is damaged"],
      [`{"x":"${secretAccessKey}"}`, "is damaged"]
    ] as const) {
      writeFileSync(marker(), damaged)
      const error = await refusal()
      expect(error).toMatchObject(unusable(why))
      expect(error.message).not.toContain(secretAccessKey.slice(0, 8))
    }
    writeFileSync(marker(), text)
    rmSync(database(), { recursive: true })
    expect(await refusal()).toMatchObject(unusable("there is no database in it"))
  })

  it("is one of another version or of another cluster", async () => {
    const { clusterId } = await earlierRun()
    const incompatible = (...texts: ReadonlyArray<string>) => ({
      reason: "DataIncompatible",
      message: expect.stringMatching(new RegExp(texts.join(".*")))
    })
    writeFileSync(join(database(), "PG_VERSION"), "15\n")
    expect(await refusal()).toMatchObject(incompatible(folder, "PostgreSQL 15", "PostgreSQL 16"))
    writeFileSync(join(database(), "PG_VERSION"), "16\n")
    expect(await refusal({ clusterId: "a".repeat(26) })).toMatchObject(incompatible(clusterId, "not the clusterId"))
    expect(await refusal({ region: "eu-west-1" })).toMatchObject(incompatible("us-east-1", "not the region"))
    const text = readFileSync(marker(), "utf8")
    const stored = JSON.parse(text) as object
    writeFileSync(marker(), JSON.stringify({ ...stored, databaseVersion: "0", madeBy: "9.8.7" }))
    expect(await refusal()).toMatchObject(incompatible("effect-dsql 9.8.7"))
    writeFileSync(marker(), text)
    expect(await rowsOf(await start({ clusterId, region: "us-east-1" }))).toBe(1)
  })
})

describe("the lock", () => {
  it("is perl's where there is no flock, and without either the error names both", async () => {
    await earlierRun()
    const perl = (process.env["PATH"] ?? "").split(":").find((path) => existsSync(join(path, "perl")))
    const bin = join(base, "bin")
    mkdirSync(bin)
    for (const name of ["mkdir", "sed", "cp", "rm", "mv", "ipcrm", "sleep"]) {
      const found = (process.env["PATH"] ?? "").split(":").find((path) => existsSync(join(path, name)))
      if (found !== undefined) symlinkSync(join(found, name), join(bin, name))
    }
    vi.stubEnv("PATH", bin)
    expect(await refusal()).toMatchObject({ reason: "CannotRun", message: expect.stringMatching(/flock.* and perl/) })
    symlinkSync(join(perl!, "perl"), join(bin, "perl"))
    expect(await rowsOf(await start())).toBe(1)
    expect(await refusal()).toMatchObject({ reason: "DataInUse" })
  })
})
