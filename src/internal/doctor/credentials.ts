/** What is at hand before anything is dialled: options, credentials and the signature. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Context from "effect/Context"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { SecureContext } from "node:tls"
import { type Credentials, DsqlCredentials, DsqlToken, layerCredentials, layerToken } from "../../Auth.js"
import { DsqlConfig, type Resolved } from "../../Config.js"
import { loginAction } from "../../core/roles.js"
import type { Cure, ExamineOptions } from "../../Doctor.js"
import { type DsqlConfigError, isDsqlError } from "../../Errors.js"
import { expiryWindow } from "../credentials.js"
import { secureContextFor } from "../secureContext.js"
import { read, textVariable } from "../variables.js"
import { change, command, configurationTrouble, credentialsTrouble } from "./cures.js"
import type { Done, Trouble } from "./model.js"

/** A configuration with what its TLS trusts. */
export interface Configured {
  readonly config: Resolved
  readonly secureContext: SecureContext
}

export const configuration = (config: Resolved): Effect.Effect<Done<Configured>, Trouble> =>
  secureContextFor(config.tls).pipe(
    Effect.mapError((error: DsqlConfigError) => configurationTrouble(error)),
    Effect.map((secureContext) => ({
      value: { config, secureContext },
      summary: `${config.host} as ${config.user}`,
      facts: {
        host: config.host,
        user: config.user,
        database: config.database,
        address: config.address,
        port: config.port,
        negotiation: config.tls.negotiation,
        trusts: config.tls.caFile ?? (config.tls.ca === undefined ? "the system's authorities" : "tls.ca")
      }
    }))
  )

/** What layers of users fail with may be anything. */
const layerTrouble = (error: unknown): Trouble => {
  if (isDsqlError(error)) {
    switch (error._tag) {
      case "DsqlCredentialsError":
        return credentialsTrouble(error)
      case "DsqlConfigError":
        return configurationTrouble(error)
      case "DsqlTokenError":
        return {
          summary: "signing failed",
          cause: error.message,
          cures: [
            command("npm install @aws-sdk/dsql-signer"),
            change("or give complete credentials: an access key id and a secret access key")
          ]
        }
    }
  }
  return {
    summary: "the layer failed",
    cause: error instanceof Error ? error.message : String(error),
    cures: [change("mend the layer that was given in the place of the usual one")]
  }
}

/** Our own providers give up within 20 seconds; layers of users may wait for ever. */
const patience = Duration.seconds(25)

const inTime = <A, R>(effect: Effect.Effect<A, Trouble, R>): Effect.Effect<A, Trouble, R> =>
  Effect.timeoutFail(effect, {
    duration: patience,
    onTimeout: (): Trouble => ({
      summary: "no answer",
      cause: `the layer that was given did not answer within ${Duration.format(patience)}`,
      cures: [change("have the layer fail when what it asks does not answer")]
    })
  })

/** By the SDK's names; the last that had a part in the credentials is the one that was asked. */
const providers: Readonly<Record<string, string>> = {
  CREDENTIALS_CODE: "given in code",
  CREDENTIALS_ENV_VARS: "environment variables",
  CREDENTIALS_ENV_VARS_STS_WEB_ID_TOKEN: "web identity token",
  CREDENTIALS_STS_ASSUME_ROLE: "assumed role",
  CREDENTIALS_PROFILE: "keys in the shared AWS files",
  CREDENTIALS_PROFILE_SOURCE_PROFILE: "role that a profile assumes",
  CREDENTIALS_PROFILE_NAMED_PROVIDER: "provider that a profile names",
  CREDENTIALS_PROFILE_STS_WEB_ID_TOKEN: "web identity token of a profile",
  CREDENTIALS_PROFILE_SSO: "SSO profile",
  CREDENTIALS_PROFILE_SSO_LEGACY: "SSO profile",
  CREDENTIALS_PROFILE_PROCESS: "program of a profile",
  CREDENTIALS_PROFILE_LOGIN: "`aws login` of a profile",
  CREDENTIALS_PROCESS: "program",
  CREDENTIALS_SSO: "SSO",
  CREDENTIALS_LOGIN: "`aws login`",
  CREDENTIALS_HTTP: "container metadata",
  CREDENTIALS_IMDS: "instance metadata"
}

const providerOf = ({ source = [] }: Credentials, isSwapped: boolean): string => {
  const last = source.at(-1)
  if (last === undefined) return isSwapped ? "a credentials layer" : "the default chain of the AWS SDK"
  return providers[last] ?? last
}

/** As `aws configure list` shows it. */
const masked = (accessKeyId: string): string => `${"*".repeat(16)}${accessKeyId.slice(-4)}`

const renewIt: ReadonlyArray<Cure> = [
  command("aws sso login"),
  change("or use a provider that renews its credentials: a profile, a role, the metadata of a container or instance")
]

/** Lambda puts credentials into the environment that last as long as it does. */
const isInLambda = read(textVariable("AWS_EXECUTION_ENV")).pipe(
  Effect.map((environment) => environment?.startsWith("AWS_Lambda_") === true),
  Effect.orElseSucceed(() => false)
)

const lifeWarning = ({ expiration, sessionToken }: Credentials, left: number, isInLambda: boolean) => {
  if (expiration === undefined) {
    return sessionToken === undefined || isInLambda
      ? undefined
      : {
          cause:
            "they are temporary (there is a session token) but do not say when they expire, so nothing renews them in time",
          cures: renewIt
        }
  }
  return left > expiryWindow
    ? undefined
    : { cause: "they expire within five minutes, and what gave them gave no newer ones", cures: renewIt }
}

/** Credentials, and the service that a token layer takes them from. */
export interface Found {
  readonly credentials: Credentials
  readonly service: Context.Tag.Service<DsqlCredentials>
}

export const credentials = <E, RC, RT>(
  config: Resolved,
  { credentials: layer }: ExamineOptions<E, RC, RT>
): Effect.Effect<Done<Found>, Trouble, Scope.Scope | Exclude<RC, DsqlConfig>> =>
  Effect.gen(function* () {
    const asked: Layer.Layer<DsqlCredentials, E, DsqlConfig | RC> = layer ?? layerCredentials
    const service = Context.get(yield* Layer.build(asked), DsqlCredentials)
    const credentials = yield* service.get
    const left = (credentials.expiration ?? Infinity) - (yield* Clock.currentTimeMillis)
    const provider = providerOf(credentials, layer !== undefined)
    const expires = credentials.expiration === undefined ? undefined : new Date(credentials.expiration).toISOString()
    return {
      value: { credentials, service },
      summary: `${provider}, ${expires === undefined ? "with no expiry" : `until ${expires}`}`,
      facts: {
        provider,
        accessKeyId: masked(credentials.accessKeyId),
        temporary: credentials.sessionToken !== undefined,
        ...(expires === undefined ? {} : { expires })
      },
      warning: lifeWarning(credentials, left, yield* isInLambda)
    }
  }).pipe(Effect.mapError(layerTrouble), inTime, Effect.provideService(DsqlConfig, config)) as Effect.Effect<
    Done<Found>,
    Trouble,
    Scope.Scope | Exclude<RC, DsqlConfig>
  >

export const token = <E, RC, RT>(
  config: Resolved,
  found: Found,
  { token: layer }: ExamineOptions<E, RC, RT>
): Effect.Effect<Done<Redacted.Redacted>, Trouble, Scope.Scope | Exclude<RT, DsqlConfig | DsqlCredentials>> =>
  Effect.gen(function* () {
    const asked: Layer.Layer<DsqlToken, E, DsqlConfig | DsqlCredentials | RT> = layer ?? layerToken
    const value = yield* Context.get(yield* Layer.build(asked), DsqlToken).get
    const action = `dsql:${loginAction(config.user)}`
    const seconds = Duration.toSeconds(config.tokenDuration)
    return {
      value,
      summary: `${action} for ${Duration.format(config.tokenDuration)}`,
      facts: { action, seconds, bytes: Redacted.value(value).length }
    }
  }).pipe(
    Effect.mapError(layerTrouble),
    inTime,
    Effect.provideService(DsqlConfig, config),
    Effect.provideService(DsqlCredentials, found.service)
  ) as Effect.Effect<Done<Redacted.Redacted>, Trouble, Scope.Scope | Exclude<RT, DsqlConfig | DsqlCredentials>>
