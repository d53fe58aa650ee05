import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { AnswerStream } from "./answers.js"
import type { Conductor, Stage, Wire } from "./batches.js"
import type { Gate } from "./gate.js"
import type { MessageLimit } from "./limits.js"
import { RequestStream } from "./requests.js"
import { closeWith, writeAll } from "./streams.js"

/**
 * How much is read from a client ahead of PostgreSQL, in bytes. That a client has gone shows only behind all it has sent,
 * so this is how far we can see while PostgreSQL is at work.
 */
const readAhead = 1024 * 1024

/** How often PostgreSQL looks whether its client is still there; see `client_connection_check_interval`. */
const checkInterval = 20

/**
 * Carries messages between a client that is logged in and its backend until one of them goes. Each side is read only as
 * fast as the other takes it. While the gate is closed nothing passes in either direction.
 */
export const relay = (
  client: Duplex,
  backend: Socket,
  stages: ReadonlyArray<Stage>,
  gate: Gate,
  messageLimit: MessageLimit,
  makeConductor?: (wire: Omit<Wire, "leave">) => Conductor | undefined
): void => {
  const conductor = makeConductor?.({
    send: (messages) => {
      writeAll(backend, messages)
      flowToClient()
    },
    answer: (messages) => writeAll(client, answers.give(messages)),
    flow: () => toBackend(),
    hangUp: () => {
      client.destroy()
      backend.destroy()
    }
  })
  const requests = new RequestStream(stages, conductor, messageLimit)
  const answers = new AnswerStream(stages, conductor)
  const ahead: Array<Buffer> = []
  let aheadLength = 0

  const backlog = (): number => conductor?.backlog ?? 0
  const fromClient = (chunk: Buffer): void => {
    ahead.push(chunk)
    aheadLength += chunk.length
    toBackend()
  }
  const toBackend = (): void => {
    while (ahead.length > 0 && !gate.isClosed && !backend.writableNeedDrain && backlog() === 0) {
      const chunk = ahead.shift()!
      aheadLength -= chunk.length
      writeAll(backend, requests.push(chunk))
    }
    if (client.readableEnded && ahead.length === 0 && backlog() === 0 && !backend.writableEnded) {
      backend.end(Buffer.concat(requests.end()))
    }
    if (aheadLength < readAhead) client.resume()
    else client.pause()
  }
  const toClient = (chunk: Buffer): void => {
    writeAll(client, answers.push(chunk))
    flowToClient()
  }
  const flowToClient = (): void => {
    if (gate.isClosed || (client.writableNeedDrain && conductor?.isCollecting !== true)) backend.pause()
    else backend.resume()
  }
  // A client that closes its side may still want its answers, so PostgreSQL is told as much and decides. It cannot be told
  // while it does not take what is in front of that, in the midst of a statement: then the client counts as gone.
  const onClientEnd = (): void => {
    toBackend()
    let left = Number.POSITIVE_INFINITY
    const timer = setInterval(() => {
      const before = left
      left = aheadLength + backend.writableLength + backlog()
      if (left > 0 && left === before) client.destroy()
    }, checkInterval).unref()
    client.once("close", () => clearInterval(timer))
  }
  const closeClient = async (): Promise<void> => {
    client.off("data", fromClient)
    conductor?.onEnd()
    await gate.opened()
    // In the midst of a message the client would take our words for a part of it.
    closeWith(client, answers.isAtBoundary ? requests.lastWords : undefined)
  }
  const flow = (): void => {
    toBackend()
    flowToClient()
  }

  client.allowHalfOpen = true
  client.on("data", fromClient).on("drain", flowToClient).once("end", onClientEnd)
  backend.on("data", toClient).on("drain", toBackend).once("close", closeClient)
  client.once("close", gate.onChange(flow))
  flow()
}
