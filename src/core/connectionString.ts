/**
 * Connection strings: `postgresql://[user@]host[:port]/[database]?parameter=value&…`, read by the rules of libpq
 * (PostgreSQL documentation, "Connection URIs"): only percent-encoding is decoded, a `+` is a plus.
 */

/** What a string that tells where to connect turns out to be. */
export type ConnectionString =
  | { readonly kind: "host"; readonly host: string }
  /** Under the names that libpq has for them, those in front of the `?` as well. */
  | { readonly kind: "parameters"; readonly parameters: ReadonlyMap<string, string> }
  /** `why` quotes nothing of the string, which may hold a password. */
  | { readonly kind: "invalid"; readonly why: string }

const invalid = (why: string): ConnectionString => ({ kind: "invalid", why })

/** User information, authority, database, parameters. Whatever holds an unencoded delimiter ends up as a wrong authority. */
const uriPattern = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^/?#]*)(?:\/([^/?#]*))?(?:\?([^#]*))?$/i

const authorityPattern = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/

const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

const pairsOf = (query: string): ReadonlyArray<readonly [name: string, value: string]> =>
  query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name = "", ...value] = pair.split("=")
      return [name, value.join("=")]
    })

export const parseConnectionString = (text: string): ConnectionString => {
  const trimmed = text.trim()
  if (!trimmed.includes("://")) {
    return /^\w+\s*=/.test(trimmed)
      ? invalid("is written as keyword=value; write it as postgresql://[user@]host[:port]/[database]?parameter=value")
      : { kind: "host", host: trimmed }
  }
  if (!/^postgres(?:ql)?:\/\//i.test(trimmed)) return invalid("must begin with postgresql:// or postgres://")
  const [, user, authority = "", database = "", query = ""] = uriPattern.exec(trimmed) ?? []
  if (user?.includes(":") === true) {
    return invalid(
      "holds a password, but a cluster takes none: every login carries a token signed with AWS credentials. Take it out"
    )
  }
  const [, host, port] = authorityPattern.exec(authority) ?? []
  if (host === undefined) {
    return invalid(
      "cannot be read: between // and the next / there must be host or host:port, once, and what is special in a URL must be percent-encoded"
    )
  }
  const before = [
    ["user", user],
    ["host", host],
    ["port", port],
    ["dbname", database]
  ] as const
  const parameters = new Map<string, string>()
  for (const [encodedName, encodedValue] of [...before.filter(([, value]) => value), ...pairsOf(query)]) {
    const [name, value] = [decode(encodedName), decode(encodedValue ?? "")]
    if (name === undefined || value === undefined) return invalid("has a % without two hexadecimal digits after it")
    if (parameters.has(name)) return invalid(`says ${name} twice`)
    parameters.set(name, value)
  }
  return { kind: "parameters", parameters }
}
