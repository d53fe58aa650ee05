/** A proxy that ends TLS, to see what a client says to the cluster. */
import { Effect } from "effect"
import { DsqlAuth, type DsqlConfig } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { connect as connectTls, createServer, type TLSSocket } from "node:tls"
import { clientMessageTypes } from "../../src/local/batches.js"
import { makeCertificates } from "../../src/local/certificates.js"
import { MessageFramer } from "../../src/local/framing.js"
import { listen } from "./sockets.js"

/** What a client sends behind its start-up packet, which has no type. */
const readMessages = (client: TLSSocket, onMessage: (type: string) => void) => {
  const framer = new MessageFramer(`p${clientMessageTypes}`, () => 10 * 1024 * 1024)
  let head = Buffer.alloc(0)
  let started = false
  client.on("data", (chunk: Buffer) => {
    if (started) return framer.push(chunk).forEach(({ type }) => onMessage(type))
    head = Buffer.concat([head, chunk])
    if (head.length < 4 || head.length < head.readInt32BE(0)) return
    started = true
    framer.push(head.subarray(head.readInt32BE(0))).forEach(({ type }) => onMessage(type))
  })
}

export const makeTap = Effect.gen(function* () {
  const cluster = yield* DsqlLocal
  const { ca, certificate, key } = yield* Effect.promise(() => makeCertificates(cluster.region))
  const handshakes: Array<Pick<TLSSocket, "servername" | "alpnProtocol"> & { readonly protocol: string | null }> = []
  let messages = ""
  const server = createServer({ cert: certificate, key, ALPNProtocols: ["postgresql"] }, (client) => {
    const { alpnProtocol, servername } = client
    handshakes.push({ alpnProtocol, servername, protocol: client.getProtocol() })
    const upstream = connectTls({
      host: cluster.hostaddr,
      port: cluster.port,
      servername: cluster.endpoint,
      ca: cluster.ca,
      ALPNProtocols: ["postgresql"]
    })
    readMessages(client, (type) => (messages += type))
    client.on("error", () => {}).pipe(upstream)
    upstream.on("error", () => {}).pipe(client)
    client.once("close", () => upstream.destroy())
  }).on("tlsClientError", () => {})
  const { port } = yield* listen((socket) => server.emit("connection", socket))
  const options: DsqlConfig.Options = { ...cluster.options, port, tls: { ca } }
  return {
    options,
    credentials: DsqlAuth.layerStatic(cluster.credentials),
    handshakes: handshakes as ReadonlyArray<(typeof handshakes)[number]>,
    /** The types of the messages that clients send while an effect runs, those up to a Query or Sync put together. */
    sent: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        messages = ""
        return Effect.map(effect, (): ReadonlyArray<string> => messages.match(/[^QS]*[QS]?/g)!.slice(0, -1))
      })
  }
})
