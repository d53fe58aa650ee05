/**
 * A cluster whose PostgreSQL also speaks TLS itself, so that the way through the gateway can be held against it; and beside
 * the gateway a relay that does nothing but TLS, which is the least that a program of Node in between can cost.
 */
import { chownSync, statSync, writeFileSync } from "node:fs"
import { type AddressInfo, connect, createServer } from "node:net"
import { dirname, join } from "node:path"
import { createServer as createTlsServer } from "node:tls"
import { makeCertificates } from "../../src/local/certificates.js"
import { startCluster } from "../../src/local/cluster.js"
import { withInternalSession } from "../../src/local/internalSession.js"
import { literal } from "../../src/local/quoting.js"
import { internalUser } from "../../src/local/template.js"

/** Of the loopback network, so that PostgreSQL's usual port is free whatever else runs here. */
const address = "127.0.0.77"

const cluster = await startCluster()
const folder = dirname(cluster.caFile)
const { uid, gid } = statSync(folder)
const { certificate, key } = await makeCertificates(cluster.region)
const write = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  chownSync(path, uid, gid)
  return path
}
const settings = {
  listen_addresses: address,
  ssl: "on",
  ssl_cert_file: write("server.crt", certificate),
  ssl_key_file: write("server.key", key),
  hba_file: write("hba.conf", "local all all trust\nhostssl all all 127.0.0.0/8 trust\n")
}
await withInternalSession(join(folder, ".s.PGSQL.5432"), internalUser, "postgres", async ({ run }) => {
  for (const [name, value] of Object.entries(settings)) await run(`ALTER SYSTEM SET ${name} = ${literal(value)}`)
})
await cluster.stopServer()
await cluster.startServer()

const tls = createTlsServer({ cert: certificate, key }, (client) => {
  const backend = connect(join(folder, ".s.PGSQL.5432"))
  client.on("data", (bytes) => backend.write(bytes)).once("close", () => backend.destroy())
  backend.on("data", (bytes) => client.write(bytes)).once("close", () => client.destroy())
})
const bare = createServer({ noDelay: true }, (socket) => {
  socket.once("readable", () => {
    // It is asked for TLS, which is all that a client asks for here.
    socket.read(8)
    socket.write("S")
    tls.emit("connection", socket)
  })
})
await new Promise<void>((resolve) => bare.listen(0, address, resolve))
const barePort = (bare.address() as AddressInfo).port

const { accessKeyId, ca, endpoint: host, hostaddr, port, secretAccessKey } = cluster
console.log(JSON.stringify({ accessKeyId, address, barePort, ca, host, hostaddr, port, secretAccessKey }))
process.stdin
  .on("end", () => {
    bare.close()
    void cluster.stop()
  })
  .resume()
