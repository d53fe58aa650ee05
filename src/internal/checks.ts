/** What each option must be, and what is said when it is not. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { DataOptions, Resolved, RetryOptions, TlsOptions } from "../Config.js"
import { endpointOf, isRegion, parseHost } from "../core/endpoint.js"
import { settingProblem } from "../core/settings.js"
import { DsqlConfigError, DsqlRegionError } from "../Errors.js"
import { version } from "./version.js"

type Failure = DsqlConfigError | DsqlRegionError

export const invalid = (option: string, detail: string) =>
  new DsqlConfigError({ reason: "InvalidOption", option, detail })

export const missingHost = (option: string) =>
  new DsqlConfigError({
    reason: "Missing",
    option,
    detail: "is not set. Set it to the cluster's endpoint or id (DSQL_HOST in the environment)"
  })

/** For `DsqlLocal.layerFrom`. */
export const missingAccess = () =>
  new DsqlConfigError({
    reason: "Missing",
    option: "access",
    detail:
      "nothing was provided: is globalSetup in the configuration of vitest, and does it provide what the test file injects?"
  })

/** A length of time between two bounds, both included. */
export const duration = (
  option: string,
  input: Duration.DurationInput | undefined,
  otherwise: Duration.DurationInput,
  bounds: { readonly least: Duration.DurationInput; readonly most: Duration.DurationInput }
): Either.Either<Duration.Duration, DsqlConfigError> => {
  const value = Duration.decodeUnknown(input ?? otherwise)
  if (Option.isSome(value) && Duration.between(value.value, { minimum: bounds.least, maximum: bounds.most })) {
    return Either.right(value.value)
  }
  const [least, most] = [bounds.least, bounds.most].map(Duration.format)
  const got = Option.isSome(value) ? Duration.format(value.value) : JSON.stringify(input)
  return Either.left(
    invalid(
      option,
      `must be a duration from ${least} to ${most}, such as "15 minutes" (a number is milliseconds), not ${got}`
    )
  )
}

/** The life of a token is written into it in whole seconds. */
export const tokenDuration = (
  input: Duration.DurationInput | undefined
): Either.Either<Duration.Duration, DsqlConfigError> =>
  Either.flatMap(duration("tokenDuration", input, "15 minutes", { least: "1 second", most: "7 days" }), (value) =>
    Duration.toMillis(value) % 1000 === 0
      ? Either.right(value)
      : Either.left(invalid("tokenDuration", `must be whole seconds, not ${Duration.format(value)}`))
  )

export const integer = (
  option: string,
  value: number,
  least: number,
  most: number
): Either.Either<number, DsqlConfigError> =>
  Number.isInteger(value) && value >= least && value <= most
    ? Either.right(value)
    : Either.left(invalid(option, `must be a whole number from ${least} to ${most}, not ${value}`))

/** A part of something, from nothing to `most` of it. */
export const part = (option: string, value: number, most: number): Either.Either<number, DsqlConfigError> =>
  value >= 0 && value <= most
    ? Either.right(value)
    : Either.left(invalid(option, `must be a number from 0 to ${most}, not ${value}`))

/** Names of columns, one at least. */
export const columns = (
  option: string,
  names: ReadonlyArray<unknown>
): Either.Either<ReadonlyArray<unknown>, DsqlConfigError> =>
  names.length > 0 ? Either.right(names) : Either.left(invalid(option, "must name at least one column"))

/** Start-up parameters end with a NUL, so one inside of a value would begin a parameter of its own. */
export const text = (option: string, value: string): Either.Either<string, DsqlConfigError> => {
  const trimmed = value.trim()
  return trimmed !== "" && !trimmed.includes("\0")
    ? Either.right(trimmed)
    : Either.left(invalid(option, "must not be empty or contain NUL"))
}

export const hostaddr = (value: string): Either.Either<string, DsqlConfigError> =>
  Either.flatMap(text("hostaddr", value), (trimmed) => {
    const address = trimmed.replace(/^\[(.*)\]$/, "$1")
    return /^[^:]+:\d+$/.test(address)
      ? Either.left(invalid("hostaddr", `"${address}" holds a port; that goes into the port option`))
      : Either.right(address)
  })

export const tls = (options: TlsOptions = {}): Either.Either<Resolved["tls"], DsqlConfigError> =>
  options.ca !== undefined && options.caFile !== undefined
    ? Either.left(invalid("tls", "takes ca or caFile, not both"))
    : Either.right({ negotiation: options.negotiation ?? "direct", ca: options.ca, caFile: options.caFile })

const ownName = `effect-dsql/${version}`

/** The limit is the service's (AWS connectors, `aurora-dsql-util.ts`). */
export const applicationName = (prefix: string | undefined): Either.Either<string, DsqlConfigError> => {
  if (prefix === undefined) {
    return Either.right(ownName)
  }
  return Either.flatMap(text("applicationName", prefix), (trimmed) => {
    const name = `${trimmed}:${ownName}`
    return Buffer.byteLength(name) <= 64
      ? Either.right(name)
      : Either.left(invalid("applicationName", `must leave "${name}" within 64 bytes`))
  })
}

export const target = (
  options: DataOptions,
  regionElsewhere: string | undefined
): Either.Either<{ readonly host: string; readonly clusterId: string; readonly region: string }, Failure> => {
  // `process.env.X!` compiles and is undefined all the same.
  if (typeof options.host !== "string" || options.host.trim() === "") {
    return Either.left(missingHost("host"))
  }
  const parsed = parseHost(options.host)
  if (parsed.kind === "invalid") {
    return Either.left(
      new DsqlConfigError({
        reason: "InvalidHost",
        option: "host",
        detail: `${parsed.what} is not a cluster: ${parsed.why}.`
      })
    )
  }
  if (options.region !== undefined && !isRegion(options.region)) {
    return Either.left(invalid("region", `"${options.region}" is not an AWS region; one looks like us-east-1`))
  }
  if (parsed.kind === "endpoint") {
    return options.region === undefined || options.region === parsed.region
      ? Either.right(parsed)
      : Either.left(
          new DsqlRegionError({
            reason: "Mismatch",
            host: parsed.host,
            region: options.region,
            hostRegion: parsed.region
          })
        )
  }
  const region = options.region ?? regionElsewhere
  if (region === undefined) {
    return Either.left(new DsqlRegionError({ reason: "Missing", host: parsed.clusterId }))
  }
  return Either.right({ host: endpointOf(parsed.clusterId, region), clusterId: parsed.clusterId, region })
}

/** What each session starts with, under the names as the server knows them. */
export const session = (
  settings: Readonly<Record<string, string>> = {}
): Either.Either<Resolved["session"], DsqlConfigError> => {
  const named = Object.entries(settings).map(([name, value]) => [name.toLowerCase(), value] as const)
  for (const [name, value] of named) {
    const problem = settingProblem(name, value)
    if (problem !== undefined) return Either.left(invalid("session", `${name} ${problem}`))
  }
  return Either.right(Object.fromEntries(named))
}

const retryOptions = ["deadline", "times", "base", "cap", "maxAge"] as const

/** When to try again and when to give up; what is not said is as it is `otherwise`, which was checked before. */
export const retry = (
  options: RetryOptions = {},
  otherwise: Resolved["retry"],
  group = ""
): Either.Either<Resolved["retry"], DsqlConfigError> =>
  retryOptions.every((name) => options[name] === undefined)
    ? Either.right(otherwise)
    : Either.gen(function* () {
        const cap = yield* duration(`${group}cap`, options.cap, otherwise.cap, { least: "1 millis", most: "1 minute" })
        const base = yield* duration(`${group}base`, options.base, Duration.min(otherwise.base, cap), {
          least: "1 millis",
          most: "1 minute"
        })
        if (Duration.greaterThan(base, cap)) {
          const [first, longest] = [base, cap].map(Duration.format)
          return yield* Either.left(
            invalid(`${group}base`, `must not be longer than cap, which is ${longest} here, but is ${first}`)
          )
        }
        return {
          deadline: yield* duration(`${group}deadline`, options.deadline, otherwise.deadline, {
            least: "1 millis",
            most: "1 day"
          }),
          times: options.times === undefined ? otherwise.times : yield* integer(`${group}times`, options.times, 0, 1e6),
          base,
          cap,
          maxAge: yield* duration(`${group}maxAge`, options.maxAge, otherwise.maxAge, {
            least: "1 millis",
            most: "300 seconds"
          })
        }
      })
