/** Servers of this machine for clients to dial, which count who came and who is still there. */
import { Effect } from "effect"
import { type AddressInfo, createServer, type Server, Socket } from "node:net"
import { eventually } from "../local/support.js"

/** Waits for what no timer announces, whatever clock the test is on. */
export const until = (condition: () => boolean) => Effect.promise(() => eventually(condition))

/** TCP sockets of this process, at whichever end of a connection. */
export const tcpSockets = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap").length

const dial = (port: number) =>
  Effect.async<Socket>((resume) => {
    const socket = new Socket().on("error", () => {})
    socket.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
  })

/** A server that leaves it to its clients to close. Gone with the scope. */
export const listen = (onSocket: (socket: Socket) => void) =>
  Effect.gen(function* () {
    const accepted: Array<number> = []
    const present = new Set<Socket>()
    const all = new Set<Socket>()
    const probes = new Map<number, () => void>()
    const server = yield* Effect.acquireRelease(
      Effect.async<Server>((resume) => {
        const server = createServer({ allowHalfOpen: true }, (socket) => {
          const gone = () => present.delete(socket)
          accepted.push(socket.remotePort!)
          present.add(socket)
          all.add(socket)
          onSocket(
            socket
              .on("error", () => {})
              .on("end", gone)
              .on("close", gone)
          )
          probes.get(socket.remotePort!)?.()
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          for (const socket of all) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    const { port } = server.address() as AddressInfo
    const seen = (probe: Socket) =>
      Effect.async<void>((resume) => {
        probes.set(probe.localPort!, () => resume(Effect.void))
        if (accepted.includes(probe.localPort!)) resume(Effect.void)
      })
    const probe = Effect.acquireUseRelease(dial(port), seen, (socket) => Effect.sync(() => socket.destroy()))
    const clients = () => accepted.filter((port) => !probes.has(port)).length
    return {
      port,
      /** How many clients are connected that have not closed. */
      present: () => present.size,
      /** How many have been accepted so far. */
      accepted: clients,
      /**
       * How many have dialled so far. Connections are accepted in order, so whoever comes before a probe has been counted
       * when that one is; a first one leaves who is about to dial the time to do so.
       */
      dialled: Effect.zipRight(Effect.zipRight(probe, probe), Effect.sync(clients))
    }
  })
