/** The way to the server: its address, a connection, and TLS. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { lookup } from "node:dns/promises"
import { isIP, Socket } from "node:net"
import { connect as connectTls, type PeerCertificate, type SecureContext, type TLSSocket } from "node:tls"
import { serialize } from "pg-protocol"
import type { Resolved } from "../../Config.js"
import type { Facts } from "../../Doctor.js"
import type { DsqlStatementError } from "../../Errors.js"
import { dialError, networkError } from "../driverError.js"
import type { Done, Trouble } from "./model.js"
import { dnsTrouble, tcpTrouble, tlsTrouble } from "./networkCures.js"

const inTime =
  (config: Resolved) =>
  <A, R>(effect: Effect.Effect<A, DsqlStatementError, R>): Effect.Effect<A, DsqlStatementError, R> =>
    Effect.timeoutFail(effect, {
      duration: config.pool.connectTimeout,
      onTimeout: () => networkError(config, "ConnectTimeout")
    })

export const dns = (config: Resolved): Effect.Effect<Done<void>, Trouble> => {
  const { address } = config
  if (isIP(address) > 0) {
    return Effect.succeed({ value: undefined, summary: `${address} is an address`, facts: { addresses: address } })
  }
  return Effect.tryPromise({
    try: () => lookup(address, { all: true }),
    catch: (cause) => dialError(config, cause)
  }).pipe(
    inTime(config),
    Effect.mapError((error) => dnsTrouble(config, error)),
    Effect.map((found) => {
      const addresses = found.map(({ address }) => address).join(", ")
      return { value: undefined, summary: addresses, facts: { addresses } }
    })
  )
}

/** An open socket, which is closed with the scope. */
export const tcp = (config: Resolved): Effect.Effect<Done<Socket>, Trouble, Scope.Scope> =>
  Effect.gen(function* () {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => new Socket()),
      (socket) => Effect.sync(() => socket.destroy())
    )
    // What breaks later is found by whoever listens then.
    socket.on("error", () => {})
    yield* Effect.async<void, DsqlStatementError>((resume) => {
      socket.once("error", (error) => resume(Effect.fail(dialError(config, error))))
      socket.connect(config.port, config.address, () => resume(Effect.void))
    }).pipe(inTime(config))
    const address = socket.remoteAddress ?? config.address
    return { value: socket, summary: `${address} port ${config.port}`, facts: { address, port: config.port } }
  }).pipe(Effect.mapError((error) => tcpTrouble(config, error)))

/** Asks for TLS in the clear, as PostgreSQL has it; the answer is one byte. */
const askForTls = (config: Resolved, socket: Socket): Effect.Effect<void, DsqlStatementError> =>
  Effect.async<Buffer, DsqlStatementError>((resume) => {
    socket.once("data", (answer: Buffer) => resume(Effect.succeed(answer)))
    socket.once("close", () => resume(Effect.fail(networkError(config, "Closed"))))
    socket.write(serialize.requestSsl())
  }).pipe(
    Effect.filterOrFail(
      (answer) => answer.toString("latin1") === "S",
      (answer) =>
        networkError(
          config,
          "Tls",
          new Error(answer[0] === 0x4e ? "the server has no TLS" : "the answer is not that of PostgreSQL")
        )
    ),
    Effect.asVoid
  )

const text = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : String(value ?? ""))

const certificateFacts = ({ issuer, subject, subjectaltname, valid_from, valid_to }: PeerCertificate): Facts =>
  issuer === undefined
    ? {}
    : {
        subject: text(subject.CN),
        names: (subjectaltname ?? "").replaceAll("DNS:", ""),
        issuer: [issuer.O, issuer.CN]
          .filter((part) => part !== undefined)
          .map(text)
          .join(", "),
        validFrom: new Date(valid_from).toISOString(),
        validTo: new Date(valid_to).toISOString()
      }

/**
 * Shakes hands and looks at whom with. It goes on past a certificate that cannot be verified, to tell whose it is; nothing
 * is sent on such a connection, which ends here in any case.
 */
const handshake = (config: Resolved, secureContext: SecureContext, socket: Socket) =>
  Effect.async<TLSSocket, DsqlStatementError>((resume) => {
    const fail = (cause?: unknown) =>
      resume(Effect.fail(cause === undefined ? networkError(config, "Closed") : dialError(config, cause)))
    const secure = connectTls(
      {
        socket,
        host: config.host,
        servername: config.host,
        secureContext,
        rejectUnauthorized: false,
        ...(config.tls.negotiation === "direct" ? { ALPNProtocols: ["postgresql"] } : {})
      },
      () => resume(Effect.succeed(secure))
    )
    secure.on("error", fail).on("close", () => fail())
    return Effect.sync(() => secure.destroy())
  })

export const tls = (
  config: Resolved,
  secureContext: SecureContext,
  socket: Socket
): Effect.Effect<Done<void>, Trouble> =>
  Effect.gen(function* () {
    if (config.tls.negotiation === "postgres") yield* askForTls(config, socket)
    const secure = yield* handshake(config, secureContext, socket)
    const alpn = secure.alpnProtocol === false ? "none" : String(secure.alpnProtocol)
    const certificate = secure.getPeerCertificate()
    const facts = {
      protocol: String(secure.getProtocol()),
      sni: config.host,
      alpn,
      ...certificateFacts(certificate)
    }
    const code = secure.authorized ? undefined : String(secure.authorizationError)
    secure.destroy()
    return { alpn, code, facts }
  }).pipe(
    inTime(config),
    Effect.mapError((error) => tlsTrouble(config, error, {})),
    Effect.flatMap(({ alpn, code, facts }) =>
      code === undefined
        ? Effect.succeed({
            value: undefined,
            summary: `${facts.protocol}, certificate of ${(facts as Facts)["issuer"] ?? "nobody"}, ALPN ${alpn}`,
            facts,
            warning:
              config.tls.negotiation === "direct" && alpn === "none"
                ? {
                    cause: "the server, or something between that ends TLS, did not agree on PostgreSQL (ALPN)",
                    cures: [{ kind: "command" as const, text: "export DSQL_SSLNEGOTIATION=postgres" }]
                  }
                : undefined
          })
        : Effect.fail(tlsTrouble(config, networkError(config, "Tls", Object.assign(new Error(code), { code })), facts))
    )
  )
