/** The parts of the PostgreSQL wire protocol, version 3, that stand between a client and its session. */

/** What a client may ask for in the place of a protocol version. */
export const requestCode = { cancel: 80877102, ssl: 80877103, gssEncryption: 80877104 } as const

/** PostgreSQL's own limit for a start-up packet. */
export const startupPacketLimit = 10_000

/** PostgreSQL's own limit for messages that have no reason to be long. */
export const shortMessageLimit = 10_000

export type Parameters = ReadonlyArray<readonly [name: string, value: string]>

export interface ProtocolVersion {
  readonly major: number
  readonly minor: number
}

/** The fields of an ErrorResponse. */
export interface ErrorFields {
  readonly code: string
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const cString = (text: string): Buffer => Buffer.from(`${text}\0`, "utf8")

/** A message: its type, its length, its body. */
export const message = (type: string, ...body: ReadonlyArray<Buffer>): Buffer => {
  const length = body.reduce((sum, part) => sum + part.length, 4)
  return Buffer.concat([Buffer.from(type, "latin1"), int32(length), ...body])
}

/** Gives up a COPY. */
export const copyFail = (reason: string): Buffer => message("f", cString(reason))

export const terminate: Buffer = message("X")

/** The types of all messages that a server sends to a client that is logged in. */
export const serverMessageTypes = "123ACDEGHIKNRSTVWZcdnstv"

/** The transaction status of a ReadyForQuery: idle, in a block, in a block that is aborted. */
export type TransactionStatus = "I" | "T" | "E"

export const statusOf = (readyForQuery: Buffer): TransactionStatus =>
  String.fromCharCode(readyForQuery[5] ?? 0) as TransactionStatus

/** The tag of a statement that is done. */
export const commandComplete = (tag: string): Buffer => message("C", cString(tag))

/** An ErrorResponse or NoticeResponse with its fields, but for those left out. */
export const responseWith = (
  type: string,
  fields: ReadonlyMap<string, string>,
  leftOut: ReadonlyArray<string>
): Buffer => {
  const kept = [...fields].filter(([name]) => !leftOut.includes(name))
  return message(type, ...kept.map(([name, value]) => cString(name + value)), Buffer.of(0))
}

/** An ErrorResponse. FATAL ends the connection. */
export const errorResponse = (severity: "ERROR" | "FATAL", fields: ErrorFields): Buffer => {
  const field = (type: string, value: string | undefined) => (value === undefined ? [] : [cString(type + value)])
  return message(
    "E",
    ...field("S", severity),
    ...field("V", severity),
    ...field("C", fields.code),
    ...field("M", fields.message),
    ...field("D", fields.detail),
    ...field("H", fields.hint),
    Buffer.of(0)
  )
}

export const fatal = (fields: ErrorFields): Buffer => errorResponse("FATAL", fields)

/** The fields of an ErrorResponse's body, by their type. */
export const errorFields = (body: Buffer): ReadonlyMap<string, string> =>
  new Map(
    body
      .toString("utf8")
      .split("\0")
      .filter((field) => field !== "")
      .map((field) => [field.slice(0, 1), field.slice(1)])
  )

export const authenticationCleartextPassword: Buffer = message("R", int32(3))

/** Tells that of the 3.x protocols and their options only plain 3.0 is spoken. */
export const negotiateProtocolVersion = (unknownOptions: ReadonlyArray<string>): Buffer =>
  message("v", int32(3 << 16), int32(unknownOptions.length), ...unknownOptions.map(cString))

export const parameterStatus = (name: string, value: string): Buffer => message("S", cString(name), cString(value))

/** Name and value of a ParameterStatus body. */
export const parseParameterStatus = (body: Buffer): readonly [name: string, value: string] => {
  const [name = "", value = ""] = body.toString("utf8").split("\0")
  return [name, value]
}

export const startupMessage = (parameters: Parameters): Buffer => {
  const pairs = parameters.flatMap(([name, value]) => [cString(name), cString(value)])
  const body = Buffer.concat([int32(3 << 16), ...pairs, Buffer.of(0)])
  return Buffer.concat([int32(body.length + 4), body])
}

/** Asks for the end of what the session with this key does. */
export const cancelRequest = (key: Buffer): Buffer =>
  Buffer.concat([int32(key.length + 8), int32(requestCode.cancel), key])

/** The upper and lower half of the code that starts a start-up packet. */
export const protocolVersion = (code: number): ProtocolVersion => ({ major: code >>> 16, minor: code & 0xffff })

/** The name and value pairs behind the version; `undefined` if they are not well formed. */
export const parseParameters = (body: Buffer): Parameters | undefined => {
  // Pairs of strings, each ended by a zero, and one zero at the very end.
  const strings = body.toString("utf8").split("\0")
  if (strings.length % 2 !== 0 || strings.at(-1) !== "" || strings.at(-2) !== "") return undefined
  const pairs: Array<readonly [string, string]> = []
  for (let index = 0; index + 2 < strings.length; index += 2) {
    const name = strings[index] ?? ""
    if (name === "") return undefined
    pairs.push([name, strings[index + 1] ?? ""])
  }
  return pairs
}
