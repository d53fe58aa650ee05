import type { Socket } from "node:net"
import { PassThrough } from "node:stream"
import { connectBackend } from "./backend.js"
import { readMessage } from "./streams.js"
import { errorFields, message } from "./wire.js"

/** A row, its values as PostgreSQL writes them as text. */
export type Row = ReadonlyArray<string | null>

/** A session of PostgreSQL's superuser, for what the cluster itself does. */
export interface InternalSession {
  /** Runs one statement. Rejects with PostgreSQL's message. */
  readonly run: (sql: string) => Promise<ReadonlyArray<Row>>
}

/** What the gateway asks for is far shorter. */
const messageLimit = 1024 * 1024

/** Gives `use` a session that ends with it. */
export const withInternalSession = async <A>(
  socketPath: string,
  user: string,
  database: string,
  use: (session: InternalSession) => Promise<A>
): Promise<A> => {
  const session = await openInternalSession(socketPath, user, database)
  try {
    return await use(session)
  } finally {
    session.close()
  }
}

/** A session that lasts until it is closed. Statements must wait for one another. */
export interface LastingSession extends InternalSession {
  readonly close: () => void
}

export const openInternalSession = async (
  socketPath: string,
  user: string,
  database: string
): Promise<LastingSession> => {
  const socket = await openSocket(socketPath, user, database)
  const run = (sql: string): Promise<ReadonlyArray<Row>> => {
    socket.write(message("Q", Buffer.from(`${sql}\0`)))
    return readRows(sql, () => readMessage(socket, messageLimit))
  }
  return { run, close: () => void socket.destroy() }
}

/** A session that also tells of notifications, as they come. It does not keep the process alive. */
export const openNotifiedSession = async (
  socketPath: string,
  user: string,
  database: string,
  onNotification: () => void
): Promise<LastingSession> => {
  const socket = await openSocket(socketPath, user, database)
  socket.unref()
  const answers = new PassThrough()
  const pump = async (): Promise<void> => {
    for (;;) {
      const next = await readMessage(socket, messageLimit)
      if (next === undefined) return void answers.end()
      if (next.type === "A") onNotification()
      else answers.write(message(next.type, next.body))
    }
  }
  void pump()
  const run = (sql: string): Promise<ReadonlyArray<Row>> => {
    socket.write(message("Q", Buffer.from(`${sql}\0`)))
    return readRows(sql, () => readMessage(answers, messageLimit))
  }
  return { run, close: () => void socket.destroy() }
}

const openSocket = async (socketPath: string, user: string, database: string): Promise<Socket> => {
  const { answer } = connectBackend(socketPath, [
    ["user", user],
    ["database", database]
  ])
  const opened = await answer
  if (opened._tag === "Refused") throw new Error(opened.error.get("M"))
  if (opened._tag === "Unavailable") throw new Error("PostgreSQL does not answer")
  return opened.socket
}

const readRows = async (sql: string, read: () => ReturnType<typeof readMessage>): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  let failure: string | undefined
  for (;;) {
    const next = await read()
    if (next === undefined) throw new Error("PostgreSQL went away")
    if (next.type === "D") rows.push(readRow(next.body))
    if (next.type === "E") failure = errorFields(next.body).get("M") ?? ""
    if (next.type === "Z") break
  }
  if (failure !== undefined) throw new Error(`${failure} (${sql})`)
  return rows
}

const readRow = (body: Buffer): Row => {
  let offset = 2
  return Array.from({ length: body.readUInt16BE(0) }, () => {
    const length = body.readInt32BE(offset)
    offset += 4
    if (length === -1) return null
    offset += length
    return body.toString("utf8", offset - length, offset)
  })
}
