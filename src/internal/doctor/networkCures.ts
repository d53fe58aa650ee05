/** What mends the way to the server. */
import type { Resolved } from "../../Config.js"
import { parseHost } from "../../core/endpoint.js"
import type { Cure, Facts } from "../../Doctor.js"
import { DsqlConnectionError, type DsqlStatementError } from "../../Errors.js"
import { change, command, setTheClock, startLocal } from "./cures.js"
import type { Trouble } from "./model.js"

/** Whether another address than the cluster's own is dialled. */
export const isElsewhere = ({ address, host }: Resolved): boolean => address !== host

export const getCluster = ({ clusterId, region }: Resolved): Cure =>
  command(`aws dsql get-cluster --identifier ${clusterId} --region ${region}`)

const leaveAddress = command("unset DSQL_HOSTADDR DSQL_PORT")

const openFirewall = ({ port }: Resolved): Cure =>
  command(
    `aws ec2 authorize-security-group-egress --group-id <security group> --protocol tcp --port ${port} --cidr 0.0.0.0/0`
  )

export const dnsTrouble = (config: Resolved, error: DsqlStatementError): Trouble => ({
  summary: `${config.address} cannot be resolved`,
  cause: error.message,
  cures: isElsewhere(config)
    ? [command("unset DSQL_HOSTADDR"), change("or correct hostaddr (DSQL_HOSTADDR)")]
    : [getCluster(config), change("check the resolver of this machine or VPC (enableDnsSupport, private DNS)")]
})

export const tcpTrouble = (config: Resolved, error: DsqlStatementError): Trouble => {
  const isRefused = error instanceof DsqlConnectionError && error.reason === "Refused"
  const cures = isElsewhere(config)
    ? [...(isRefused ? startLocal : []), leaveAddress, change("or start what hostaddr and port lead to")]
    : [...(config.port === 5432 ? [] : [command("unset DSQL_PORT")]), openFirewall(config), getCluster(config)]
  return {
    summary: isRefused ? "nothing answers there" : "no connection",
    cause: error.message,
    cures
  }
}

const codeOf = ({ cause }: DsqlStatementError): string =>
  String((cause as { readonly code?: unknown } | undefined)?.code ?? "")

const untrusted = /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_UNTRUSTED|INVALID_CA)/

/** What this cluster is called by the names of a certificate, which may be anybody's and is nothing for a shell to read. */
const endpointAmong = (names: string, { clusterId }: Resolved): string | undefined =>
  names
    .split(", ")
    .map((name) => parseHost(name.replace("*", clusterId)))
    .find((host) => host.kind === "endpoint")?.host

const certificateTrouble = (config: Resolved, code: string, facts: Facts): Omit<Trouble, "facts"> | undefined => {
  const { issuer, names, validFrom, validTo } = facts
  if (untrusted.test(code)) {
    const hasOwn = config.tls.ca !== undefined || config.tls.caFile !== undefined
    return {
      summary: "the certificate's authority is not trusted",
      cause: `the certificate was issued by "${issuer}", which is not among those trusted (${code})${hasOwn ? "; tls.ca or DSQL_SSLROOTCERT takes the place of the system's authorities, which know the service's" : "; a local cluster, or a proxy that ends TLS, has an authority of its own"}`,
      cures: hasOwn
        ? [command("unset DSQL_SSLROOTCERT"), command("export DSQL_SSLROOTCERT=<PEM file of that authority>")]
        : [command("export DSQL_SSLROOTCERT=<PEM file of that authority>"), leaveAddress]
    }
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const endpoint = endpointAmong(String(names), config)
    return {
      summary: "the certificate is for another name",
      cause: `the certificate is for ${names || "no name"}, not for ${config.host}: the host or its region is wrong, or what answers there is not the cluster`,
      cures: [
        ...(endpoint === undefined ? [] : [command(`export DSQL_HOST=${endpoint}`)]),
        ...(isElsewhere(config) ? [leaveAddress] : []),
        getCluster(config)
      ]
    }
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return {
      summary: "the certificate is out of date",
      cause: `the certificate is valid from ${validFrom} to ${validTo}, which by this machine's clock is not now (${code})`,
      cures: [...setTheClock, change("or renew the certificate of the proxy or cluster that answers there")]
    }
  }
  return undefined
}

export const tlsTrouble = (config: Resolved, error: DsqlStatementError, facts: Facts): Trouble => {
  const other = {
    summary: "no TLS",
    cause: error.message,
    cures: [
      ...(config.tls.negotiation === "direct" ? [command("export DSQL_SSLNEGOTIATION=postgres")] : []),
      ...(isElsewhere(config) ? [leaveAddress] : []),
      change("or have whatever stands between pass on TLS 1.2 or 1.3 with SNI as it is")
    ]
  }
  return { ...(certificateTrouble(config, codeOf(error), facts) ?? other), facts }
}
