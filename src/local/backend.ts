import { connect, Socket } from "node:net"
import { systemErrorCode } from "./errors.js"
import { readMessage } from "./streams.js"
import {
  cancelRequest,
  errorFields,
  message,
  type Parameters,
  parameterStatus,
  parseParameterStatus,
  startupMessage
} from "./wire.js"

/** What PostgreSQL answered to a start-up message. */
export type BackendAnswer =
  | {
      readonly _tag: "Ready"
      readonly socket: Socket
      /** Everything up to and including ReadyForQuery, for the client. */
      readonly greeting: Buffer
      readonly processId: number
    }
  | {
      readonly _tag: "Refused"
      /** Everything up to and including the error, for the client. */
      readonly answer: Buffer
      readonly error: ReadonlyMap<string, string>
    }
  | { readonly _tag: "Unavailable" }

/** The version that the service reports. */
export const reportedServerVersion = "16.15"

/** No message of a start-up is anywhere near as long. */
const startupMessageLimit = 1024 * 1024

type Callback = (error?: Error | null) => void

/**
 * A socket to PostgreSQL that is read to its end, also when PostgreSQL goes away while we write to it, or leaves unread
 * what we wrote: what it said before, most of all why it went, may still be on its way. Node would throw that away.
 */
class BackendSocket extends Socket {
  override _write(chunk: unknown, encoding: BufferEncoding, callback: Callback): void {
    super._write(chunk, encoding, () => callback())
  }

  override _writev(chunks: Array<{ chunk: unknown; encoding: BufferEncoding }>, callback: Callback): void {
    super._writev!(chunks, () => callback())
  }

  override destroy(error?: Error): this {
    if (systemErrorCode(error) !== "ECONNRESET") return super.destroy(error)
    this.push(null)
    return this
  }
}

/** Opens a session of PostgreSQL. The socket is there at once, so that it can be destroyed while the answer is awaited. */
export const connectBackend = (
  socketPath: string,
  parameters: Parameters
): { readonly socket: Socket; readonly answer: Promise<BackendAnswer> } => {
  const socket = new BackendSocket().connect(socketPath)
  socket.on("error", () => {})
  socket.write(startupMessage(parameters))
  return { socket, answer: readAnswer(socket) }
}

/** Passes on a request to cancel what a session does. Like PostgreSQL it never says whether that was so. */
export const cancelBackend = (socketPath: string, key: Buffer): Promise<void> =>
  new Promise((resolve) => {
    const socket = connect(socketPath, () => socket.write(cancelRequest(key)))
    // PostgreSQL closes when it has done what it will do.
    socket.on("error", () => {}).once("close", () => resolve())
    socket.resume()
  })

const readAnswer = async (socket: Socket): Promise<BackendAnswer> => {
  const greeting: Array<Buffer> = []
  let processId = 0
  for (;;) {
    const next = await readMessage(socket, startupMessageLimit)
    if (next === undefined) {
      socket.destroy()
      return { _tag: "Unavailable" }
    }
    const raw = message(next.type, next.body)
    if (next.type === "K") processId = next.body.readUInt32BE(0)
    greeting.push(next.type === "S" ? asReported(next.body, raw) : raw)
    if (next.type === "E") {
      socket.destroy()
      return { _tag: "Refused", answer: Buffer.concat(greeting), error: errorFields(next.body) }
    }
    if (next.type === "Z") return { _tag: "Ready", socket, greeting: Buffer.concat(greeting), processId }
  }
}

const asReported = (body: Buffer, raw: Buffer): Buffer => {
  const [name] = parseParameterStatus(body)
  return name === "server_version" ? parameterStatus(name, reportedServerVersion) : raw
}
