/** What the AWS SDK meets in tests: an endpoint of its own on this machine, shared files and an environment. */
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Sets variables, or takes them away, until the scope closes. */
export const environment = (variables: Readonly<Record<string, string | undefined>>) => {
  const put = (values: Readonly<Record<string, string | undefined>>) => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
  return Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]))
      put(variables)
      return before
    }),
    (before) => Effect.sync(() => put(before))
  )
}

/** A home folder with shared files, and nothing else of AWS in the environment. */
export const home = (files: { readonly config?: string; readonly credentials?: string } = {}) =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-dsql-aws-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    )
    const paths = { config: join(folder, "config"), credentials: join(folder, "credentials") }
    const write = (name: keyof typeof paths, text: string) => Effect.sync(() => writeFileSync(paths[name], text))
    yield* write("config", files.config ?? "")
    yield* write("credentials", files.credentials ?? "")
    const theirs = Object.keys(process.env).filter((name) => name.startsWith("AWS_"))
    yield* environment({
      ...Object.fromEntries(theirs.map((name) => [name, undefined])),
      HOME: folder,
      AWS_CONFIG_FILE: paths.config,
      AWS_SHARED_CREDENTIALS_FILE: paths.credentials,
      AWS_EC2_METADATA_DISABLED: "true"
    })
    return { folder, write }
  })

export interface Request {
  readonly headers: IncomingHttpHeaders
  readonly path: string
  readonly parameters: URLSearchParams
}

export type Answer = readonly [status: number, body: string] | "never"

/** An HTTP server that notes what it is asked; gone with the scope. */
export const server = (answer: (request: Request) => Answer) =>
  Effect.gen(function* () {
    const requests: Array<Request> = []
    const listening = yield* Effect.acquireRelease(
      Effect.async<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((incoming, outgoing) => {
          const chunks: Array<Buffer> = []
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
          incoming.on("end", () => {
            const { headers, url = "" } = incoming
            const request = { headers, path: url, parameters: new URLSearchParams(Buffer.concat(chunks).toString()) }
            requests.push(request)
            const answered = answer(request)
            if (answered !== "never") outgoing.writeHead(answered[0]).end(answered[1])
          })
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    return { requests, url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}` }
  })

/** STS's answer to AssumeRole. */
export const assumedRole = (credentials: {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly expiration: number
}): Answer => [
  200,
  `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
    <AssumedRoleUser>
      <AssumedRoleId>AROAEXAMPLE:effect-dsql</AssumedRoleId>
      <Arn>arn:aws:sts::111122223333:assumed-role/orders/effect-dsql</Arn>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>${credentials.accessKeyId}</AccessKeyId>
      <SecretAccessKey>${credentials.secretAccessKey}</SecretAccessKey>
      <SessionToken>${credentials.sessionToken}</SessionToken>
      <Expiration>${new Date(credentials.expiration).toISOString()}</Expiration>
    </Credentials>
  </AssumeRoleResult></AssumeRoleResponse>`
]

export const refused = (code: string, message: string): Answer => [
  403,
  `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
    <Type>Sender</Type><Code>${code}</Code><Message>${message}</Message>
  </Error></ErrorResponse>`
]
