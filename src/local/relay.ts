import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { AnswerStream } from "./answers.js"
import { Batcher, batchLimit, clientMessageTypes, type Stage } from "./batches.js"
import { type FramingProblem, MessageFramer } from "./framing.js"
import type { Gate } from "./gate.js"
import { invalidMessageLength, invalidMessageType } from "./refusals.js"
import { closeWith } from "./streams.js"
import { type ErrorFields, fatal, messageLimit } from "./wire.js"

/**
 * Carries messages between a client that is logged in and its backend until one of them goes. While the gate is closed
 * nothing is read from either side.
 */
export const relay = (client: Duplex, backend: Socket, stages: ReadonlyArray<Stage>, gate: Gate): void => {
  const framer = new MessageFramer(clientMessageTypes, messageLimit)
  const batcher = new Batcher(batchLimit)
  const answers = new AnswerStream(stages)

  // Each side is read only as fast as the other takes it.
  const flow = (): void => {
    if (gate.isClosed || backend.writableNeedDrain) client.pause()
    else client.resume()
    if (gate.isClosed || client.writableNeedDrain) backend.pause()
    else backend.resume()
  }
  const toBackend = (chunk: Buffer): void => {
    backend.cork()
    for (const message of framer.push(chunk)) {
      const batch = batcher.push(message)
      if (batch === undefined) continue
      for (const { raw } of stages.reduce((rest, stage) => stage.onBatch(rest), batch).messages) backend.write(raw)
    }
    backend.uncork()
    if (framer.problem !== undefined) return refuse(framer.problem)
    if (backend.writableNeedDrain) client.pause()
  }
  const toClient = (chunk: Buffer): void => {
    for (const slice of answers.push(chunk)) client.write(slice)
    if (client.writableNeedDrain) backend.pause()
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

  client.on("data", toBackend).on("drain", flow)
  backend
    .on("data", toClient)
    .on("drain", flow)
    .on("close", () => closeClient())
  client.once("close", gate.onChange(flow))
}

const framingError = (problem: FramingProblem): ErrorFields =>
  problem._tag === "InvalidLength" ? invalidMessageLength : invalidMessageType(problem.type)
