/**
 * AWS credentials and the login token signed with them. Two services, so that each can be swapped:
 * {@link DsqlCredentials} asks a provider, {@link DsqlToken} keeps one signed token that all connections share.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import { loginAction } from "./core/roles.js"
import { renewAt, usableUntil } from "./core/tokenLifetime.js"
import { DsqlConfig } from "./Config.js"
import { type DsqlConfigError, type DsqlCredentialsError, DsqlTokenError } from "./Errors.js"
import { fromAssumedRole } from "./internal/assumedRole.js"
import { exportsOf } from "./internal/commonJs.js"
import { forTokens } from "./internal/clientMetrics.js"
import { ask, keep, refuseExpired } from "./internal/credentials.js"
import { fromProfileOrChain } from "./internal/sdkProviders.js"
import { event, failedWith } from "./internal/spans.js"

/**
 * AWS credentials. `expiration` is in milliseconds since the epoch; without it they are taken to be long-lived. `source` is
 * what the AWS SDK calls the providers that had a part in them, `CREDENTIALS_ENV_VARS` for instance; it changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
  readonly expiration?: number | undefined
  readonly source?: ReadonlyArray<string> | undefined
}

/**
 * A credential provider as the AWS SDK has them, `fromTemporaryCredentials(…)` for instance. What it throws becomes the
 * `cause` of a `DsqlCredentialsError` and a part of its message, so there must be no secret in it.
 *
 * @since 0.1.0
 * @category models
 */
export type Provider = () => Promise<{
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  readonly expiration?: Date | undefined
}>

/**
 * Where credentials come from. `get` is asked when a token is signed, not for every connection. Credentials that say when
 * they expire are kept until five minutes before, as the AWS SDKs do; others are asked for each time. A provider that does
 * not answer within 20 seconds has failed.
 *
 * @since 0.1.0
 * @category tags
 */
export class DsqlCredentials extends Context.Tag("effect-dsql/DsqlCredentials")<
  DsqlCredentials,
  {
    /** Credentials that have not expired. */
    readonly get: Effect.Effect<Credentials, DsqlCredentialsError>
  }
>() {}

/**
 * The token that a connection logs in with. Reading a usable one does not suspend; otherwise `get` signs a new one, and
 * callers at the same time share that signing. A failure is never kept.
 *
 * @since 0.1.0
 * @category tags
 */
export class DsqlToken extends Context.Tag("effect-dsql/DsqlToken")<
  DsqlToken,
  {
    /** A token that a login can begin with now. */
    readonly get: Effect.Effect<Redacted.Redacted, DsqlCredentialsError | DsqlTokenError>
  }
>() {}

// ---------------------------------------------------------------------------------------------------- credentials

/**
 * Credentials from any provider of the AWS SDK, or from a function of yours.
 *
 * @example
 * ```ts
 * import { fromTemporaryCredentials } from "@aws-sdk/credential-providers"
 * import { DsqlAuth } from "effect-dsql"
 *
 * export const Assumed = DsqlAuth.layerProvider(
 *   fromTemporaryCredentials({ params: { RoleArn: "arn:aws:iam::111122223333:role/orders" } })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerProvider = (provider: Provider): Layer.Layer<DsqlCredentials> =>
  Layer.effect(DsqlCredentials, keep(ask(provider, undefined), undefined))

/**
 * Fixed credentials.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStatic = (credentials: Credentials): Layer.Layer<DsqlCredentials> =>
  Layer.succeed(DsqlCredentials, { get: refuseExpired(credentials) })

/**
 * Credentials of a profile in `~/.aws/config` or `~/.aws/credentials`: keys, SSO, assumed role, process or web identity.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerProfile = (profile: string): Layer.Layer<DsqlCredentials, never, DsqlConfig> =>
  Layer.effect(
    DsqlCredentials,
    Effect.flatMap(DsqlConfig, ({ region }) => fromProfileOrChain(profile, region))
  )

/**
 * The profile of the configuration if it names one, else the default chain of the AWS SDK: environment, shared files, SSO,
 * web identity, container and instance metadata.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentials: Layer.Layer<DsqlCredentials, never, DsqlConfig> = Layer.effect(
  DsqlCredentials,
  Effect.flatMap(DsqlConfig, ({ profile, region }) => fromProfileOrChain(profile, region))
)

/**
 * A role to assume, named as in STS's AssumeRole.
 *
 * @since 0.1.0
 * @category models
 */
export interface AssumedRole<E = never, R = never> {
  /** `arn:aws:iam::<account>:role/<name>`. */
  readonly roleArn: string
  /** How CloudTrail names the session. Default `effect-dsql`. */
  readonly roleSessionName?: string | undefined
  /** What the role's trust policy demands as `sts:ExternalId`. Default none. */
  readonly externalId?: string | undefined
  /**
   * How long each set of credentials lasts; new ones are asked for five minutes before. Default 1 hour, from 15 minutes
   * to 12 hours, and no more than the role's own maximum, or 1 hour where one role assumes another (STS API reference,
   * AssumeRole).
   */
  readonly duration?: Duration.DurationInput | undefined
  /** The credentials that may assume the role. Default {@link layerCredentials}. */
  readonly base?: Layer.Layer<DsqlCredentials, E, R> | undefined
}

/**
 * Temporary credentials of a role, from STS in the cluster's region. When STS refuses, `get` fails with `AccessDenied`; a
 * wrong `roleArn` or `duration` fails here.
 *
 * @example
 * ```ts
 * import { DsqlAuth, DsqlLayer } from "effect-dsql"
 *
 * export const Orders = DsqlLayer.layer("abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws", {
 *   credentials: DsqlAuth.layerAssumedRole({
 *     roleArn: "arn:aws:iam::111122223333:role/orders",
 *     base: DsqlAuth.layerProfile("ops")
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAssumedRole = <E = never, R = never>(
  role: AssumedRole<E, R>
): Layer.Layer<DsqlCredentials, E | DsqlConfigError, DsqlConfig | R> => {
  const base: Layer.Layer<DsqlCredentials, E, DsqlConfig | R> = role.base ?? layerCredentials
  return Layer.effect(
    DsqlCredentials,
    Effect.gen(function* () {
      const { region } = yield* DsqlConfig
      const { get } = yield* DsqlCredentials
      return yield* fromAssumedRole(role, get, region)
    })
  ).pipe(Layer.provide(base))
}

// ---------------------------------------------------------------------------------------------------------- token

/**
 * What a token is signed from. `duration` is in seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignRequest {
  readonly host: string
  readonly region: string
  readonly action: "DbConnect" | "DbConnectAdmin"
  readonly duration: number
  readonly credentials: Credentials
}

/**
 * Makes a token; the seam for simulated time, since the AWS signer reads the real clock.
 *
 * @since 0.1.0
 * @category models
 */
export type Sign = (request: SignRequest) => Effect.Effect<Redacted.Redacted, DsqlTokenError>

/**
 * Signs with `@aws-sdk/dsql-signer`, imported at the first signature.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sign: Sign = ({ action, credentials, duration, host, region }) =>
  Effect.tryPromise({
    try: async () => {
      const { DsqlSigner } = exportsOf(await import("@aws-sdk/dsql-signer"))
      const { accessKeyId, secretAccessKey, sessionToken } = credentials
      const signer = new DsqlSigner({
        hostname: host,
        region,
        expiresIn: duration,
        credentials: {
          accessKeyId,
          secretAccessKey: Redacted.value(secretAccessKey),
          ...(sessionToken === undefined ? {} : { sessionToken: Redacted.value(sessionToken) })
        }
      })
      const token =
        action === "DbConnectAdmin" ? await signer.getDbConnectAdminAuthToken() : await signer.getDbConnectAuthToken()
      return Redacted.make(token)
    },
    catch: (cause) => new DsqlTokenError({ reason: "SigningFailed", host, cause })
  })

interface Token {
  readonly value: Redacted.Redacted
  readonly signedAt: number
  readonly usableUntil: number
  readonly renewAt: number
}

/** Waits between failed renewals; the old token serves meanwhile, and `get` does not wait for them. */
const backoff = Schedule.exponential("1 second").pipe(Schedule.union(Schedule.spaced("30 seconds")), Schedule.jittered)

/** How old the metrics of the token's age and remaining life may be. */
const lifeEvery = "10 seconds"

const toIso = (millis: number) => new Date(millis).toISOString()

/** What goes on as long as the layer is no part of the span that the layer was built in. */
const inBackground = Effect.mapInputContext((context: Context.Context<never>) =>
  Context.omit(Tracer.ParentSpan)(context as Context.Context<Tracer.ParentSpan>)
)

/** No renewal comes sooner than this after another, however short the tokens are. */
const leastNap = Duration.toMillis("1 second")

const makeToken = (sign: Sign) =>
  Effect.gen(function* () {
    const config = yield* DsqlConfig
    const credentials = yield* DsqlCredentials
    const clock = yield* Effect.clock
    const scope = yield* Effect.scope
    const worthRenewing = yield* Effect.makeLatch(false)
    const metrics = yield* forTokens(config)
    let current: Token | undefined
    let signing: Deferred.Deferred<Redacted.Redacted, DsqlCredentialsError | DsqlTokenError> | undefined

    const signOnce = Effect.gen(function* () {
      const signer = yield* credentials.get
      const signedAt = clock.unsafeCurrentTimeMillis()
      const value = yield* sign({
        host: config.host,
        region: config.region,
        action: loginAction(config.user),
        duration: Duration.toSeconds(config.tokenDuration),
        credentials: signer
      })
      const until = usableUntil({
        signedAt,
        duration: Duration.toMillis(config.tokenDuration),
        credentialsExpireAt: signer.expiration
      })
      current = { value, signedAt, usableUntil: until, renewAt: renewAt(signedAt, until, yield* Random.next) }
      metrics.signed()
      metrics.life(current, signedAt)
      if (until - signedAt > leastNap) {
        yield* worthRenewing.open
      }
      return value
    }).pipe(
      Effect.tapErrorCause((cause) => Effect.sync(() => metrics.failed(cause))),
      Effect.tapError(failedWith),
      Effect.withSpan("DsqlToken.sign", { captureStackTrace: false, attributes: { "server.address": config.host } })
    )

    // The signing belongs to the layer: a caller that is interrupted does not take it away from the others. Only the wait
    // can be interrupted, so that even in a closed scope the end of the signing reaches all.
    const renew = Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (signing !== undefined) {
          return restore(Deferred.await(signing))
        }
        const shared = Deferred.unsafeMake<Redacted.Redacted, DsqlCredentialsError | DsqlTokenError>(FiberId.none)
        signing = shared
        return Effect.interruptible(signOnce).pipe(
          Effect.exit,
          Effect.flatMap((exit) => {
            signing = undefined
            return Deferred.done(shared, exit)
          }),
          Effect.forkIn(scope),
          Effect.zipRight(restore(Deferred.await(shared)))
        )
      })
    )

    const untilDue = Effect.suspend(() =>
      Effect.sleep(Math.max(leastNap, (current?.renewAt ?? 0) - clock.unsafeCurrentTimeMillis()))
    )

    // `get` may have signed meanwhile (after a freeze, say), so every attempt looks again at what is due. What a foreign
    // provider throws must not end the renewals.
    const renewIfDue = Effect.suspend(() =>
      current !== undefined && clock.unsafeCurrentTimeMillis() < current.renewAt ? Effect.void : renew
    ).pipe(
      Effect.sandbox,
      Effect.tapError((cause) => {
        const now = clock.unsafeCurrentTimeMillis()
        return current !== undefined && now < current.usableUntil
          ? Effect.logWarning(
              `Renewing the DSQL token failed; the old one serves until ${toIso(current.usableUntil)}`,
              cause
            )
          : Effect.logError("Renewing the DSQL token failed, and there is none to log in with", cause)
      }),
      Effect.retry(backoff)
    )

    yield* worthRenewing.await.pipe(
      Effect.zipRight(Effect.forever(Effect.zipRight(untilDue, renewIfDue))),
      Effect.annotateLogs({ package: "effect-dsql", module: "Auth" }),
      Effect.interruptible,
      inBackground,
      Effect.forkIn(scope)
    )

    yield* Effect.sync(() => {
      if (current !== undefined) metrics.life(current, clock.unsafeCurrentTimeMillis())
    }).pipe(Effect.schedule(Schedule.spaced(lifeEvery)), Effect.interruptible, Effect.forkIn(scope))

    return {
      get: Effect.suspend(() =>
        current !== undefined && clock.unsafeCurrentTimeMillis() < current.usableUntil
          ? Effect.succeed(current.value)
          : Effect.zipLeft(renew, event("dsql.token.refresh", { "server.address": config.host }))
      )
    }
  })

/**
 * One token for the layer, usable until its end less a margin (10 % of its life, at least 1 s, at most 30 s) and never
 * past the expiry of the credentials. Renewed in the background at about 80 % of that time; a failed renewal is retried
 * with backoff while the old token still serves.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTokenFrom = (sign: Sign): Layer.Layer<DsqlToken, never, DsqlConfig | DsqlCredentials> =>
  Layer.scoped(DsqlToken, makeToken(sign))

/**
 * {@link layerTokenFrom} with the AWS signer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerToken: Layer.Layer<DsqlToken, never, DsqlConfig | DsqlCredentials> = layerTokenFrom(sign)
