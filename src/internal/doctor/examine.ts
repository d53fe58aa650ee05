/** The steps in their order, each with what it needs of those before. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { DsqlCredentials } from "../../Auth.js"
import type { DsqlConfig, Resolved } from "../../Config.js"
import type { ExamineOptions, Report } from "../../Doctor.js"
import type { DsqlConfigError, DsqlRegionError } from "../../Errors.js"
import { skewByDate, timeSourceOf } from "./clock.js"
import { configuration, type Configured, credentials, token } from "./credentials.js"
import { configurationTrouble, regionTrouble } from "./cures.js"
import { limits } from "./limits.js"
import { loginTrouble, logIn } from "./login.js"
import { after, type Attempt, attempt, obstacle, settled, type Trouble, waiting } from "./model.js"
import { dns, tcp, tls } from "./network.js"
import { makeRecord, type ReportRecord } from "./record.js"
import { secretsOf, secretsOfToken } from "./secrets.js"
import { settings, statement } from "./session.js"
import { verdicts } from "./verdicts.js"

const valueOf = <A>({ result }: Attempt<A>): A | undefined => (Either.isRight(result) ? result.right.value : undefined)

const configure = (
  resolve: Effect.Effect<Resolved, DsqlConfigError | DsqlRegionError>
): Effect.Effect<Attempt<Configured>> =>
  attempt(
    "configuration",
    Effect.matchEffect(resolve, {
      onFailure: (error) =>
        Effect.fail<Trouble>(
          error._tag === "DsqlRegionError" ? { ...regionTrouble(error), error } : configurationTrouble(error)
        ),
      onSuccess: configuration
    })
  )

/** Where there is no configuration, nothing else can be looked at. */
const withoutConfiguration = (record: ReportRecord, configured: Attempt<Configured>, trouble: Trouble) => {
  const isRegion = trouble.error?._tag === "DsqlRegionError"
  const name = isRegion ? "region" : "configuration"
  const [first, third] = isRegion
    ? [
        { ...configured, result: Either.right({ value: undefined, summary: "complete but for the region" }) },
        settled("region", Either.left(trouble))
      ]
    : [configured, waiting("region", name)]
  const rest = ["dns", "tcp", "tls", "clock", "token", "login", "role", "settings", "statement", "limits"] as const
  return record.add(first, waiting("credentials", name), third, ...rest.map((step) => waiting(step, name)))
}

const network = (record: ReportRecord, { config, secureContext }: Configured) =>
  Effect.gen(function* () {
    const resolved = yield* attempt("dns", dns(config))
    yield* record.add(resolved)
    const connected = yield* after(resolved, "tcp", () => tcp(config))
    yield* record.add(connected)
    const secured = yield* after(connected, "tls", (socket) => tls(config, secureContext, socket))
    yield* record.add(secured)
    return secured
  })

const enter = (configured: Configured, secured: Attempt<void>, signed: Attempt<Redacted.Redacted>) => {
  const blocked = obstacle(secured)
  return blocked === undefined
    ? after(signed, "login", (token) =>
        logIn(configured, token).pipe(
          Effect.map((value) => ({ value, summary: `the token of ${configured.config.user} was taken` })),
          Effect.mapError((error) => ({ ...loginTrouble(configured.config, error), error }))
        )
      )
    : Effect.succeed(waiting("login", blocked))
}

/** What was not to be had because of the login waits for what that was refused for. */
const behind = (login: Attempt<unknown>, attempt: Attempt<unknown>): Attempt<unknown> => {
  const blocked = obstacle(login)
  return blocked === undefined ? attempt : waiting(attempt.name, blocked)
}

const withConfiguration = <E, RC, RT>(
  record: ReportRecord,
  configured: Configured,
  how: ExamineOptions<E, RC, RT>
): Effect.Effect<void, never, Scope.Scope | Exclude<RC, DsqlConfig> | Exclude<RT, DsqlConfig | DsqlCredentials>> =>
  Effect.gen(function* () {
    const { config } = configured
    const found = yield* attempt("credentials", credentials(config, how))
    const known = valueOf(found)
    if (known !== undefined) record.hide(secretsOf(known.credentials))
    const { region } = config
    yield* record.add(found, settled("region", Either.right({ value: undefined, summary: region, facts: { region } })))

    const secured = yield* network(record, configured)
    const [took, byDate] = yield* Effect.timed(skewByDate(how.timeSource ?? timeSourceOf(config)))
    const signed = yield* after(found, "token", (known) => token(config, known, how))
    const password = valueOf(signed)
    if (password !== undefined) record.hide(secretsOfToken(password))

    const entered = yield* enter(configured, secured, signed)
    const ended = yield* Clock.currentTimeMillis
    const asked = yield* after(entered, "statement", (session) => statement(config, session))
    const set = yield* after(entered, "settings", (session) => settings(config, session))
    const [clock, signature, login, role] = verdicts(config, {
      signed,
      entered,
      ended,
      byDate,
      dateTook: Duration.toMillis(took),
      byCluster: valueOf(asked)
    })
    yield* record.add(clock, signature, login, role, behind(login, set), behind(login, asked))
    yield* record.add(settled("limits", Either.right(limits(config))))
  })

export const examine = <E, RC, RT>(
  resolve: Effect.Effect<Resolved, DsqlConfigError | DsqlRegionError>,
  how: ExamineOptions<E, RC, RT>
): Effect.Effect<Report, never, Exclude<RC, DsqlConfig> | Exclude<RT, DsqlConfig | DsqlCredentials>> =>
  Effect.gen(function* () {
    const record = makeRecord(how.onStep)
    const configured = yield* configure(resolve)
    if (Either.isRight(configured.result)) {
      yield* record.add(configured)
      yield* withConfiguration(record, configured.result.right.value, how)
    } else {
      // Nothing comes before it that it could wait for.
      yield* withoutConfiguration(record, configured, configured.result.left as Trouble)
    }
    return record.report()
  }).pipe(Effect.scoped) as Effect.Effect<
    Report,
    never,
    Exclude<RC, DsqlConfig> | Exclude<RT, DsqlConfig | DsqlCredentials>
  >
