import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync, statSync } from "node:fs"
import { createServer } from "node:net"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { findRunAs } from "../../src/local/runAs.js"
import { processesWith } from "../support/processes.js"
import { connect, dialTcp, eventually, withClient } from "./support.js"

const isOpen = async (cluster: Pick<Cluster, "port" | "hostaddr">): Promise<boolean> => {
  try {
    ;(await dialTcp(cluster as Cluster)).destroy()
    return true
  } catch {
    return false
  }
}

const isGone = (folder: string): boolean => !existsSync(folder) && processesWith(folder).length === 0

describe("a cluster", () => {
  it("is described by what it gives back", async () => {
    const cluster = await startCluster({ region: "eu-west-3" })
    expect(cluster).toMatchObject({ region: "eu-west-3", hostaddr: "127.0.0.1", user: "admin", database: "postgres" })
    expect(cluster.clusterId).toMatch(/^[a-z2-7]{26}$/)
    expect(cluster.endpoint).toBe(`${cluster.clusterId}.dsql.eu-west-3.on.aws`)
    expect(cluster.accessKeyId).toMatch(/^AKIA[A-Z2-7]{16}$/)
    expect(cluster.secretAccessKey).toHaveLength(40)
    expect(readFileSync(cluster.caFile, "utf8")).toBe(cluster.ca)
    const { mode, uid } = statSync(dirname(cluster.caFile))
    expect([mode & 0o777, uid]).toEqual([0o700, findRunAs()?.uid ?? process.getuid?.()])
    await withClient(cluster, (client) => client.query("SELECT 1"))
    await cluster.stop()
  })

  it("leaves nothing behind when it stops, even with clients at work", async () => {
    const cluster = await startCluster()
    const folder = dirname(cluster.caFile)
    expect(processesWith(folder)).not.toEqual([])
    const client = await connect(cluster)
    const failed = client.query("SELECT pg_sleep(60)").catch((error: Error) => error)
    const half = await dialTcp(cluster)
    await Promise.all([cluster.stop(), cluster.stop()])
    expect(existsSync(folder)).toBe(false)
    expect(await isOpen(cluster)).toBe(false)
    expect(cluster.connectionCount()).toBe(0)
    await eventually(() => isGone(folder))
    expect(await failed).toBeInstanceOf(Error)
    half.destroy()
    await cluster.stop()
  })

  it("lives next to nine others", async () => {
    const clusters = await Promise.all(Array.from({ length: 10 }, () => startCluster()))
    expect(new Set(clusters.map(({ endpoint }) => endpoint)).size).toBe(10)
    const [one, ...others] = clusters
    await withClient(one!, (client) => client.query("CREATE TABLE only_here ()"))
    for (const other of others) {
      await withClient(other, (client) =>
        expect(client.query("TABLE only_here")).rejects.toMatchObject({ code: "42P01" })
      )
    }
    await Promise.all(clusters.map((cluster) => cluster.stop()))
  })

  it("judges tokens by the clock it is given", async () => {
    const cluster = await startCluster({ clock: { now: () => Date.now() + 3_600_000 } })
    await expect(connect(cluster)).rejects.toMatchObject({ hint: expect.stringContaining("Signature expired") })
    await cluster.stop()
  })

  it("takes the port it is given, and says when it is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    const { port } = taken.address() as { port: number }
    await expect(startCluster({ port })).rejects.toMatchObject({
      name: "LocalClusterError",
      reason: "PortInUse",
      message: expect.stringContaining(String(port))
    })
    taken.close()
    await once(taken, "close")
    const cluster = await startCluster({ port, clusterId: "a".repeat(26) })
    expect([cluster.port, cluster.clusterId]).toEqual([port, "a".repeat(26)])
    await cluster.stop()
  })

  it("refuses options that make no endpoint", async () => {
    await expect(startCluster({ clusterId: "short" })).rejects.toMatchObject({ reason: "StartFailed" })
    await expect(startCluster({ region: "us east" })).rejects.toMatchObject({ reason: "StartFailed" })
  })
})

describe("the process of a cluster", () => {
  const program = fileURLToPath(new URL("clusterProcess.ts", import.meta.url))
  const children: Array<ChildProcess> = []

  // Those of a test that failed half-way.
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL")
  })

  /** Runs a program that starts a cluster and does `then`; gives its folder and port once it is up. */
  const run = async (then: string) => {
    const child = spawn(process.execPath, ["--import", "tsx", program, then], {
      stdio: ["ignore", "pipe", then === "throw" ? "ignore" : "inherit"]
    })
    children.push(child)
    const exited = once(child, "exit")
    const [line] = (await once(child.stdout, "data")) as [Buffer]
    const { folder, port } = JSON.parse(line.toString()) as { folder: string; port: number }
    return { child, exited, folder, port, hostaddr: "127.0.0.1" }
  }

  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("may die of %s", async (signal) => {
    const started = await run("wait")
    expect(processesWith(started.folder)).not.toEqual([])
    started.child.kill(signal)
    await started.exited
    await eventually(() => isGone(started.folder))
    expect(await isOpen(started)).toBe(false)
  })

  it.each(["exit", "throw"])("may %s", async (then) => {
    const started = await run(then)
    await started.exited
    await eventually(() => isGone(started.folder))
  })

  it("ends by itself after stop", async () => {
    const { child, exited, folder } = await run("stop")
    await exited
    expect(child.exitCode).toBe(0)
    await eventually(() => isGone(folder))
  })

  it("goes on when PostgreSQL dies, refuses logins and still stops", async () => {
    const cluster = await startCluster()
    const folder = dirname(cluster.caFile)
    const postmaster = Number(readFileSync(`${folder}/data/postmaster.pid`, "utf8").split("\n")[0])
    const client = await connect(cluster)
    const ended = new Promise<void>((resolve) => client.once("end", () => resolve()))
    process.kill(postmaster, "SIGKILL")
    await ended
    await expect(connect(cluster)).rejects.toMatchObject({ code: "XX000", message: "server unavailable" })
    await cluster.stop()
    await eventually(() => isGone(folder))
  })
})
