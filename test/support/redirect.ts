/**
 * Loaded in front of a program that is to find its cluster on this machine without a word about that: what it dials at the
 * cluster's endpoint goes to LOCAL_CLUSTER_ADDRESS, as if DNS said so.
 */
import { Socket } from "node:net"

const [host = "", port = ""] = (process.env["LOCAL_CLUSTER_ADDRESS"] ?? "").split(":")
const connect = Socket.prototype.connect as (...args: Array<unknown>) => Socket

const redirected = function (this: Socket, ...args: Array<unknown>): Socket {
  const [toPort, toHost] = args
  return toPort === 5432 && typeof toHost === "string" && toHost.endsWith(".on.aws")
    ? connect.call(this, Number(port), host)
    : connect.apply(this, args)
}
Socket.prototype.connect = redirected as typeof Socket.prototype.connect
