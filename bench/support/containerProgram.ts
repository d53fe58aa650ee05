/** The endpoint where a container gets its AWS credentials. It takes its time, and tells how often it was asked. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as delay } from "node:timers/promises"

const [accessKeyId, secretAccessKey, milliseconds] = process.argv.slice(2)
let asked = 0

const server = createServer((request, response) => {
  if (request.url === "/asked") return void response.end(String(asked))
  asked++
  const credentials = {
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    // The identity of the local cluster has none.
    Token: "",
    Expiration: new Date(Date.now() + 6 * 3_600_000).toISOString()
  }
  void delay(Number(milliseconds)).then(() => response.end(JSON.stringify(credentials)))
})
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.stdin.resume().once("end", () => {
  server.close()
  server.closeAllConnections()
})
