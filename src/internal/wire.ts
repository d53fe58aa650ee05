/**
 * The frontend's side of PostgreSQL's protocol on one socket: TLS, the login, then requests one after the other. Messages are
 * written and read by `pg-protocol`. The client of `pg` is not used: it knows environment variables, timers and ways to log in
 * that have no say here, and loads them, with all of `undici` on Node 20, at every cold start.
 */
import * as Redacted from "effect/Redacted"
import { EventEmitter } from "node:events"
import { Socket } from "node:net"
import { connect, type SecureContext } from "node:tls"
import { type DatabaseError, serialize } from "pg-protocol"
import { Parser } from "pg-protocol/dist/parser.js"
import type { FieldDef } from "pg"
import type { Protocol, Request } from "./request.js"

export interface Server {
  /** Where to dial. */
  readonly address: string
  readonly port: number
  /** Sent as SNI; the certificate must be for it. */
  readonly host: string
  readonly secureContext: SecureContext
  readonly negotiation: "direct" | "postgres"
  /** How long the socket is idle before the first probe, in milliseconds. */
  readonly keepAlive: number
}

export interface Login {
  /** All that the start-up packet says. */
  readonly parameters: Readonly<Record<string, string>>
  /** Sent if the server asks for it in clear text, as DSQL does; it has shown its certificate then. */
  readonly token: Redacted.Redacted
}

/** Inside of no transaction block, of one, of an aborted one. */
export type TransactionStatus = "I" | "T" | "E"

/** The messages that are looked at, in the form in which the parser gives them. */
type Message =
  | { readonly name: "authenticationCleartextPassword" | "authenticationMD5Password" | "authenticationSASL" }
  | {
      readonly name:
        "parseComplete" | "closeComplete" | "emptyQuery" | "portalSuspended" | "copyInResponse" | "copyData"
    }
  | { readonly name: "rowDescription"; readonly fields: ReadonlyArray<FieldDef> }
  | { readonly name: "dataRow"; readonly fields: ReadonlyArray<string | null> }
  | { readonly name: "commandComplete"; readonly text: string }
  | { readonly name: "readyForQuery"; readonly status: TransactionStatus }
  | (DatabaseError & { readonly name: "error" })

/**
 * What carries requests to the server. Emits `parseComplete`, `closeComplete`, `rowDescription`, `commandComplete` and `readyForQuery` as the server sends them, before the request
 * under way learns of it, and `end` when the connection is gone, for whatever reason.
 */
export interface Driver extends EventEmitter {
  /** The server waits for a request. */
  readonly isReady: boolean
  readonly transactionStatus: TransactionStatus
  /** Calls back once: with `undefined` when the server is ready, else with what went wrong. */
  readonly open: (server: Server, login: Login, callback: (failure: unknown) => void) => void
  /** Sends a request as soon as those before it are answered. */
  readonly request: (request: Request) => void
  /** Says goodbye, and calls back when the connection is gone. */
  readonly close: (callback: () => void) => void
  readonly destroy: () => void
}

export class Wire extends EventEmitter implements Driver, Protocol {
  private readonly socket = new Socket()
  private readonly parser = new Parser()
  private readonly waiting: Array<Request> = []
  private active: Request | undefined
  /** Until it has come to its end. */
  private login: (Login & { readonly callback: (failure: unknown) => void }) | undefined
  private failure: { readonly cause: unknown } | undefined
  stream: Socket = this.socket
  isReady = false
  transactionStatus: TransactionStatus = "I"

  open(server: Server, login: Login, callback: (failure: unknown) => void): void {
    const { socket } = this
    this.login = { ...login, callback }
    socket.setNoDelay(true)
    socket.on("error", (cause) => this.fail(cause))
    socket.on("close", () => this.fail(new Error("Connection terminated unexpectedly")))
    socket.once("connect", () => {
      socket.setKeepAlive(true, server.keepAlive)
      if (server.negotiation === "direct") return this.secure(server)
      socket.once("data", (answer) => {
        // More than one byte would come from somebody in between, who wants it to be taken for the server's word.
        if (answer.toString("latin1") === "S") this.secure(server)
        else this.fail(new Error("the server does not support SSL connections"))
      })
      socket.write(serialize.requestSsl())
    })
    socket.connect(server.port, server.address)
  }

  request(request: Request): void {
    const { failure } = this
    if (failure !== undefined) return process.nextTick(() => request.handleError(failure.cause))
    this.waiting.push(request)
    this.sendNext()
  }

  sync(): void {
    this.send(serialize.sync())
  }

  sendCopyFail(message: string): void {
    this.send(serialize.copyFail(message))
  }

  close(callback: () => void): void {
    if (this.failure !== undefined) return callback()
    this.once("end", callback)
    if (this.active !== undefined) this.destroy()
    else this.stream.write(serialize.end(), () => this.stream.end())
  }

  destroy(): void {
    this.socket.destroy()
  }

  private secure({ host, negotiation, secureContext }: Server): void {
    const stream = connect({
      socket: this.socket,
      host,
      servername: host,
      secureContext,
      rejectUnauthorized: true,
      ...(negotiation === "direct" ? { ALPNProtocols: ["postgresql"] } : {})
    })
    this.stream = stream
    stream.on("error", (cause) => this.fail(cause))
    stream.once("secureConnect", () => this.send(serialize.startup({ ...this.login?.parameters })))
    const take = (message: object) => this.take(message as Message)
    stream.on("data", (bytes) => {
      try {
        this.parser.parse(bytes, take)
      } catch (cause) {
        this.fail(cause)
      }
    })
  }

  private send(bytes: Uint8Array): void {
    if (this.stream.writable) this.stream.write(bytes)
  }

  private sendNext(): void {
    if (!this.isReady || this.waiting.length === 0) return
    this.isReady = false
    this.active = this.waiting.shift()!
    this.active.submit(this)
  }

  /** Whatever is under way, or waits, learns of it. */
  private fail(cause: unknown): void {
    if (this.failure !== undefined) return
    this.failure = { cause }
    const { active, login, waiting } = this
    this.isReady = false
    this.active = this.login = undefined
    this.destroy()
    this.emit("end")
    login?.callback(cause)
    active?.handleError(cause)
    for (const request of waiting.splice(0)) request.handleError(cause)
  }

  private take(message: Message): void {
    // What was read together with the end of the connection.
    if (this.failure !== undefined) return
    switch (message.name) {
      case "dataRow":
        return this.asked(message).handleDataRow(message)
      case "rowDescription":
        this.emit("rowDescription", message)
        return this.asked(message).handleRowDescription(message)
      case "commandComplete":
        this.emit("commandComplete", message)
        return this.asked(message).handleCommandComplete(message)
      case "readyForQuery":
        return this.ready(message.status)
      case "parseComplete":
      case "closeComplete":
        return void this.emit(message.name)
      case "error":
        return this.refused(message)
      case "emptyQuery":
        return this.asked(message).handleEmptyQuery()
      case "portalSuspended":
        return this.asked(message).handlePortalSuspended()
      case "copyInResponse":
        return this.asked(message).handleCopyInResponse(this)
      case "copyData":
        return this.asked(message).handleCopyData()
      case "authenticationCleartextPassword":
        return this.login && this.send(serialize.password(Redacted.value(this.login.token)))
      case "authenticationMD5Password":
      case "authenticationSASL":
        throw new Error("the server does not ask for a token, as DSQL does, but for a password")
    }
  }

  private asked({ name }: Message): Request {
    if (this.active === undefined) throw new Error(`the server has sent ${name} without having been asked`)
    return this.active
  }

  private ready(status: TransactionStatus): void {
    const { active, login } = this
    this.transactionStatus = status
    this.isReady = true
    this.active = this.login = undefined
    this.emit("readyForQuery")
    login?.callback(undefined)
    active?.handleReadyForQuery()
    this.sendNext()
  }

  /** Errors other than `ERROR` end the session; so does one that belongs to no request. */
  private refused(error: DatabaseError): void {
    const { active } = this
    // The parser's own word for a message that does not exist.
    if (error.severity === undefined) throw new Error(error.message)
    if (active === undefined || error.severity !== "ERROR") return this.fail(error)
    this.active = undefined
    active.handleError(error)
  }
}
