import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { Batcher, batchLimit, clientMessageTypes, type OnBatch } from "./batches.js"
import { BoundaryTracker, type FramingProblem, MessageFramer } from "./framing.js"
import { invalidMessageLength, invalidMessageType } from "./refusals.js"
import { closeWith } from "./streams.js"
import { type ErrorFields, fatal, messageLimit } from "./wire.js"

/** Carries messages between a client that is logged in and its backend until one of them goes. */
export const relay = (client: Duplex, backend: Socket, onBatch: OnBatch): void => {
  const framer = new MessageFramer(clientMessageTypes, messageLimit)
  const batcher = new Batcher(batchLimit)
  const answers = new BoundaryTracker()

  // Each side is read only as fast as the other takes it.
  const toBackend = (chunk: Buffer): void => {
    backend.cork()
    for (const message of framer.push(chunk)) {
      const batch = batcher.push(message)
      if (batch !== undefined) for (const slice of onBatch(batch).slices) backend.write(slice)
    }
    backend.uncork()
    if (framer.problem !== undefined) return refuse(framer.problem)
    if (backend.writableNeedDrain) client.pause()
  }
  const toClient = (chunk: Buffer): void => {
    answers.push(chunk)
    if (!client.write(chunk)) backend.pause()
  }
  const refuse = (problem: FramingProblem): void => {
    backend.off("data", toClient).destroy()
    // In the midst of a message the client would take our words for a part of it.
    if (answers.isAtBoundary) closeClient(fatal(framingError(problem)))
    else client.destroy()
  }
  const closeClient = (lastWords?: Buffer): void => {
    client.off("data", toBackend)
    closeWith(client, lastWords)
  }

  client.on("data", toBackend).on("drain", () => backend.resume())
  backend
    .on("data", toClient)
    .on("drain", () => client.resume())
    .on("close", () => closeClient())
}

const framingError = (problem: FramingProblem): ErrorFields =>
  problem._tag === "InvalidLength" ? invalidMessageLength : invalidMessageType(problem.type)
