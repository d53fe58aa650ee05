/** What an error of the AWS SDK means. It gives few of them a type, so their words are what there is to go by. */
import { DsqlCredentialsError } from "../Errors.js"

interface Meaning {
  readonly said: RegExp
  readonly reason: DsqlCredentialsError["reason"]
  /** What logs in again. */
  readonly login?: string
}

/** The first that fits counts. */
const meanings: ReadonlyArray<Meaning> = [
  {
    said: /aws sso login|sso session .*(?:expired|invalid)|unauthorizedexception: session token/i,
    reason: "Expired",
    login: "aws sso login"
  },
  { said: /aws login|please reauthenticate/i, reason: "Expired", login: "aws login" },
  {
    said: /could not resolve credentials using profile|\bprofile \S+ (?:could not be|was not) found/i,
    reason: "ProfileNotFound"
  },
  { said: /could not load credentials from any providers|unable to find environment variable/i, reason: "NotFound" },
  { said: /\b(?:AccessDenied|Forbidden)(?:Exception)?\b/, reason: "AccessDenied" },
  // "Signature expired" is said when the clock is wrong.
  { said: /^(?!.*signature expired).*expired/is, reason: "Expired" }
]

/** The profile at fault: a role's profile may start from another, and that from a third. */
const profileIn = (text: string): string | undefined =>
  /using profile: \[(.+?)\]|\bprofile='?(\S+?)'? |\bprofile '?(\S+?)'? (?:could not be|was not) found/i
    .exec(text)
    ?.slice(1)
    .find((name) => name !== undefined)

const forProfile = (command: string, profile: string | undefined): string =>
  profile === undefined
    ? command
    : `${command} --profile ${/^[\w@%+=:,./-]+$/.test(profile) ? profile : `"${profile}"`}`

/**
 * What was thrown, less what may hold secrets. The text of a SyntaxError quotes what could not be read. In hidden fields of
 * its errors, the AWS SDK keeps the whole exchange: the answer, and the session token that was sent.
 */
const withoutSecrets = (thrown: unknown): unknown => {
  if (thrown instanceof SyntaxError) return new Error("what it gave is not JSON")
  if (!(thrown instanceof Error) || !("$response" in thrown)) return thrown
  const { name, stack } = thrown
  const message = thrown.message.replace(/\n\s*Deserialization error: .*/s, "")
  return Object.assign(new Error(message), { ...thrown, name, stack })
}

/** `asked` is the profile that was asked for, if any. */
export const credentialsError = (thrown: unknown, asked: string | undefined): DsqlCredentialsError => {
  const cause = withoutSecrets(thrown)
  const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  const meaning = meanings.find(({ said }) => said.test(text))
  const profile = profileIn(text) ?? asked
  return new DsqlCredentialsError({
    reason: meaning?.reason ?? "ProviderFailed",
    profile,
    command: meaning?.login === undefined ? undefined : forProfile(meaning.login, profile),
    cause
  })
}
