/**
 * What the service says and no local cluster does: a server of the PostgreSQL protocol behind TLS that logs everybody in,
 * and answers what a test wants with an ErrorResponse of the test's.
 */
import { Effect, Layer, Redacted } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlLayer } from "effect-dsql"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { createServer, type TLSSocket } from "node:tls"
import { makeCertificates } from "../../src/local/certificates.js"
import { frame } from "../local/support.js"

/** The fields of an ErrorResponse by their letters: C is the SQLSTATE, M the message, D the detail, H the hint. */
export interface Refusal {
  readonly C: string
  readonly M: string
  readonly D?: string
  readonly H?: string
}

/** What is refused: logins, or the statements that begin with a word; `hangUp` closes the socket in place of an answer. */
export interface Refusals {
  readonly login?: Refusal
  readonly [statement: string]: Refusal | "hangUp" | undefined
}

const errorResponse = (severity: "ERROR" | "FATAL", refusal: Refusal) => {
  const fields = Object.entries({ S: severity, V: severity, ...refusal }).map(([letter, text]) => `${letter}${text}\0`)
  return frame("E", `${fields.join("")}\0`)
}

/** Messages of a client, the first without a type. */
const read = async function* (socket: TLSSocket) {
  let bytes: Buffer = Buffer.alloc(0)
  let typed = 0
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer])
    while (bytes.length >= typed + 4 && bytes.length >= typed + bytes.readInt32BE(typed)) {
      const end = typed + bytes.readInt32BE(typed)
      yield { type: typed === 0 ? "start-up" : String.fromCharCode(bytes[0]!), body: bytes.subarray(typed + 4, end) }
      bytes = bytes.subarray(end)
      typed = 1
    }
  }
}

const serve = async (socket: TLSSocket, refusals: Refusals): Promise<void> => {
  let state = "I"
  let prepared = ""
  const run = (sql: string) => {
    const word = sql.split(/\W/)[0]!.toUpperCase()
    const refusal = refusals[word]
    if (refusal === "hangUp") return socket.destroy()
    const tag = word === "COMMIT" && state === "E" ? "ROLLBACK" : word
    if (refusal !== undefined) state = state === "I" ? "I" : "E"
    else if (word === "BEGIN") state = "T"
    if (word === "COMMIT" || word === "ROLLBACK") state = "I"
    socket.write(refusal === undefined ? frame("C", `${tag}\0`) : errorResponse("ERROR", refusal))
    return socket.write(frame("Z", state))
  }
  for await (const { body, type } of read(socket)) {
    const texts = body.toString().split("\0")
    if (type === "start-up") socket.write(frame("R", Buffer.of(0, 0, 0, 3)))
    else if (type === "p" && refusals.login !== undefined) socket.end(errorResponse("FATAL", refusals.login))
    else if (type === "p") socket.write(Buffer.concat([frame("R", Buffer.alloc(4)), frame("Z", state)]))
    else if (type === "P") prepared = texts[1]!
    else if (type === "Q" || type === "S") run(type === "Q" ? texts[0]! : prepared)
  }
}

/** Options for a client of such a server, which is gone with the scope. */
export const serviceSaying = (refusals: Refusals) =>
  Effect.gen(function* () {
    const { ca, certificate, key } = yield* Effect.promise(() => makeCertificates("us-east-1"))
    const sockets = new Set<TLSSocket>()
    const server = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const server = createServer({ cert: certificate, key, ALPNProtocols: ["postgresql"] }, (socket) => {
          sockets.add(socket.on("error", () => {}))
          // A socket that breaks ends the reading of it.
          serve(socket, refusals).catch(() => socket.destroy())
        }).listen(0, "127.0.0.1")
        await once(server, "listening")
        return server
      }),
      (server) =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
    const { port } = server.address() as AddressInfo
    return {
      host: "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws",
      hostaddr: "127.0.0.1",
      port,
      tls: { ca }
    } satisfies DsqlConfig.Options
  })

/** A client of such a server. */
export const layerSaying = (refusals: Refusals, options: Partial<DsqlConfig.Options> = {}) =>
  Layer.unwrapScoped(
    Effect.map(serviceSaying(refusals), (service) =>
      DsqlLayer.layer(
        { ...service, ...options },
        {
          credentials: DsqlAuth.layerStatic({
            accessKeyId: "AKIAOFNOBODY00000000",
            secretAccessKey: Redacted.make("s")
          })
        }
      )
    )
  )
