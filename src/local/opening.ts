import type { Socket } from "node:net"
import { plainDataAfterRequest, tlsRequired } from "./refusals.js"
import { readExactly } from "./streams.js"
import { fatal, protocolVersion, requestCode, startupPacketLimit } from "./wire.js"

/** How a client wants to speak, by its first bytes. */
export type Opening =
  | { readonly _tag: "Tls"; readonly negotiation: "direct" | "postgres" }
  | { readonly _tag: "Cancel"; readonly key: Buffer }
  | { readonly _tag: "Refused"; readonly answer: Buffer }
  | { readonly _tag: "Closed" }

const closed: Opening = { _tag: "Closed" }
const tlsHandshakeRecord = 0x16

/** Reads on until TLS can begin; its first byte stays in the socket. */
export const negotiateOpening = async (socket: Socket): Promise<Opening> => {
  const first = await readExactly(socket, 1)
  if (first === undefined) return closed
  socket.unshift(first)
  if (first[0] === tlsHandshakeRecord) return { _tag: "Tls", negotiation: "direct" }

  const request = await readRequest(socket)
  if (request?.code !== requestCode.gssEncryption) return answerRequest(socket, request)
  if (socket.readableLength > 0) return refusePlainData
  socket.write("N")
  return answerRequest(socket, await readRequest(socket))
}

const refusePlainData: Opening = { _tag: "Refused", answer: fatal(plainDataAfterRequest) }

const answerRequest = async (socket: Socket, request: Request | undefined): Promise<Opening> => {
  if (request === undefined) return closed
  switch (request.code) {
    case requestCode.ssl:
      // What came in the clear must never be taken for something that came encrypted (CVE-2021-23222).
      if (socket.readableLength > 0) return refusePlainData
      socket.write("S")
      return { _tag: "Tls", negotiation: "postgres" }
    case requestCode.cancel: {
      const key = await readExactly(socket, request.bodyLength)
      return key === undefined ? closed : { _tag: "Cancel", key }
    }
    default:
      return protocolVersion(request.code).major === 3 ? { _tag: "Refused", answer: fatal(tlsRequired) } : closed
  }
}

interface Request {
  readonly code: number
  readonly bodyLength: number
}

/** The beginning of a start-up packet; `undefined` as soon as it cannot be one. */
const readRequest = async (socket: Socket): Promise<Request | undefined> => {
  const length = (await readExactly(socket, 4))?.readInt32BE(0) ?? 0
  if (length < 8 || length > startupPacketLimit) return undefined
  const code = (await readExactly(socket, 4))?.readUInt32BE(0)
  return code === undefined ? undefined : { code, bodyLength: length - 8 }
}
