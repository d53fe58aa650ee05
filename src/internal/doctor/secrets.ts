/** Keeps out of a report what servers, drivers and layers of users may have put into their words. */
import * as Redacted from "effect/Redacted"
import type { Credentials } from "../../Auth.js"
import type { Step } from "../../Doctor.js"

/** Shorter ones cannot be told from other text; AWS's secret keys have 40 characters, and its tokens more. */
const shortest = 16

const formsOf = (secret: string): ReadonlyArray<string> => [secret, encodeURIComponent(secret)]

export const secretsOf = ({ secretAccessKey, sessionToken }: Credentials): ReadonlyArray<string> =>
  [secretAccessKey, sessionToken].flatMap((secret) => (secret === undefined ? [] : formsOf(Redacted.value(secret))))

/** The token, and the part of it that makes it one. */
export const secretsOfToken = (token: Redacted.Redacted): ReadonlyArray<string> => {
  const value = Redacted.value(token)
  const [, signature] = /[?&]X-Amz-Signature=([^&]+)/.exec(value) ?? []
  return [...formsOf(value), ...(signature === undefined ? [] : [signature])]
}

export const withoutSecrets = (step: Step, secrets: ReadonlyArray<string>): Step => {
  const known = secrets.filter(({ length }) => length >= shortest)
  const clean = (text: string): string => known.reduce((rest, secret) => rest.replaceAll(secret, "<redacted>"), text)
  return {
    ...step,
    summary: clean(step.summary),
    facts: Object.fromEntries(
      Object.entries(step.facts).map(([name, value]) => [name, typeof value === "string" ? clean(value) : value])
    ),
    ...(step.cause === undefined ? {} : { cause: clean(step.cause) }),
    cures: step.cures.map(({ kind, text }) => ({ kind, text: clean(text) }))
  }
}
