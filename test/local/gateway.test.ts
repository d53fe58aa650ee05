import { once } from "node:events"
import { connect as connectTcp } from "node:net"
import { connect as connectTls } from "node:tls"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Certificates, makeCertificates } from "../../src/local/certificates.js"
import { Gate } from "../../src/local/gate.js"
import { type Gateway, startGateway } from "../../src/local/gateway.js"
import { runSession } from "../../src/local/session.js"
import { eventually, Incoming, sslRequest, startup } from "./support.js"

const host = "127.0.0.1"
const endpoint = `${"a".repeat(26)}.dsql.us-east-1.on.aws`
const timeout = 200

let certificates: Certificates
let gateway: Gateway
beforeAll(async () => {
  certificates = await makeCertificates("us-east-1")
  gateway = await startGateway({
    host,
    port: 0,
    certificate: certificates.certificate,
    key: certificates.key,
    handshakeTimeout: timeout,
    network: new Gate(),
    onCancel: async () => {},
    onSecure: (socket) =>
      void runSession(socket, {
        endpoint,
        region: "us-east-1",
        clusterArn: "arn",
        databaseName: "postgres",
        internalUser: "internal",
        socketPath: "/nowhere",
        loginTimeout: timeout,
        now: Date.now,
        findPrincipal: () => undefined,
        network: new Gate(),
        database: new Gate(),
        onCancel: async () => {},
        refusedSetting: () => undefined,
        onLogin: () => {},
        admit: async () => ({ _tag: "Admitted" }),
        messageLimit: { messageSize: 1024, oversizedMessage: "close" },
        makeStages: () => [],
        makeConductor: () => {
          throw new Error("no session gets that far")
        },
        settings: []
      })
  })
})
afterAll(() => gateway.close())

describe("a client that stops in the middle is closed", () => {
  it("before it says anything, or all of its request", async () => {
    for (const bytes of ["", "\0", "\0\0\0\x08\x04"]) {
      const socket = connectTcp(gateway.port, host)
      socket.write(bytes)
      expect(await new Incoming(socket).until("")).toEqual([])
    }
    await eventually(() => gateway.connectionCount() === 0)
  })

  it("before it begins TLS, or completes it", async () => {
    for (const hello of [Buffer.alloc(0), Buffer.from([0x16, 3, 1, 2, 0, 1])]) {
      const socket = connectTcp(gateway.port, host)
      socket.write(sslRequest)
      expect(String((await once(socket, "data"))[0])).toBe("S")
      socket.write(hello)
      socket.on("error", () => {}).resume()
      await once(socket, "close")
    }
    await eventually(() => gateway.connectionCount() === 0)
  })

  it("before it has logged in", async () => {
    for (const bytes of [Buffer.alloc(0), startup({ user: "admin", database: "postgres" })]) {
      const socket = connectTls({
        host,
        port: gateway.port,
        servername: endpoint,
        ca: certificates.ca,
        ALPNProtocols: ["postgresql"]
      })
      socket.write(bytes)
      expect((await new Incoming(socket).until("")).length).toBe(bytes.length === 0 ? 0 : 1)
    }
    await eventually(() => gateway.connectionCount() === 0)
  })
})
