/** No secret is in a report, nor in what is logged, traced or raised meanwhile, not even where a server repeats it. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { DsqlAuth, DsqlDoctor } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { createServer } from "node:tls"
import { makeCertificates } from "../../src/local/certificates.js"
import { frame } from "../local/support.js"
import { findings, watching } from "../support/leaks.js"
import { listen } from "../support/sockets.js"
import { stepOf } from "./support.js"

const secretKey = `the secret access key/+="\\'ü`
const sessionToken = `the session token/+="\\'ü`
const credentials = {
  accessKeyId: "AKIASECRETS000000000",
  secretAccessKey: Redacted.make(secretKey),
  sessionToken: Redacted.make(sessionToken)
}

/** Refuses every login, and repeats in its words what it was told. */
const repeating = (words: (password: string) => string) =>
  Effect.gen(function* () {
    const { region } = yield* DsqlLocal
    const { ca, certificate, key } = yield* Effect.promise(() => makeCertificates(region))
    const server = createServer({ cert: certificate, key, ALPNProtocols: ["postgresql"] }, (socket) => {
      socket.on("error", () => {})
      socket.once("data", () => {
        socket.write(frame("R", Buffer.of(0, 0, 0, 3)))
        socket.once("data", (message: Buffer) => {
          const said = words(message.subarray(5, -1).toString())
          socket.end(frame("E", `SFATAL\0VFATAL\0C08006\0Munable to accept connection, access denied\0H${said}\0\0`))
        })
      })
    })
    const { port } = yield* listen((socket) => server.emit("connection", socket))
    return { port, ca }
  })

const part = (token: string, name: string) => new URL(`https://${token}`).searchParams.get(name)!

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("a report", (it) => {
  it.scoped("holds no secret, even if the server or a layer repeats it", () =>
    Effect.gen(function* () {
      const local = yield* DsqlLocal
      const tokens: Array<string> = []
      const token = DsqlAuth.layerTokenFrom((request) =>
        Effect.tap(DsqlAuth.sign(request), (token) => Effect.sync(() => tokens.push(Redacted.value(token))))
      )
      const words: ReadonlyArray<(password: string) => string> = [
        (password) => `said ${password}`,
        (password) => `signature ${part(password, "X-Amz-Signature")} is wrong`,
        (password) => `session ${part(password, "X-Amz-Security-Token")} is unknown`
      ]
      const { exit, seen } = yield* watching(({ hand }) =>
        Effect.forEach(words, (say) =>
          Effect.gen(function* () {
            const { ca, port } = yield* repeating(say)
            const report = yield* DsqlDoctor.examine(
              { ...local.options, port, tls: { ca } },
              { credentials: DsqlAuth.layerStatic(credentials), token, onStep: (step) => hand(step) }
            )
            assert.include(stepOf(report, "login").cause, "<redacted>")
            yield* hand(report, JSON.stringify(report))
          })
        )
      )
      assert.strictEqual(exit._tag, "Success")
      assert.lengthOf(tokens, words.length)
      const secrets = Object.fromEntries([
        ["secretKey", secretKey],
        ["sessionToken", sessionToken],
        ...tokens.flatMap((token, index) => [
          [`token ${index}`, token],
          [`signature ${index}`, part(token, "X-Amz-Signature")]
        ])
      ])
      assert.deepStrictEqual(findings(seen, secrets), [])
    })
  )

  it.effect("holds no secret that stands in a connection string or in the error of a provider", () =>
    Effect.gen(function* () {
      const { options } = yield* DsqlLocal
      const { seen } = yield* watching(({ hand }) =>
        Effect.gen(function* () {
          const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
          yield* hand(yield* DsqlDoctor.examine(`postgresql://admin:hunter2-hunter2@${host}/postgres`))
          const failing = Layer.effect(DsqlAuth.DsqlCredentials, Effect.die(Redacted.make(secretKey)))
          yield* hand(yield* DsqlDoctor.examine(options, { credentials: failing }))
        })
      )
      assert.deepStrictEqual(findings(seen, { password: "hunter2-hunter2", secretKey }), [])
    })
  )
})
