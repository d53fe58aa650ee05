import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { createServer } from "node:net"
import { dirname } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { processesWith } from "../support/processes.js"
import { connect, dialTcp, ended, withClient } from "./support.js"

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())

const folderOf = (which: Cluster): string => dirname(which.caFile)

const postmasterOf = (which: Cluster): number =>
  Number(readFileSync(`${folderOf(which)}/data/postmaster.pid`, "utf8").split("\n")[0])

/** PostgreSQL's processes, without the one that looks after them. */
const serversIn = (folder: string): ReadonlyArray<string> =>
  processesWith(folder).filter((command) => !command.startsWith("/bin/sh"))

const dialling = (which: Cluster) => dialTcp(which).then((socket) => socket.destroy())

describe("a server that is stopped", () => {
  it("cuts clients off, refuses others, and comes back as it was", async () => {
    const identity = { accessKeyId: "AKIAKEPT000000000000", secretAccessKey: "kept" }
    cluster.addIdentity(identity)
    const writer = await connect(cluster)
    await writer.query("CREATE TABLE kept (n int); COMMIT; INSERT INTO kept VALUES (1)")
    await writer.query("BEGIN; INSERT INTO kept VALUES (2)")
    const busy = await connect(cluster)
    const failed = busy.query("SELECT pg_sleep(60)").catch((error: Error) => error)
    const cutOff = ended(writer)
    const logins = cluster.loginCount()
    const { ca, caFile, port } = cluster

    await cluster.stopServer()
    expect(await failed).toBeInstanceOf(Error)
    await cutOff
    await expect(dialling(cluster)).rejects.toMatchObject({ code: "ECONNREFUSED" })
    expect([cluster.connectionCount(), cluster.connections()]).toEqual([0, []])
    expect(serversIn(folderOf(cluster))).toEqual([])
    expect(await cluster.logs()).toContain("database system is ready")

    await cluster.startServer()
    expect([cluster.ca, cluster.caFile, cluster.port]).toEqual([ca, caFile, port])
    const rows = await withClient(cluster, (client) => client.query("SELECT n FROM kept"), { identity })
    expect(rows.rows).toEqual([{ n: 1 }])
    expect(cluster.loginCount()).toBe(logins + 1)
    expect(await cluster.logs()).toContain("redo done")
  })

  it("loses no commit, however soon it is stopped", async () => {
    await withClient(cluster, (client) => client.query("CREATE TABLE counted (n int)"))
    for (let n = 1; n <= 5; n++) {
      const client = await connect(cluster)
      await client.query(`INSERT INTO counted VALUES (${n})`)
      await cluster.stopServer()
      await cluster.startServer()
    }
    const { rows } = await withClient(cluster, (client) => client.query("SELECT count(*)::int AS n FROM counted"))
    expect(rows).toEqual([{ n: 5 }])
  })

  it("cannot be reset, but can be once it is back", async () => {
    await withClient(cluster, (client) => client.query("CREATE TABLE dropped ()"))
    await cluster.stopServer()
    await expect(cluster.reset()).rejects.toMatchObject({ name: "LocalClusterError", reason: "ResetFailed" })
    await cluster.startServer()
    await cluster.reset()
    const { rows } = await withClient(cluster, (client) => client.query("SELECT to_regclass('dropped') AS found"))
    expect(rows).toEqual([{ found: null }])
  })

  it("may be told so again, and with other things at the same time", async () => {
    const { reset, startServer, stopServer } = cluster
    await Promise.all([startServer(), stopServer(), stopServer(), startServer(), reset(), stopServer(), startServer()])
    await withClient(cluster, (client) => client.query("SELECT 1"))
    await Promise.all([stopServer(), startServer(), stopServer()])
    await expect(dialling(cluster)).rejects.toMatchObject({ code: "ECONNREFUSED" })
    await startServer()
    await withClient(cluster, (client) => client.query("SELECT 1"))
  })

  it("waits for its port, if somebody took it meanwhile", async () => {
    await cluster.stopServer()
    const taken = createServer().listen(cluster.port, cluster.hostaddr)
    await once(taken, "listening")
    await expect(cluster.startServer()).rejects.toMatchObject({
      reason: "PortInUse",
      message: expect.stringContaining(String(cluster.port))
    })
    taken.close()
    await once(taken, "close")
    await cluster.startServer()
    await withClient(cluster, (client) => client.query("SELECT 1"))
  })
})

describe("a server that died by itself", () => {
  it("is brought back with its data", async () => {
    await withClient(cluster, (client) => client.query("CREATE TABLE survived (n int)"))
    const client = await connect(cluster)
    const cutOff = ended(client)
    process.kill(postmasterOf(cluster), "SIGKILL")
    await cutOff
    await cluster.startServer()
    await withClient(cluster, (client) => client.query("TABLE survived"))
  })
})

describe("a cluster that ends", () => {
  it.each(["stopped", "being stopped", "being started"])("may be %s", async (state) => {
    const other = await startCluster()
    const folder = folderOf(other)
    const stopped = other.stopServer()
    if (state !== "being stopped") await stopped
    const started = state === "being started" ? other.startServer() : undefined
    await Promise.all([other.stop(), stopped, started?.catch(() => undefined)])
    expect([existsSync(folder), processesWith(folder)]).toEqual([false, []])
    await expect(dialling(other)).rejects.toMatchObject({ code: "ECONNREFUSED" })
    await expect(other.startServer()).rejects.toMatchObject({ name: "LocalClusterError", reason: "StartFailed" })
    await other.stopServer()
  })
})
