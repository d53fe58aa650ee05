import { SqlClient } from "@effect/sql"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream, TestClock, TestContext } from "effect"
import { type DsqlConfig, type DsqlErrors, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { existsSync, readFileSync } from "node:fs"
import type { Socket } from "node:net"
import tls from "node:tls"
import { makeCertificates } from "../src/local/certificates.js"
import { frame, sslRequest } from "./local/support.js"
import { environment } from "./support/aws.js"
import { clientThrough, makeProxy } from "./support/proxy.js"
import { listen, until } from "./support/sockets.js"
import { makeTap } from "./support/tap.js"

const one = Effect.flatMap(SqlClient.SqlClient, (sql) => sql<{ one: number }>`SELECT 1 AS one`)

/** Why a layer that leads to this port cannot be built. */
const refusal = (port: number, options: Partial<DsqlConfig.Options> = {}) =>
  DsqlLocal.layerClient({ port, ...options }).pipe(Layer.build, Effect.scoped, Effect.flip)

const reasonOf = (error: DsqlErrors.DsqlLayerError) =>
  "reason" in error ? `${error._tag} ${error.reason}` : error._tag

/** A server that speaks TLS for the cluster's names, by an authority of its own. */
const listenTls = (options: tls.TlsOptions, onSecure: (socket: tls.TLSSocket, below: Socket) => void) =>
  Effect.gen(function* () {
    const { region } = yield* DsqlLocal
    const { ca, certificate, key } = yield* Effect.promise(() => makeCertificates(region))
    const below: Array<Socket> = []
    const present = new Set<tls.TLSSocket>()
    const server = tls
      .createServer({ cert: certificate, key, ALPNProtocols: ["postgresql"], ...options }, (socket) => {
        const gone = () => present.delete(socket)
        present.add(
          socket
            .on("error", () => {})
            .on("end", gone)
            .on("close", gone)
        )
        onSecure(socket, below.at(-1)!)
      })
      .on("tlsClientError", () => {})
    const { port } = yield* listen((socket) => {
      below.push(socket)
      server.emit("connection", socket)
    })
    return { port, ca, present: () => present.size }
  })

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("a client", (it) => {
  it.scoped("names the host and the protocol to the server, although it dials another address", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* DsqlLocal
      const tap = yield* makeTap
      yield* Effect.provide(one, DsqlLayer.layer(tap.options, { credentials: tap.credentials }))
      assert.deepStrictEqual(tap.handshakes, [
        { servername: endpoint, alpnProtocol: "postgresql", protocol: "TLSv1.3" }
      ])
    })
  )

  it.scoped("starts TLS at once, or asks first where it is told to", () =>
    Effect.gen(function* () {
      const { ca } = yield* DsqlLocal
      const proxy = yield* makeProxy()
      for (const negotiation of ["direct", "postgres"] as const) {
        yield* Effect.provide(one, clientThrough(proxy, { tls: { ca, negotiation } }))
      }
      const [direct, asking] = proxy.openings
      assert.strictEqual(direct![0], 0x16, "no handshake record of TLS")
      assert.deepStrictEqual(asking, sslRequest)
    })
  )

  it.scoped("says nothing in the clear to a server that has no TLS", () =>
    Effect.gen(function* () {
      const { ca } = yield* DsqlLocal
      for (const answer of ["N", "E", "S and the first bytes of an attack", "HTTP/1.1 400 Bad Request\r\n\r\n"]) {
        const heard: Array<Buffer> = []
        const server = yield* listen((socket) =>
          socket.on("data", (chunk: Buffer) => {
            heard.push(chunk)
            socket.write(answer)
          })
        )
        const error = yield* refusal(server.port, { tls: { ca, negotiation: "postgres" } })
        assert.strictEqual(reasonOf(error), "DsqlConnectionError Tls", answer)
        yield* until(() => server.present() === 0)
        assert.deepStrictEqual(heard, [sslRequest], answer)
      }
    })
  )

  it.scoped("asks for the next rows of a stream while those before are taken, and for no more", () =>
    Effect.gen(function* () {
      const tap = yield* makeTap
      const services = yield* Layer.build(DsqlLayer.layer(tap.options, { credentials: tap.credentials }))
      const sql = Context.get(services, SqlClient.SqlClient)
      const { stream } = sql`SELECT n FROM generate_series(1, 300) AS n`
      assert.deepStrictEqual(yield* tap.sent(Stream.runCount(stream)), ["PBDEHEHEHS"])
      assert.deepStrictEqual(yield* tap.sent(Stream.runDrain(Stream.take(stream, 3))), ["PBDEHEHS"])
    })
  )

  it.scoped("does not speak TLS 1.1, even where Node would", ({ skip }) =>
    Effect.gen(function* () {
      const old = { minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" } as const
      const server = yield* listenTls({ ...old, maxVersion: "TLSv1.1" }, (socket) => socket.resume())
      const { endpoint } = yield* DsqlLocal
      const spoken = yield* Effect.async<string | null>((resume) => {
        const willing = tls.connect({
          ...old,
          host: "127.0.0.1",
          port: server.port,
          servername: endpoint,
          ca: server.ca,
          ALPNProtocols: ["postgresql"]
        })
        willing.on("error", () => resume(Effect.succeed(null)))
        willing.on("secureConnect", () => {
          resume(Effect.succeed(willing.getProtocol()))
          willing.destroy()
        })
      })
      if (spoken !== "TLSv1.1") skip("this Node cannot be made to speak TLS 1.1")
      const { DEFAULT_CIPHERS, DEFAULT_MIN_VERSION } = tls
      yield* Effect.acquireRelease(
        Effect.sync(() => Object.assign(tls, { DEFAULT_CIPHERS: old.ciphers, DEFAULT_MIN_VERSION: old.minVersion })),
        () => Effect.sync(() => Object.assign(tls, { DEFAULT_CIPHERS, DEFAULT_MIN_VERSION }))
      )
      const error = yield* refusal(server.port, { tls: { ca: server.ca } })
      assert.strictEqual(reasonOf(error), "DsqlConnectionError Tls")
    })
  )

  it.scoped("checks the certificate whatever the environment says", () =>
    Effect.gen(function* () {
      yield* environment({ NODE_TLS_REJECT_UNAUTHORIZED: "0", PGSSLMODE: "no-verify" })
      const foreign = readFileSync(new URL("fixtures/foreign-ca.pem", import.meta.url), "utf8")
      const { port } = yield* DsqlLocal
      for (const negotiation of ["direct", "postgres"] as const) {
        const error = yield* refusal(port, { tls: { ca: foreign, negotiation } })
        assert.strictEqual(reasonOf(error), "DsqlConnectionError Tls")
      }
    })
  )

  const endings: ReadonlyArray<readonly [how: string, end: (socket: Socket) => void]> = [
    ["ends", (socket) => socket.resume().end()],
    ["resets", (socket) => socket.resetAndDestroy()]
  ]
  describe.each(endings)("of a server that %s the connection", (_, end) => {
    it.scoped("before, during and after TLS fails typed and leaves nothing open", () =>
      Effect.gen(function* () {
        const atOnce = yield* listen(end)
        const atHello = yield* listen((socket) => socket.once("data", () => end(socket)))
        const afterTls = yield* listenTls({}, (socket, below) => socket.once("data", () => end(below)))
        for (const [server, options] of [
          [atOnce, {}],
          [atHello, {}],
          [afterTls, { tls: { ca: afterTls.ca } }]
        ] as const) {
          const error = yield* refusal(server.port, options)
          assert.match(reasonOf(error), /^DsqlConnectionError (?:Closed|Tls)$/)
          yield* until(() => server.present() === 0)
        }
      })
    )
  })

  const asksFor = (code: number, rest = "") =>
    frame("R", Buffer.concat([Buffer.from([0, 0, 0, code]), Buffer.from(rest)]))
  const loggedIn = Buffer.concat([asksFor(0), frame("Z", "I")])
  const row = frame("D", Buffer.from([0, 0]))

  const logins: ReadonlyArray<readonly [what: string, answer: Buffer]> = [
    ["asks for an MD5 hash of the token", asksFor(5, "salt")],
    ["asks for a proof of the token by SASL", asksFor(10, "SCRAM-SHA-256\0\0")],
    ["asks for something that does not exist", asksFor(99)],
    ["gives rows before it is asked", row],
    ["sends a message that does not exist", frame("?", "")]
  ]
  it.scoped.each(logins)("of a server that %s fails typed and says no more", ([, answer]) =>
    Effect.gen(function* () {
      const heard: Array<Buffer> = []
      const server = yield* listenTls({}, (socket) => {
        socket.on("data", (chunk: Buffer) => heard.push(chunk))
        socket.once("data", () => socket.write(answer))
      })
      const error = yield* refusal(server.port, { tls: { ca: server.ca } })
      assert.strictEqual(reasonOf(error), "DsqlConnectionError Other")
      yield* until(() => server.present() === 0)
      assert.strictEqual(heard.length, 1, "something was sent behind the start-up packet")
    })
  )

  const answers: ReadonlyArray<readonly [what: string, answer: Buffer]> = [
    ["sends a message that does not exist", frame("?", "")],
    ["is ready, and then gives rows", Buffer.concat([frame("C", "SELECT 0\0"), frame("Z", "I"), row])]
  ]
  it.scoped.each(answers)("of a server that %s uses another connection for the next statement", ([, answer]) =>
    Effect.gen(function* () {
      let connections = 0
      const server = yield* listenTls({}, (socket) => {
        const isFirst = ++connections === 1
        socket.once("data", () => {
          socket.write(loggedIn)
          socket.on("data", () =>
            socket.write(isFirst ? answer : Buffer.concat([frame("C", "SELECT 7\0"), frame("Z", "I")]))
          )
        })
      })
      yield* Effect.gen(function* () {
        yield* Effect.exit(one)
        yield* until(() => server.present() === 0)
        assert.deepStrictEqual(yield* one, [])
        assert.strictEqual(connections, 2)
      }).pipe(Effect.provide(DsqlLocal.layerClient({ port: server.port, tls: { ca: server.ca } })))
    })
  )

  it.scoped("of a server that speaks TLS and then never answers fails typed and leaves nothing open", () =>
    Effect.gen(function* () {
      const server = yield* listenTls({}, (socket) => socket.resume())
      yield* Effect.gen(function* () {
        const building = yield* Effect.fork(refusal(server.port, { tls: { ca: server.ca } }))
        yield* until(() => server.present() === 1)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(reasonOf(yield* Fiber.join(building)), "DsqlConnectionError ConnectTimeout")
        yield* until(() => server.present() === 0)
      }).pipe(Effect.provide(TestContext.TestContext))
    })
  )

  const timers = "/proc/net/tcp"
  it.scoped.skipIf(!existsSync(timers))(
    "has TCP look after a silence as long as `keepAlive` says (seen on Linux)",
    () =>
      Effect.gen(function* () {
        const proxy = yield* makeProxy()
        yield* Effect.gen(function* () {
          yield* one
          const port = proxy.options.port!.toString(16).toUpperCase().padStart(4, "0")
          // Local address, remote address, state, queues, timer:when in hundredths of a second.
          const timer = new RegExp(String.raw`^ *\d+: \S+ [0-9A-F]{8}:${port} 01 \S+ ([0-9A-F]{2}):([0-9A-F]{8})`, "m")
          const [, kind, due] = timer.exec(readFileSync(timers, "utf8")) ?? []
          assert.strictEqual(kind, "02", "no keep-alive timer")
          assert.isAtMost(Number.parseInt(due!, 16), 700)
        }).pipe(Effect.provide(clientThrough(proxy, { keepAlive: "7 seconds" })))
      })
  )
})
