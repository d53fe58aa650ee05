/** What a login says about the steps before it: a clock, a token and a role are judged by nobody but the server. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import type * as Redacted from "effect/Redacted"
import type { Resolved } from "../../Config.js"
import { adminRole, loginAction } from "../../core/roles.js"
import type { DsqlStatementError } from "../../Errors.js"
import { clock, clockRefused, isWrong, refusedDate, type Skew, skewOf } from "./clock.js"
import { change, command } from "./cures.js"
import { type LoggedIn, roleTrouble } from "./login.js"
import { type Attempt, obstacle, settled, waiting } from "./model.js"

/** What has been tried up to the login, and what there is to judge it by. */
export interface Tried {
  readonly signed: Attempt<Redacted.Redacted>
  readonly entered: Attempt<LoggedIn>
  /** When the login had come to its end, in milliseconds since the epoch. */
  readonly ended: number
  /** By an HTTP server's word, and how long that took; by the cluster's. */
  readonly byDate: Skew | undefined
  readonly dateTook: number
  readonly byCluster: Skew | undefined
}

/** The steps from `clock` to `role`. */
export type Verdicts = readonly [Attempt<void>, Attempt<Redacted.Redacted>, Attempt<LoggedIn>, Attempt<void>]

const refused = (name: "login" | "role", because: "clock" | "token" | "role") =>
  waiting(name, because, `refused because of ${because}`)

const expiredToken = ({ duration, name }: Attempt<Redacted.Redacted>, config: Resolved, hint: string) => ({
  name,
  duration,
  result: Either.left({
    summary: "it had expired when it arrived",
    cause: `the clocks agree, but the server refused the token by its date (${hint}): ${Duration.format(config.tokenDuration)} (tokenDuration) is shorter than a login takes, or a token layer hands out old tokens`,
    cures: [
      command("unset DSQL_TOKEN_DURATION"),
      change("or sign anew for each login in the token layer that was given")
    ]
  })
})

const ofRefusal = (config: Resolved, tried: Tried, error: DsqlStatementError): Verdicts | undefined => {
  const { byDate, dateTook, ended, signed } = tried
  const date = refusedDate(error)
  if (date !== undefined) {
    const skew =
      byDate ?? (date.serverTime === undefined ? undefined : skewOf(date.serverTime, ended, ended, "the cluster"))
    return isWrong(skew)
      ? [clockRefused(date.hint, skew), signed, refused("login", "clock"), refused("role", "clock")]
      : [
          clock(skew, dateTook),
          expiredToken(signed, config, date.hint),
          refused("login", "token"),
          refused("role", "token")
        ]
  }
  const trouble = roleTrouble(config, error)
  return trouble === undefined
    ? undefined
    : [clock(byDate, dateTook), signed, refused("login", "role"), settled("role", Either.left(trouble))]
}

export const verdicts = (config: Resolved, tried: Tried): Verdicts => {
  const { byCluster, byDate, dateTook, entered, signed } = tried
  if (Either.isRight(entered.result)) {
    const action = `dsql:${loginAction(config.user)}`
    return [
      clock(byDate ?? byCluster, dateTook),
      signed,
      entered,
      settled(
        "role",
        Either.right({
          value: undefined,
          summary:
            config.user === adminRole
              ? `admin, allowed by ${action}`
              : `${config.user}, mapped and allowed by ${action}`,
          facts: { user: config.user, action }
        })
      )
    ]
  }
  const { left } = entered.result
  const error = "waitsFor" in left ? undefined : left.error
  return (
    (error === undefined ? undefined : ofRefusal(config, tried, error as DsqlStatementError)) ?? [
      clock(byDate, dateTook),
      signed,
      entered,
      waiting("role", obstacle(entered)!)
    ]
  )
}
