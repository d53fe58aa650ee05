import { message } from "../wire.js"

/**
 * The messages of the extended protocol, read and written. Texts are bytes as characters, one to one, so that they stay as
 * they were in any encoding.
 */
const encoding = "latin1"

const text = (value: string): Buffer => Buffer.from(`${value}\0`, encoding)
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

export interface ParseMessage {
  readonly name: string
  readonly sql: string
  /** The number of parameter types and the types. */
  readonly types: Buffer
}

export interface BindMessage {
  readonly portal: string
  readonly statement: string
  /** Formats, values and result formats. */
  readonly values: Buffer
}

/** The strings that a message begins with, and what follows; `undefined` if they have no end. */
const readStrings = (raw: Buffer, count: 1 | 2, start = 5) => {
  const first = raw.indexOf(0, start)
  const last = count === 1 || first === -1 ? first : raw.indexOf(0, first + 1)
  if (last === -1) return undefined
  return {
    first: raw.toString(encoding, start, first),
    second: raw.toString(encoding, first + 1, last),
    rest: raw.subarray(last + 1)
  }
}

export const readQuery = (raw: Buffer): string | undefined => readStrings(raw, 1)?.first

export const readParse = (raw: Buffer): ParseMessage | undefined => {
  const read = readStrings(raw, 2)
  return read === undefined ? undefined : { name: read.first, sql: read.second, types: read.rest }
}

export const readBind = (raw: Buffer): BindMessage | undefined => {
  const read = readStrings(raw, 2)
  return read === undefined ? undefined : { portal: read.first, statement: read.second, values: read.rest }
}

/** What a Close or Describe names. */
export const readName = (raw: Buffer): { readonly isPortal: boolean; readonly name: string } | undefined => {
  const read = readStrings(raw, 1, 6)
  return read === undefined ? undefined : { isPortal: raw[5] === "P".charCodeAt(0), name: read.first }
}

/** A limit of 0 is none. */
export const readExecute = (raw: Buffer): { readonly portal: string; readonly limit: number } | undefined => {
  const read = readStrings(raw, 1)
  return read === undefined || read.rest.length < 4
    ? undefined
    : { portal: read.first, limit: read.rest.readInt32BE(0) }
}

export const query = (sql: string): Buffer => message("Q", text(sql))
export const sync: Buffer = message("S")
export const closeStatement = (name: string): Buffer => message("C", Buffer.from("S"), text(name))
const describeStatement = (name: string): Buffer => message("D", Buffer.from("S"), text(name))

/** A statement with its parameters, so that it can be run at any time. */
export interface Call {
  readonly sql: string
  readonly types: Buffer
  readonly values: Buffer
}

/** Neither types nor formats, nor values, nor result formats: whatever has parameters or results comes as text. */
export const noTypes: Buffer = Buffer.alloc(2)
export const noValues: Buffer = Buffer.alloc(6)

/** Clients do not use it for theirs. */
const own = "_dsql"

/** A failure leaves them behind. */
const closeOwn = Buffer.concat([closeStatement(own), message("C", Buffer.from("P"), text(own))])

/** Runs a statement without touching those of the client. */
export const run = ({ sql, types, values }: Call, describes = false): Buffer =>
  Buffer.concat([
    closeOwn,
    message("P", text(own), text(sql), types),
    message("B", text(own), text(own), values),
    ...(describes ? [message("D", Buffer.from("P"), text(own))] : []),
    message("E", text(own), int32(0)),
    closeOwn,
    sync
  ])

/** Asks for the types of its parameters. */
export const describe = ({ sql, types }: Call): Buffer =>
  Buffer.concat([closeOwn, message("P", text(own), text(sql), types), describeStatement(own), closeOwn, sync])

/** Has PostgreSQL read it, without running it. */
export const check = (sql: string): Buffer =>
  Buffer.concat([closeOwn, message("P", text(own), text(sql), noTypes), closeOwn, sync])

export const runText = (sql: string): Buffer => run({ sql, types: noTypes, values: noValues })

/** Whether there are any parameters. */
export const hasValues = (values: Buffer): boolean => values.readUInt16BE(2 + 2 * values.readUInt16BE(0)) > 0

/** The same parameters for a statement whose results are to come as text. */
export const withTextResults = (values: Buffer): Buffer => {
  let at = 2 + 2 * values.readUInt16BE(0)
  let left = values.readUInt16BE(at)
  at += 2
  for (; left > 0; left--) at += 4 + Math.max(0, values.readInt32BE(at))
  return Buffer.concat([values.subarray(0, at), noTypes])
}

/** The types that a ParameterDescription gives, as a Parse takes them. */
export const typesOf = (parameterDescription: Buffer): Buffer => parameterDescription.subarray(5)

/** The values of a DataRow that come as text; NULL is empty. */
export const valuesOf = (row: Buffer): ReadonlyArray<string> => {
  let at = 7
  return Array.from({ length: row.readUInt16BE(5) }, () => {
    const length = Math.max(0, row.readInt32BE(at))
    at += 4 + length
    return row.toString("utf8", at - length, at)
  })
}

export const firstValue = (row: Buffer): string => valuesOf(row)[0] ?? ""
