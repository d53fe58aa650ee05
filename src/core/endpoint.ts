/** The grammar of cluster host names: `<cluster id>.dsql[-suffix].<region>.on.aws`. */

/** AWS's connectors all validate a cluster id as 26 lower-case letters and digits. */
const clusterIdPattern = /^[a-z0-9]{26}$/

/** The suffix after `dsql` is the service identifier of a PrivateLink endpoint, `dsql-fnh4` for instance. */
const endpointPattern = /^([a-z0-9]{26})\.(dsql(?:-[a-z0-9]+)?)\.([a-z0-9]+(?:-[a-z0-9]+)+)\.on\.aws$/

const ipPattern = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-f]*:[0-9a-f:.]+\]?)$/

/** What a string given as host turns out to be. */
export type Host =
  | { readonly kind: "endpoint"; readonly host: string; readonly clusterId: string; readonly region: string }
  | { readonly kind: "clusterId"; readonly clusterId: string }
  /** `what` is the string, quoted where it cannot hold a secret. */
  | { readonly kind: "invalid"; readonly what: string; readonly why: string }

const hostCharacters = /^[\w.:[\]-]*$/

/** Host names are case-insensitive and may end in a dot; both are folded, since this very text is signed. */
export const parseHost = (text: string): Host => {
  const host = text.trim().toLowerCase().replace(/\.$/, "")
  const invalid = (why: string): Host => ({
    kind: "invalid",
    what: hostCharacters.test(host) ? `"${text}"` : "what was given",
    why
  })
  if (clusterIdPattern.test(host)) {
    return { kind: "clusterId", clusterId: host }
  }
  const match = endpointPattern.exec(host)
  if (match !== null) {
    return { kind: "endpoint", host, clusterId: match[1]!, region: match[3]! }
  }
  if (host === "") {
    return invalid("it is empty")
  }
  if (host.includes("://")) {
    return invalid(
      "a connection string is given in the place of all options (DSQL_URL in the environment), or read into options with DsqlConfig.fromString"
    )
  }
  if (host === "localhost" || ipPattern.test(host)) {
    return invalid(
      "the host names the cluster and is what the token is signed for; to dial an address of your own (a local cluster, a tunnel), keep the cluster's endpoint as host and put the address into hostaddr (DSQL_HOSTADDR)"
    )
  }
  if (host.includes("vpce")) {
    return invalid(
      "a vpce- name cannot be verified by the cluster's certificate; use the endpoint <cluster id>.dsql-<suffix>.<region>.on.aws as host and, where private DNS is off, the vpce- name as hostaddr (DSQL_HOSTADDR)"
    )
  }
  if (!host.includes(".")) {
    return invalid("a cluster id has exactly 26 lower-case letters and digits")
  }
  return invalid("an endpoint looks like <26-character cluster id>.dsql.<region>.on.aws")
}

/** The public endpoint of a cluster. */
export const endpointOf = (clusterId: string, region: string): string => `${clusterId}.dsql.${region}.on.aws`

/** Region names as AWS writes them: `us-east-1`, `ap-southeast-2`, `us-gov-west-1`. */
export const isRegion = (text: string): boolean => /^[a-z]{2,}(?:-[a-z0-9]+)+$/.test(text)
