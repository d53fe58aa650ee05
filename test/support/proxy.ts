/** A TCP proxy in front of the local cluster, to count what a client dials and to have the network fail in every way. */
import { Effect } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { Socket } from "node:net"
import { listen } from "./sockets.js"

export interface ProxyOptions {
  /** Nothing is passed on before so many clients are there at once. */
  readonly together?: number | undefined
  /** Whether a client learns that the server has closed. Default `true`. */
  readonly passesEnds?: boolean | undefined
}

export const makeProxy = ({ passesEnds = true, together = 0 }: ProxyOptions = {}) =>
  Effect.gen(function* () {
    const cluster = yield* DsqlLocal
    const sockets = new Set<Socket>()
    const upstreams = new Set<Socket>()
    const openings: Array<Buffer> = []
    const held: Array<() => void> = []
    const connect = (socket: Socket) => {
      const upstream = new Socket().connect(cluster.port, cluster.hostaddr)
      upstreams.add(upstream)
      socket.once("data", (chunk: Buffer) => openings.push(chunk)).pipe(upstream)
      upstream.on("error", () => {}).pipe(socket, { end: passesEnds })
      if (!passesEnds) socket.once("end", () => socket.destroy())
      // A client that has gone for good must not be kept alive on the other side.
      socket.once("close", () => upstream.destroy())
    }
    const listener = yield* listen((socket) => {
      sockets.add(socket)
      held.push(() => connect(socket))
      if (held.length >= together) held.splice(0).forEach((go) => go())
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => upstreams.forEach((upstream) => upstream.destroy())))
    const { accepted, dialled, port, present } = listener
    const options: DsqlConfig.Options = { ...cluster.options, port }
    return {
      options,
      credentials: DsqlAuth.layerStatic(cluster.credentials),
      accepted,
      dialled,
      present,
      /** The first bytes of each client. */
      openings: openings as ReadonlyArray<Buffer>,
      /** Passes on no more of what the server says. */
      silence: Effect.sync(() => {
        for (const upstream of upstreams) upstream.unpipe().pause()
      }),
      /** Takes no more notice of either side, not even of their closing. */
      freeze: Effect.sync(() => {
        for (const socket of [...sockets, ...upstreams]) socket.unpipe().pause()
      }),
      /** Passes on nothing more of what these clients say, and closes abruptly on whoever says something. */
      cutOnNextWord: Effect.sync(() => {
        for (const socket of sockets)
          socket
            .unpipe()
            .once("data", () => socket.destroy())
            .resume()
      }),
      /** Closes the connections abruptly. */
      cut: Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
      })
    }
  })

export type Proxy = Effect.Effect.Success<ReturnType<typeof makeProxy>>

/** A client of the cluster that goes through the proxy. */
export const clientThrough = (proxy: Proxy, options: Partial<DsqlConfig.Options> = {}) =>
  DsqlLayer.layer({ ...proxy.options, ...options }, { credentials: proxy.credentials })
