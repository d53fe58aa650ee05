/** What mends what, as the command, statement, policy or change that does it. The errors' own messages say why. */
import type { Cure } from "../../Doctor.js"
import type { Policy } from "../../core/roles.js"
import type { DsqlConfigError, DsqlCredentialsError, DsqlRegionError } from "../../Errors.js"
import type { Trouble } from "./model.js"

export const command = (text: string): Cure => ({ kind: "command", text })
export const sql = (text: string): Cure => ({ kind: "sql", text })
export const change = (text: string): Cure => ({ kind: "change", text })
export const policy = (allowed: Policy): Cure => ({ kind: "policy", text: JSON.stringify(allowed, undefined, 2) })

/** Clocks that are wrong make tokens and certificates wrong. */
export const setTheClock: ReadonlyArray<Cure> = [
  command("sudo timedatectl set-ntp true"),
  change("elsewhere than on Linux with systemd, have the clock set by NTP; in a container it is the host's")
]

export const exportHost = command("export DSQL_HOST=<cluster id>.dsql.<region>.on.aws")
const listClusters = command("aws dsql list-clusters --region <region>")

/** A local cluster has another name, certificate and credentials each time, unless it keeps its data. */
export const startLocal: ReadonlyArray<Cure> = [
  command("npx effect-dsql local"),
  change("for a local cluster: paste all of the lines that this prints, in the place of those of one that has ended")
]

/** `DSQL_PORT`, and not `DSQL_URL (port)` or `pool.max`. */
const isVariable = (option: string): boolean => /^[A-Z][A-Z_]+$/.test(option)

const curesOfOption = ({ option, reason }: DsqlConfigError): ReadonlyArray<Cure> => {
  if (reason === "Missing" || reason === "InvalidHost") return [exportHost, listClusters]
  if (option.startsWith("tls.ca")) {
    return [
      command("unset DSQL_SSLROOTCERT"),
      change("or give the file of the authority to trust; the service needs none, its certificates are the system's"),
      ...startLocal
    ]
  }
  return isVariable(option)
    ? [command(`unset ${option}`), change(`or give ${option} a value that is allowed`)]
    : [change(`correct ${option}`)]
}

export const configurationTrouble = (error: DsqlConfigError): Trouble => ({
  summary: error.reason === "Missing" ? `${error.option} is not set` : `${error.option} cannot be right`,
  cause: error.message,
  cures: curesOfOption(error)
})

export const regionTrouble = (error: DsqlRegionError): Trouble => ({
  summary: error.reason === "Missing" ? "not known" : `${error.region} is not that of the host, ${error.hostRegion}`,
  cause: error.message,
  cures:
    error.reason === "Missing"
      ? [command("export DSQL_REGION=<region>"), exportHost]
      : [
          change(
            `leave out the region where it is said (--region, DSQL_REGION, the region option), or say ${error.hostRegion}`
          ),
          command("unset DSQL_REGION")
        ]
})

const ofProfile = (profile: string | undefined): string => (profile === undefined ? "" : ` --profile ${profile}`)

/** The role that STS would not have assumed. */
const refusedRole = (cause: unknown): string | undefined =>
  /sts:AssumeRole on resource: (arn:\S+)/.exec(cause instanceof Error ? cause.message : "")?.[1]

const curesOfCredentials = ({ cause, profile, reason }: DsqlCredentialsError): ReadonlyArray<Cure> => {
  switch (reason) {
    case "NotFound":
      return [
        command("aws sso login"),
        command("export AWS_ACCESS_KEY_ID=<key id> AWS_SECRET_ACCESS_KEY=<secret key>"),
        command("aws configure list"),
        ...startLocal
      ]
    case "Expired":
      return [command(`aws sso login${ofProfile(profile)}`), change("or renew the credentials where they come from")]
    case "ProfileNotFound":
      return [command("aws configure list-profiles"), command(`aws configure${ofProfile(profile)}`)]
    case "AccessDenied":
      return [
        policy({
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Action: "sts:AssumeRole",
              Resource: refusedRole(cause) ?? "arn:aws:iam::<account>:role/<role>"
            }
          ]
        }),
        change("and name who assumes it in the trust policy of the role")
      ]
    case "ProviderFailed":
      return [
        command(`aws sts get-caller-identity${ofProfile(profile)}`),
        change("or mend the provider that is named in the cause")
      ]
  }
}

export const credentialsTrouble = (error: DsqlCredentialsError): Trouble => ({
  summary: error.reason === "NotFound" ? "none found" : "none that can be used",
  cause: error.message,
  cures: [...(error.command === undefined ? [] : [command(error.command)]), ...curesOfCredentials(error)]
})
