import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { everyCut, openDirectly, openThroughGateway, readable, terminate } from "./protocol.js"
import { preparation, refused, scripts } from "./scripts.js"
import { query, withClient } from "./support.js"

let cluster: Cluster
/** One that takes what the service refuses. */
let lenient: Cluster
beforeAll(async () => {
  ;[cluster, lenient] = await Promise.all([startCluster(), startCluster({ rules: "off" })])
  for (const each of [cluster, lenient]) await withClient(each, (client) => client.query(preparation))
})
afterAll(() => Promise.all([cluster.stop(), lenient.stop()]))

const clusterFor = (script: string): Cluster => (refused.has(script) ? lenient : cluster)

describe("a session starts as PostgreSQL starts it", () => {
  /** Other settings at login, and what PostgreSQL refuses. */
  const settings: ReadonlyArray<Record<string, string>> = [
    {},
    { client_encoding: "LATIN1", options: "-c search_path=a -c TimeZone=Asia/Tokyo" },
    { options: "-c nonsense=1" },
    { client_encoding: "nope" },
    { DateStyle: "nope" },
    { replication: "true" }
  ]

  it.for(settings)("with %j, but for the version", async (more) => {
    const [direct, gateway] = await Promise.all([openDirectly(lenient, more), openThroughGateway(lenient, more)])
    const version = (line: string): string => line.replace("server_version\u000016.14", "server_version\u000016.15")
    expect(readable(gateway.greeting)).toEqual(["R8 \0\0\0\x03", ...readable(direct.greeting).map(version)])
    for (const { session } of [direct, gateway]) session.socket.destroy()
  })
})

describe("what PostgreSQL answers to", () => {
  const answerOf = async (cluster: Cluster, bytes: Buffer): Promise<Buffer> => {
    const { session } = await openDirectly(cluster)
    await session.send([bytes, terminate])
    return session.rest()
  }

  it.for(Object.entries(scripts))("%s comes unchanged, however the bytes are cut", async ([name, script]) => {
    const bytes = Buffer.concat(script)
    const cluster = clusterFor(name)
    const answer = await answerOf(cluster, bytes)
    const { session } = await openThroughGateway(cluster)
    for (const chunks of everyCut(bytes)) {
      await session.send(chunks)
      expect(readable(await session.take(answer.length))).toEqual(readable(answer))
    }
    await session.send([terminate])
    expect(await session.rest()).toHaveLength(0)
  })

  it.for(Object.entries(scripts))("%s comes unchanged where answers are looked at", async ([name, script]) => {
    const bytes = Buffer.concat(script)
    const cluster = clusterFor(name)
    const answer = await answerOf(cluster, bytes)
    const { session } = await openThroughGateway(cluster)
    // From here on the gateway looks at errors, notices and tags.
    await session.send([query("AWS IAM REVOKE nobody FROM 'nothing'")])
    expect(readable(await session.untilReady()).join()).toContain("Role nobody does not exist")
    for (const chunks of [[bytes], Array.from(bytes, (byte) => Buffer.of(byte))]) {
      await session.send(chunks)
      expect(readable(await session.take(answer.length))).toEqual(readable(answer))
    }
    session.socket.destroy()
  })
})

it("notifications of another session come to an idle client as PostgreSQL sends them", async () => {
  const sessions = [(await openDirectly(lenient)).session, (await openThroughGateway(lenient)).session]
  for (const session of sessions) {
    await session.send([query("LISTEN others")])
    await session.untilReady()
  }
  await withClient(lenient, (client) => client.query("NOTIFY others, 'a'; NOTIFY others, 'b'"))
  const [direct, gateway] = await Promise.all(sessions.map((session) => session.take(2 * "A....pid.others_a_".length)))
  expect(direct).toHaveLength(36)
  // With the process id of the sender.
  expect(gateway).toEqual(direct)
  for (const session of sessions) session.socket.destroy()
})
