/** What an error of the AWS SDK means. It gives few of them a type, so their words are what there is to go by. */
import { DsqlCredentialsError } from "../Errors.js"

/** The first that fits counts. */
const meanings: ReadonlyArray<readonly [meaning: RegExp, reason: DsqlCredentialsError["reason"]]> = [
  [/aws sso login|sso session .*(?:expired|invalid)|unauthorizedexception: session token/i, "Expired"],
  [/aws login|please reauthenticate/i, "Expired"],
  [/could not resolve credentials using profile|\bprofile \S+ (?:could not be|was not) found/i, "ProfileNotFound"],
  [/could not load credentials from any providers|unable to find environment variable credentials/i, "NotFound"],
  [/\b(?:AccessDenied|Forbidden)(?:Exception)?\b/, "AccessDenied"],
  // "Signature expired" is said when the clock is wrong.
  [/^(?!.*signature expired).*expired/is, "Expired"]
]

/** The profile at fault: a role's profile may start from another, and that from a third. */
const profileIn = (text: string): string | undefined =>
  /using profile: \[(.+?)\]|\bprofile='?(\S+?)'? |\bprofile '?(\S+?)'? (?:could not be|was not) found/i
    .exec(text)
    ?.slice(1)
    .find((name) => name !== undefined)

const commandFor = (text: string, profile: string | undefined): string | undefined => {
  const login = meanings.slice(0, 2).findIndex(([meaning]) => meaning.test(text))
  const option =
    profile === undefined ? "" : ` --profile ${/^[\w@%+=:,./-]+$/.test(profile) ? profile : `"${profile}"`}`
  return login < 0 ? undefined : `aws ${["sso login", "login"][login]}${option}`
}

/** `asked` is the profile that was asked for, if any. */
export const credentialsError = (thrown: unknown, asked: string | undefined): DsqlCredentialsError => {
  // The text of a SyntaxError quotes what it could not read, which may be a secret.
  const cause = thrown instanceof SyntaxError ? new Error("what it gave is not JSON") : thrown
  const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  const profile = profileIn(text) ?? asked
  return new DsqlCredentialsError({
    reason: meanings.find(([meaning]) => meaning.test(text))?.[1] ?? "ProviderFailed",
    profile,
    command: commandFor(text, profile),
    cause
  })
}
