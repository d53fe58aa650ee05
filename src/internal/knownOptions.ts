/** Options that do not exist, found at run time as well: where types were not checked, a slip would go unnoticed. */
import * as Either from "effect/Either"
import type { Options, PoolOptions, RetryOptions, TlsOptions } from "../Config.js"
import { didYouMean } from "../core/nearest.js"
import { refusalOf } from "../core/refusals.js"
import { DsqlConfigError } from "../Errors.js"

const options = {
  host: true,
  hostaddr: true,
  port: true,
  user: true,
  database: true,
  region: true,
  profile: true,
  tokenDuration: true,
  applicationName: true,
  tls: true,
  pool: true,
  keepAlive: true,
  session: true,
  retry: true,
  unsafeRetryTransactions: true,
  lazy: true,
  transformQueryNames: true,
  transformResultNames: true,
  transformJson: true,
  spanAttributes: true,
  setup: true,
  types: true
} satisfies Record<keyof Options, true>

const tls = { negotiation: true, ca: true, caFile: true } satisfies Record<keyof TlsOptions, true>

const pool = {
  max: true,
  min: true,
  idleTimeout: true,
  maxLifetime: true,
  lifetimeJitter: true,
  acquireTimeout: true,
  connectTimeout: true,
  connectRate: true
} satisfies Record<keyof PoolOptions, true>

const retry = {
  deadline: true,
  times: true,
  base: true,
  cap: true,
  maxAge: true
} satisfies Record<keyof RetryOptions, true>

const unknownIn = (
  group: string,
  given: object | undefined,
  known: Readonly<Record<string, true>>
): DsqlConfigError | undefined => {
  const name = Object.keys(given ?? {}).find((key) => !Object.hasOwn(known, key))
  if (name === undefined) return undefined
  const why = refusalOf(name)
  return new DsqlConfigError({
    reason: "InvalidOption",
    option: `${group}${name}`,
    detail: why === undefined ? `is no option.${didYouMean(name, Object.keys(known))}` : `is no option here: ${why}`
  })
}

export const onlyKnown = (given: Options): Either.Either<void, DsqlConfigError> => {
  const unknown =
    unknownIn("", given, options) ??
    unknownIn("tls.", given.tls, tls) ??
    unknownIn("pool.", given.pool, pool) ??
    unknownIn("retry.", given.retry, retry)
  return unknown === undefined ? Either.void : Either.left(unknown)
}
