/** A cluster whose PostgreSQL also speaks TLS itself, so that the way through the gateway can be held against it. */
import { chownSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
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
const { accessKeyId, ca, endpoint, hostaddr, port, region, secretAccessKey } = cluster
console.log(JSON.stringify({ accessKeyId, address, ca, endpoint, hostaddr, port, region, secretAccessKey }))
process.stdin.on("end", () => void cluster.stop()).resume()
