/** This machine's clock against the server's. A token is dated, so a wrong clock makes it worth nothing. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Resolved } from "../../Config.js"
import type { DsqlStatementError } from "../../Errors.js"
import { setTheClock } from "./cures.js"
import { settled, type Attempt, waiting } from "./model.js"
import { isElsewhere } from "./networkCures.js"

/** How far this machine's clock is ahead of the server's, in milliseconds. */
export interface Skew {
  readonly ahead: number
  /** What told. */
  readonly source: string
}

/** How long the answer of the time source is waited for. */
const patience = "2 seconds"

/** More than this is worth a word. A `Date` is whole seconds, and a round trip lies between the clocks. */
const noticeable = Duration.toMillis("1 minute")

/** The halfway between question and answer is when the server looked at its clock. */
export const skewOf = (serverTime: number, asked: number, answered: number, source: string): Skew => ({
  ahead: Math.round((asked + answered) / 2 - serverTime),
  source
})

export const timeSourceOf = (config: Resolved): string | undefined =>
  isElsewhere(config) ? undefined : `https://dsql.${config.region}.api.aws`

/** By the `Date` of an HTTP server, whatever else it says; `undefined` if it does not answer. */
export const skewByDate = (url: string | undefined): Effect.Effect<Skew | undefined> =>
  url === undefined
    ? Effect.succeed(undefined)
    : Effect.gen(function* () {
        const asked = yield* Clock.currentTimeMillis
        const response = yield* Effect.tryPromise((signal) =>
          fetch(url, { method: "HEAD", redirect: "manual", signal })
        )
        const answered = yield* Clock.currentTimeMillis
        const date = Date.parse(response.headers.get("date") ?? "")
        return Number.isNaN(date) ? undefined : skewOf(date, asked, answered, new URL(url).host)
      }).pipe(
        Effect.timeout(patience),
        Effect.orElseSucceed(() => undefined)
      )

/** `20261125T041500Z` */
const amzDate = (text: string | undefined): number =>
  Date.parse((text ?? "").replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"))

/**
 * "Signature expired: 20261125T041500Z is now earlier than 20261125T041600Z", behind which AWS may write the server's own time
 * with its tolerance: "(20261125T042100Z - 5 min.)". The same for "Signature not yet current".
 */
const refusal = /signature (?:expired|not yet current)(?:.*? than (\d{8}T\d{6}Z)(?: \((\d{8}T\d{6}Z))?)?/i

/** The server's word that the signature's date is wrong, and its time if it tells. */
export const refusedDate = (
  error: DsqlStatementError
): { readonly hint: string; readonly serverTime: number | undefined } | undefined => {
  const hint = error._tag === "DsqlAuthenticationError" ? error.hint : undefined
  const [said, bound, own] = refusal.exec(hint ?? "") ?? []
  if (said === undefined) return undefined
  const serverTime = amzDate(own ?? bound)
  return { hint: hint!, serverTime: Number.isNaN(serverTime) ? undefined : serverTime }
}

const words = ({ ahead, source }: Skew): string =>
  Math.abs(ahead) < 1000
    ? `as that of ${source}`
    : `${Duration.format(Duration.seconds(Math.round(Math.abs(ahead) / 1000)))} ${ahead > 0 ? "ahead of" : "behind"} that of ${source}`

export const isWrong = (skew: Skew | undefined): boolean => skew === undefined || Math.abs(skew.ahead) > noticeable

const factsOf = (skew: Skew) => ({ aheadMillis: skew.ahead, source: skew.source })

/** Where the server refused the date of the signature. */
export const clockRefused = (hint: string, skew: Skew | undefined): Attempt<void> =>
  settled(
    "clock",
    Either.left({
      summary: skew === undefined ? "not that of the server" : words(skew),
      cause: `the server refused the token by its date (${hint}): this machine's clock is wrong`,
      cures: setTheClock,
      ...(skew === undefined ? {} : { facts: factsOf(skew) })
    })
  )

export const clock = (skew: Skew | undefined, duration: number): Attempt<void> => {
  if (skew === undefined) return waiting("clock", "login", "nothing that answered tells the time")
  return {
    name: "clock",
    duration,
    result: Either.right({
      value: undefined,
      summary: words(skew),
      facts: factsOf(skew),
      warning: isWrong(skew)
        ? {
            cause: `this machine's clock is ${words(skew)}: tokens expire sooner or are not valid yet, and past some minutes no login succeeds`,
            cures: setTheClock
          }
        : undefined
    })
  }
}
