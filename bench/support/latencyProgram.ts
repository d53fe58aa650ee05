/** A TCP proxy that hands everything on after a while: argv has the port to dial and the milliseconds, each way. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net"

const [port, delay] = process.argv.slice(2).map(Number) as [number, number]

/** Timers of the same length go off in their order, so that nothing is overtaken. */
const handOn = (from: Socket, to: Socket): void => {
  from.on("data", (chunk) => setTimeout(() => to.write(chunk), delay))
  from.on("close", () => setTimeout(() => to.destroy(), delay))
  from.on("error", () => {})
}

const server = createServer({ noDelay: true }, (client) => {
  const upstream = connect({ port, host: "127.0.0.1", noDelay: true })
  handOn(client, upstream)
  handOn(upstream, client)
}).listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port))
process.stdin.resume().once("end", () => process.exit())
