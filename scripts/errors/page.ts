/** What the page of an error is made from: texts for its readers, and an error of each kind as the package makes it. */
import { DsqlConnectionError, fromServerError, type ConnectionReason, type ServerError } from "../../src/Errors.js"
import type { PackageError, Tag } from "../../test/errors/cases.js"

export type { Tag } from "../../test/errors/cases.js"

export type ErrorOf<T extends Tag> = Extract<PackageError, { readonly _tag: T }>

export interface Reason {
  readonly cause: string
  readonly cure: string
  /** The message on the page is that of this error. */
  readonly sample: PackageError
}

export interface Page<T extends Tag> {
  readonly means: string
  /** One for each reason of the code, or `-` for an error without; one more or less does not compile. */
  readonly reasons: {
    readonly [R in ErrorOf<T> extends { readonly reason: infer Name extends string } ? Name : "-"]: Reason
  }
  /** Markdown behind the table. */
  readonly more?: string
}

export const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
const peer = { host, address: `${host}:5432`, user: "orders" }

/** As the client makes it from what a server says. */
export const said = (sqlState: string, message: string, more: Partial<ServerError> = {}, user = peer.user) =>
  fromServerError({ severity: "ERROR", sqlState, message, ...more }, { ...peer, user })

export const connection = (reason: ConnectionReason, cause?: Error, outcomeUnknown?: boolean) =>
  new DsqlConnectionError({
    reason,
    host,
    address: peer.address,
    ...(cause === undefined ? {} : { cause }),
    ...(outcomeUnknown === undefined ? {} : { outcomeUnknown })
  })
