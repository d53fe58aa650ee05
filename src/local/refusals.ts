import { serverWords } from "../core/faults.js"
import type { ServerError } from "../core/serverError.js"
import type { ErrorFields } from "./wire.js"

/**
 * Every text with which a connection is refused. "Inferred" marks what nobody has published: it follows the manner of
 * AWS or of PostgreSQL, and clients should not build on it.
 */

/** Why a token was refused. */
export type TokenRefusal =
  | { readonly reason: "Malformed" }
  | { readonly reason: "WrongAlgorithm" }
  | { readonly reason: "WrongScope"; readonly part: "date" | "region" | "service" | "terminator" }
  | { readonly reason: "WrongSignedHeaders" }
  | { readonly reason: "InvalidExpires" }
  | { readonly reason: "UnknownAccessKey" }
  | { readonly reason: "WrongSessionToken" }
  | { readonly reason: "WrongSignature" }
  | { readonly reason: "WrongHost"; readonly host: string }
  | { readonly reason: "NotYetValid"; readonly date: string; readonly now: string }
  | { readonly reason: "Expired"; readonly expiry: string; readonly now: string }
  | { readonly reason: "WrongAction"; readonly user: string; readonly action: string }

const scopeHints = {
  date: "Date in Credential scope does not match YYYYMMDD from X-Amz-Date",
  region: "Credential should be scoped to a valid region",
  service: "Credential should be scoped to correct service: 'dsql'",
  terminator: "Credential should be scoped with a valid terminator: 'aws4_request'"
} as const

/** The HINT for a refused token. Published: the beginning of "Signature expired" and the whole of "Wrong user". */
export const tokenHint = (refusal: TokenRefusal): string => {
  switch (refusal.reason) {
    case "Malformed":
      return "The password is not an authentication token" // inferred
    case "WrongAlgorithm":
      return "X-Amz-Algorithm must be AWS4-HMAC-SHA256" // inferred
    case "WrongScope":
      return scopeHints[refusal.part] // inferred
    case "WrongSignedHeaders":
      return "X-Amz-SignedHeaders must be host" // inferred
    case "InvalidExpires":
      return "X-Amz-Expires must be between 1 and 604800 seconds" // inferred
    case "UnknownAccessKey":
    case "WrongSessionToken":
      return "The security token included in the request is invalid" // inferred
    case "WrongSignature":
      return "The request signature we calculated does not match the signature you provided" // inferred
    case "WrongHost":
      return `The token was signed for another host: ${refusal.host}` // inferred
    case "NotYetValid":
      return `Signature not yet current: ${refusal.date} is still later than ${refusal.now}` // inferred
    case "Expired":
      return `Signature expired: ${refusal.expiry} is now earlier than ${refusal.now}` // inferred behind the colon
    case "WrongAction":
      return `Wrong user to action mapping. user: ${refusal.user}, action: ${refusal.action}`
  }
}

export const accessDenied = (hint: string): ErrorFields => ({
  code: "08006",
  message: "unable to accept connection, access denied",
  hint
})

/** Published; the resource is the cluster's ARN. */
export const actionNotAllowed = (arn: string, action: string, resource: string): ErrorFields =>
  accessDenied(
    `User: ${arn} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`
  )

/** The text is published for an identity that may not use the cluster; that it comes without a mapping is inferred. */
export const roleNotMapped = (arn: string): ErrorFields =>
  accessDenied(`User: ${arn} is not authorized to access this resource`)

export const roleDoesNotExist = (role: string): ErrorFields => accessDenied(`Role ${role} does not exist`)

export const roleMustLogin = (role: string): ErrorFields => accessDenied(`role ${role} must have the LOGIN attribute`)

/** The text is published, the code is inferred. */
export const sniMissing: ErrorFields = { code: "08006", message: "unable to accept connection, sni was not received" }

/** Inferred. */
export const unknownEndpoint = (name: string): ErrorFields => accessDenied(`There is no cluster at ${name}`)

/** Inferred. */
export const tlsRequired: ErrorFields = { code: "08P01", message: "unable to accept connection, TLS is required" }

/** PostgreSQL's text against a man in the middle who puts words in front of the encrypted ones. */
export const plainDataAfterRequest: ErrorFields = {
  code: "08P01",
  message: "received unencrypted data after SSL request",
  detail: "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."
}

/** Inferred: PostgreSQL's own. */
export const unknownDatabase = (database: string): ErrorFields => ({
  code: "3D000",
  message: `database "${database}" does not exist`
})

/** Inferred: PostgreSQL's own. */
export const userMissing: ErrorFields = {
  code: "28000",
  message: "no PostgreSQL user name specified in startup packet"
}

/** Inferred: PostgreSQL's own. */
export const unsupportedProtocol = (major: number, minor: number): ErrorFields => ({
  code: "0A000",
  message: `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.0`
})

/** Inferred: PostgreSQL's own. */
export const invalidStartup: ErrorFields = { code: "08P01", message: "invalid startup packet layout" }

/** Inferred: PostgreSQL's own. */
export const passwordExpected: ErrorFields = { code: "08P01", message: "expected password response" }

/** Published; a real cluster has also been seen to just close. */
export const invalidMessageLength: ErrorFields = { code: "08P01", message: "invalid message length" }

/** PostgreSQL behind the gateway is gone. The text is published for statements; at login it is inferred. */
export const serverUnavailable: ErrorFields = { code: "XX000", message: "server unavailable" }

const fieldsOf = ({ message, sqlState: code }: ServerError): ErrorFields => ({ code, message })

/** Published. */
export const tooManyConnections: ErrorFields = fieldsOf(serverWords.TooManyConnections)

/** Published. */
export const connectRateExceeded: ErrorFields = fieldsOf(serverWords.RateExceeded)

/** The text is published, the code is inferred. */
export const clusterWaking: ErrorFields = fieldsOf(serverWords.ClusterWaking)
