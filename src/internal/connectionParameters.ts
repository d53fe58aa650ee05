/** Connection strings as options. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { parseConnectionString } from "../core/connectionString.js"
import { didYouMean } from "../core/nearest.js"
import { refusalOf } from "../core/refusals.js"
import { parseStartupOptions } from "../core/settings.js"
import { DsqlConfigError } from "../Errors.js"
import { overlay, type SomeOptions } from "./overlay.js"

interface Parameter {
  /** The option it sets; errors about that are told under the parameter's name. */
  readonly option: string
  /** The options, or what is wrong with the value. */
  readonly read: (value: string) => Either.Either<SomeOptions, string>
}

const text = (option: string, toOptions: (value: string) => SomeOptions): Parameter => ({
  option,
  read: (value) => Either.right(toOptions(value))
})

const wholeNumber = (option: string, unit: string, toOptions: (value: number) => SomeOptions): Parameter => ({
  option,
  read: (value) =>
    /^\d{1,9}$/.test(value)
      ? Either.right(toOptions(Number(value)))
      : Either.left(`must be a whole number${unit}, not ${JSON.stringify(value)}`)
})

const seconds = (option: string, toOptions: (value: Duration.Duration) => SomeOptions): Parameter =>
  wholeNumber(option, " of seconds", (value) => toOptions(Duration.seconds(value)))

const tokenDuration = seconds("tokenDuration", (tokenDuration) => ({ tokenDuration }))

/** libpq knows weaker ones, which check nothing; all that check anything are the strongest here. */
const sslmode: Parameter = {
  option: "tls",
  read: (value) =>
    ["require", "verify-ca", "verify-full"].includes(value)
      ? Either.right({})
      : Either.left(
          `must be require, verify-ca or verify-full, which all verify certificate and host name here, not ${JSON.stringify(value)}: TLS is always on and always verified`
        )
}

const sslnegotiation: Parameter = {
  option: "tls.negotiation",
  read: (value) =>
    value === "direct" || value === "postgres"
      ? Either.right({ tls: { negotiation: value } })
      : Either.left(`must be direct or postgres, not ${JSON.stringify(value)}`)
}

const options: Parameter = {
  option: "session",
  read: (value) => {
    const parsed = parseStartupOptions(value)
    return parsed.kind === "invalid"
      ? Either.left(parsed.why)
      : Either.right({ session: Object.fromEntries(parsed.settings) })
  }
}

/** By the names of libpq, and of AWS's connectors for what libpq has not. */
const parameters: Readonly<Record<string, Parameter>> = {
  host: text("host", (host) => ({ host })),
  hostaddr: text("hostaddr", (hostaddr) => ({ hostaddr })),
  port: wholeNumber("port", "", (port) => ({ port })),
  user: text("user", (user) => ({ user })),
  dbname: text("database", (database) => ({ database })),
  region: text("region", (region) => ({ region })),
  profile: text("profile", (profile) => ({ profile })),
  token_duration_secs: tokenDuration,
  tokenDurationSecs: tokenDuration,
  application_name: text("applicationName", (applicationName) => ({ applicationName })),
  sslmode,
  // `system` is libpq's word for the authorities that the system trusts, as they are without it.
  sslrootcert: text("tls.caFile", (caFile) => (caFile === "system" ? {} : { tls: { caFile } })),
  sslnegotiation,
  connect_timeout: seconds("pool.connectTimeout", (connectTimeout) => ({ pool: { connectTimeout } })),
  keepalives_idle: seconds("keepAlive", (keepAlive) => ({ keepAlive })),
  options
}

const wrong = (option: string, detail: string) =>
  new DsqlConfigError({ reason: "InvalidConnectionString", option, detail })

const unknownParameter = (name: string): DsqlConfigError => {
  const why = refusalOf(name)
  return wrong(
    name,
    why === undefined
      ? `is no parameter of a connection string.${didYouMean(name, Object.keys(parameters))}`
      : `is not for a connection string to say: ${why}`
  )
}

/** What a connection string says, and by which name each option is found there. */
export interface FromString {
  readonly options: SomeOptions
  readonly nameOf: (option: string) => string
}

/** The start-up options that a session is to begin with, as `DSQL_OPTIONS` and the parameter `options` hold them. */
export const readStartupOptions = (text: string): Either.Either<NonNullable<SomeOptions["session"]>, string> =>
  Either.map(options.read(text), ({ session = {} }) => session)

export const readConnectionString = (text: string): Either.Either<FromString, DsqlConfigError> => {
  const parsed = parseConnectionString(text)
  switch (parsed.kind) {
    case "invalid":
      return Either.left(wrong("connection string", parsed.why))
    case "host":
      return Either.right({ options: { host: parsed.host }, nameOf: (option) => option })
    case "parameters":
      return Either.gen(function* () {
        let options: SomeOptions = {}
        const names = new Map<string, string>()
        for (const [name, value] of parsed.parameters) {
          const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined
          if (parameter === undefined) return yield* Either.left(unknownParameter(name))
          const twin = names.get(parameter.option)
          if (twin !== undefined) return yield* Either.left(wrong(name, `says again what ${twin} says`))
          names.set(parameter.option, name)
          options = overlay(options, yield* Either.mapLeft(parameter.read(value), (detail) => wrong(name, detail)))
        }
        return { options, nameOf: (option) => names.get(option) ?? option }
      })
  }
}
