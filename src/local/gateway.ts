import { type AddressInfo, createServer, type Socket } from "node:net"
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls"
import { LocalClusterError, systemErrorCode } from "./errors.js"
import type { Gate } from "./gate.js"
import { negotiateOpening } from "./opening.js"
import { closeAfter, closeWith } from "./streams.js"

export interface GatewayOptions {
  readonly host: string
  readonly port: number
  readonly certificate: string
  readonly key: string
  /** How long a client may take to begin TLS, and again to complete it, in milliseconds. */
  readonly handshakeTimeout: number
  /** Closed while clients are to be left without an answer. */
  readonly network: Gate
  /** Takes over a connection that speaks TLS. */
  readonly onSecure: (socket: TLSSocket) => void
  /** Is asked to cancel what a session does, by the body of the request. */
  readonly onCancel: (key: Buffer) => Promise<void>
}

/** The listener in front of PostgreSQL: decides how to speak and does TLS. */
export interface Gateway {
  readonly port: number
  readonly connectionCount: () => number
  readonly dropConnections: () => void
  readonly close: () => Promise<void>
}

/** PostgreSQL's name among the application protocols of TLS. */
const alpnProtocol = "postgresql"

export const startGateway = async (options: GatewayOptions): Promise<Gateway> => {
  const sockets = new Set<Socket>()
  const tlsServers = {
    direct: makeTlsServer(options, (socket) =>
      // Without it a web page could make a browser speak to us.
      socket.alpnProtocol === alpnProtocol ? options.onSecure(socket) : socket.destroy()
    ),
    postgres: makeTlsServer(options, options.onSecure)
  }
  const accept = async (socket: Socket): Promise<void> => {
    await options.network.opened()
    const inTime = closeAfter(socket, options.handshakeTimeout)
    const opening = await negotiateOpening(socket)
    inTime()
    switch (opening._tag) {
      case "Tls":
        return void tlsServers[opening.negotiation].emit("connection", socket)
      case "Cancel":
        await options.onCancel(opening.key)
        return closeWith(socket)
      case "Refused":
        return closeWith(socket, opening.answer)
      case "Closed":
        return void socket.destroy()
    }
  }
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on("error", () => {}).once("close", () => sockets.delete(socket))
    accept(socket).catch(() => socket.destroy())
  })

  const dropConnections = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  await listen(server, options)
  return {
    port: (server.address() as AddressInfo).port,
    connectionCount: () => sockets.size,
    dropConnections,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        dropConnections()
      })
  }
}

const makeTlsServer = (options: GatewayOptions, onSecure: (socket: TLSSocket) => void): TlsServer => {
  const server = createTlsServer({
    cert: options.certificate,
    key: options.key,
    minVersion: "TLSv1.2",
    ALPNProtocols: [alpnProtocol],
    handshakeTimeout: options.handshakeTimeout
  })
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {})
    onSecure(socket)
  })
  // Node itself leaves the socket open when the handshake takes too long.
  server.on("tlsClientError", (_error, socket) => socket.destroy())
  return server
}

const listen = (server: ReturnType<typeof createServer>, { host, port }: GatewayOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    // Stays on, because later errors (too many open files, …) concern single connections.
    server.on("error", (error) => reject(listenError(port, error)))
    server.listen({ host, port }, resolve)
  })

const listenError = (port: number, error: Error): LocalClusterError =>
  systemErrorCode(error) === "EADDRINUSE"
    ? new LocalClusterError(
        "PortInUse",
        `Port ${port} is in use. Stop what listens there or take another; 0 takes any free one.`,
        error
      )
    : new LocalClusterError("StartFailed", `Cannot listen on port ${port}: ${error.message}`, error)
