import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import type { Principal } from "./iam.js"
import type { TokenRefusal } from "./refusals.js"

/** What a token is judged against. */
export interface TokenContext {
  /** The host the client asked for by SNI. */
  readonly host: string
  readonly region: string
  readonly user: string
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly findPrincipal: (accessKeyId: string) => Principal | undefined
}

export type TokenVerdict =
  | { readonly _tag: "Accepted"; readonly principal: Principal }
  | { readonly _tag: "Refused"; readonly refusal: TokenRefusal }

/** How far a token's date may lie ahead of our clock. Inferred: it is the tolerance of other AWS services. */
export const maxClockAhead = 5 * 60_000

/** The longest life of a token, in seconds: a week. */
export const maxExpires = 604_800

const algorithm = "AWS4-HMAC-SHA256"
const service = "dsql"
const terminator = "aws4_request"

interface ParsedToken {
  readonly host: string
  readonly parameters: ReadonlyMap<string, string>
  readonly action: string
  readonly algorithm: string
  readonly credential: ReadonlyArray<string>
  readonly date: string
  readonly signedAt: number
  readonly expires: string
  readonly signedHeaders: string
  readonly signature: string
}

/** Judges a token as the service does: a SigV4 presigned GET request for the cluster, without its scheme. */
export const verifyToken = (token: string, context: TokenContext): TokenVerdict => {
  const parsed = parseToken(token)
  if (parsed === undefined) return refuse({ reason: "Malformed" })
  const [accessKeyId = "", scopeDate, scopeRegion, scopeService, scopeEnd] = parsed.credential
  if (parsed.algorithm !== algorithm) return refuse({ reason: "WrongAlgorithm" })
  if (scopeEnd !== terminator) return refuse({ reason: "WrongScope", part: "terminator" })
  if (scopeService !== service) return refuse({ reason: "WrongScope", part: "service" })
  if (scopeRegion !== context.region) return refuse({ reason: "WrongScope", part: "region" })
  if (scopeDate !== parsed.date.slice(0, 8)) return refuse({ reason: "WrongScope", part: "date" })
  if (parsed.signedHeaders !== "host") return refuse({ reason: "WrongSignedHeaders" })
  const expires = /^\d{1,6}$/.test(parsed.expires) ? Number(parsed.expires) : 0
  if (expires < 1 || expires > maxExpires) return refuse({ reason: "InvalidExpires" })

  const principal = context.findPrincipal(accessKeyId)
  if (principal === undefined) return refuse({ reason: "UnknownAccessKey" })
  if (parsed.parameters.get("X-Amz-Security-Token") !== principal.sessionToken) {
    return refuse({ reason: "WrongSessionToken" })
  }
  if (!equalsInConstantTime(parsed.signature, sign(parsed, principal.secretAccessKey))) {
    return refuse({ reason: "WrongSignature" })
  }

  if (parsed.host !== context.host) return refuse({ reason: "WrongHost", host: parsed.host })
  const now = formatDate(context.now)
  if (parsed.signedAt > context.now + maxClockAhead) return refuse({ reason: "NotYetValid", date: parsed.date, now })
  const expiresAt = parsed.signedAt + expires * 1000
  if (context.now >= expiresAt) return refuse({ reason: "Expired", expiry: formatDate(expiresAt), now })
  if (
    (context.user === "admin") !== (parsed.action === "DbConnectAdmin") ||
    !/^DbConnect(Admin)?$/.test(parsed.action)
  ) {
    return refuse({ reason: "WrongAction", user: context.user, action: parsed.action })
  }
  return { _tag: "Accepted", principal }
}

const refuse = (refusal: TokenRefusal): TokenVerdict => ({ _tag: "Refused", refusal })

const parseToken = (token: string): ParsedToken | undefined => {
  const [, host, query] = /^([^/?#]+)\/\?([^#]*)$/.exec(token) ?? []
  const parameters = query === undefined ? undefined : parseQuery(query)
  if (host === undefined || parameters === undefined) return undefined
  const value = (name: string): string => parameters.get(name) ?? ""
  const parsed: ParsedToken = {
    host,
    parameters,
    action: value("Action"),
    algorithm: value("X-Amz-Algorithm"),
    credential: value("X-Amz-Credential").split("/"),
    date: value("X-Amz-Date"),
    signedAt: parseDate(value("X-Amz-Date")),
    expires: value("X-Amz-Expires"),
    signedHeaders: value("X-Amz-SignedHeaders"),
    signature: value("X-Amz-Signature")
  }
  const isWhole =
    parsed.action !== "" && parsed.credential.length === 5 && !Number.isNaN(parsed.signedAt) && parsed.signature !== ""
  return isWhole ? parsed : undefined
}

/** Decoded parameters; `undefined` if one is not well formed or stands there twice. */
const parseQuery = (query: string): ReadonlyMap<string, string> | undefined => {
  const pairs = query.split("&").map((pair) => {
    const equals = pair.indexOf("=")
    return equals < 1 ? undefined : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))]
  })
  const parameters = new Map<string, string>()
  for (const [name, value] of pairs.map((pair) => pair ?? [])) {
    if (name === undefined || value === undefined || parameters.has(name)) return undefined
    parameters.set(name, value)
  }
  return parameters
}

const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** As SigV4 wants it: everything but RFC 3986's unreserved characters. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/** `20261122T170000Z`, in milliseconds since the epoch; NaN if it is no date. */
const parseDate = (text: string): number => {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text)
  if (match === null) return Number.NaN
  const [, year, month, day, hour, minute, second] = match
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

const formatDate = (time: number): string => `${new Date(time).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`

const sha256 = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex")

const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text, "utf8").digest()

/** The signature that the request of the token has under a secret key. */
const sign = (token: ParsedToken, secretAccessKey: string): string => {
  const query = [...token.parameters]
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&")
  const request = ["GET", "/", query, `host:${token.host}`, "", token.signedHeaders, sha256("")].join("\n")
  const scope = token.credential.slice(1)
  const text = [algorithm, token.date, scope.join("/"), sha256(request)].join("\n")
  const key = scope.reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`)
  return hmac(key, text).toString("hex")
}

const equalsInConstantTime = (left: string, right: string): boolean => {
  const [a, b] = [Buffer.from(left), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
