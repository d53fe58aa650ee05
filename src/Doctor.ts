/**
 * Why can't I connect? Walks the way that a connection goes, step by step, and says of each whether it works, how long it
 * took and, where it does not, why and what mends it. The command `effect-dsql doctor` prints what is found here; a service
 * can offer the same as a health check.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { DsqlCredentials, DsqlToken } from "./Auth.js"
import type { DsqlConfig, Options } from "./Config.js"
import { examine as examineResolved } from "./internal/doctor/examine.js"
import * as resolving from "./internal/resolve.js"

/**
 * The steps, in this order:
 *
 * - `configuration`: the options, and the file with certificate authorities if there is one.
 * - `credentials`: the AWS credentials; which provider gave them and when they expire.
 * - `region`: the cluster's region.
 * - `dns`, `tcp`, `tls`: the address, the connection, and who is at its other end.
 * - `clock`: this machine's clock against the server's.
 * - `token`: the signature.
 * - `login`: whether the server lets the token in.
 * - `role`: the database role, its mapping, and the action of IAM.
 * - `settings`: the settings that sessions start with, and `setup`.
 * - `statement`: `SELECT` of a few values.
 * - `limits`: the options of the pool against the limits of the service.
 *
 * @since 0.1.0
 * @category models
 */
export type StepName =
  | "configuration"
  | "credentials"
  | "region"
  | "dns"
  | "tcp"
  | "tls"
  | "clock"
  | "token"
  | "login"
  | "role"
  | "settings"
  | "statement"
  | "limits"

/**
 * What a step came to. `warning` works but will not for long, or not as well as it could; `skipped` could not run because of
 * another step that failed.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "ok" | "warning" | "failed" | "skipped"

/**
 * What mends a step: a `command` for a shell, a statement of `sql` for admin, an IAM `policy` as JSON, or a `change` to be
 * made by hand. Words in angle brackets are to be filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cure {
  readonly kind: "command" | "sql" | "policy" | "change"
  readonly text: string
}

/**
 * What a step has found out, by name: `protocol: "TLSv1.3"`, for instance. Never a secret.
 *
 * @since 0.1.0
 * @category models
 */
export type Facts = Readonly<Record<string, string | number | boolean>>

/**
 * One step. `duration` is in milliseconds, 0 where nothing was done; `cause`, the likeliest, is there when the outcome is
 * `warning` or `failed`, and so is at least one cure, the likeliest first. `waitsFor` is there when it is `skipped`: the step
 * whose failure stands in the way, or, for a clock that nobody could be asked about, `login`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step {
  readonly name: StepName
  readonly outcome: Outcome
  readonly duration: number
  readonly summary: string
  readonly facts: Facts
  readonly cause?: string | undefined
  readonly cures: ReadonlyArray<Cure>
  readonly waitsFor?: StepName | undefined
}

/**
 * All steps in their order, and the worst of what they came to. Plain data, fit for JSON; `version` changes when a field is
 * taken away or means something else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  readonly version: 1
  readonly outcome: Exclude<Outcome, "skipped">
  readonly steps: ReadonlyArray<Step>
}

/**
 * How the examination is made.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExamineOptions<E = never, RC = never, RT = never> {
  /** As in `DsqlLayer.layer`. Default {@link Auth.layerCredentials}. How it fails becomes a part of the report. */
  readonly credentials?: Layer.Layer<DsqlCredentials, E, DsqlConfig | RC> | undefined
  /** As in `DsqlLayer.layer`. Default {@link Auth.layerToken}. */
  readonly token?: Layer.Layer<DsqlToken, E, DsqlConfig | DsqlCredentials | RT> | undefined
  /**
   * An HTTP server whose `Date` header the clock is compared with, in at most 2 seconds; without an answer, the login tells.
   * Default: the service's API in the region, `https://dsql.<region>.api.aws`; none where `hostaddr` leads elsewhere.
   */
  readonly timeSource?: string | undefined
  /** Called with each step as soon as it is known, in their order. */
  readonly onStep?: ((step: Step) => Effect.Effect<void>) | undefined
}

/**
 * What examining needs: only what the swapped layers need.
 *
 * @since 0.1.0
 * @category models
 */
export type Examination<RC = never, RT = never> = Effect.Effect<
  Report,
  never,
  Exclude<RC, DsqlConfig> | Exclude<RT, DsqlConfig | DsqlCredentials>
>

/**
 * Examines the way to a cluster, given as in `DsqlLayer.layer`. It opens two connections, one of which logs in, and closes
 * them; it changes nothing. Whatever is broken is in the report, never an error; it takes at most the connect timeout for
 * each of DNS, TCP, TLS and login, 25 seconds for credentials and as much for the token, and 15 seconds for statements.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { DsqlDoctor } from "effect-dsql"
 *
 * export const isHealthy = Effect.gen(function* () {
 *   const { outcome, steps } = yield* DsqlDoctor.examine("abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws")
 *   const broken = steps.find((step) => step.outcome === "failed")
 *   if (broken !== undefined) yield* Effect.logError(`${broken.name}: ${broken.cause}`, broken.cures)
 *   return outcome !== "failed"
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const examine = <E = never, RC = never, RT = never>(
  options: string | Options,
  how: ExamineOptions<E, RC, RT> = {}
): Examination<RC, RT> => examineResolved(resolving.make(options), how)

/**
 * The same for the cluster that the environment names, as `DsqlLive` reads it.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { DsqlDoctor } from "effect-dsql"
 *
 * export const report = DsqlDoctor.examineEnvironment({
 *   onStep: ({ name, outcome, summary }) => Console.log(outcome, name, summary)
 * }).pipe(Effect.map(({ outcome }) => outcome))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const examineEnvironment = <E = never, RC = never, RT = never>(
  how: ExamineOptions<E, RC, RT> = {}
): Examination<RC, RT> => examineResolved(resolving.fromEnvironment, how)
