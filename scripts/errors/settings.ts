/** Errors of settings, credentials and tokens. */
import * as Either from "effect/Either"
import { fromString, type Options, resolve } from "../../src/Config.js"
import { DsqlCredentialsError, DsqlRegionError, DsqlTokenError } from "../../src/Errors.js"
import { host, type Page } from "./page.js"

const refused = (options: Partial<Options>) => Either.getOrThrow(Either.flip(resolve(options as Options)))

export const config: Page<"DsqlConfigError"> = {
  means:
    "A setting cannot be right. Nothing was dialled and nothing was signed. `option` names the option or the environment variable, `detail` says what is wrong with its value.",
  reasons: {
    Missing: {
      cause:
        "the host is missing: no option, no `DSQL_HOST`, no `DSQL_URL`, no `CLUSTER_ENDPOINT`; or `DsqlLocal.layerFrom` was given nothing",
      cure: "set one of them: an endpoint, or the 26-character id with a region; for `layerFrom`, [provide the access](../local-cluster.md#one-cluster-for-all-test-files)",
      sample: refused({})
    },
    InvalidHost: {
      cause: "`host` is neither an endpoint of Aurora DSQL nor an id: `localhost`, an IP address, a PrivateLink name",
      cure: "give the cluster as `host`, and the address to dial as `hostaddr` (`DSQL_HOSTADDR`)",
      sample: refused({ host: "localhost" })
    },
    InvalidOption: {
      cause: "a value out of its range or of a wrong form, an option that does not exist, a file that cannot be read",
      cure: "correct the option that the message names; its limits are in the table of [settings](../connections.md#settings)",
      sample: refused({ host, pool: { max: 0 } })
    },
    InvalidConnectionString: {
      cause: "a connection string with a parameter that does not exist or is refused, or with a password",
      cure: "take the parameter out, or write it as the message proposes; a cluster takes no password",
      sample: Either.getOrThrow(Either.flip(fromString(`postgresql://admin:secret@${host}/postgres`)))
    }
  }
}

export const region: Page<"DsqlRegionError"> = {
  means:
    "The region of the cluster cannot be found, or two settings name different ones. A token is signed for one region, and the service refuses a token of another.",
  reasons: {
    Missing: {
      cause:
        "the host is a bare id, and neither `region`, `AWS_REGION`, `AWS_DEFAULT_REGION` nor the profile has a region",
      cure: "give the full endpoint as `host`, or set `DSQL_REGION`",
      sample: new DsqlRegionError({ reason: "Missing", host: host.slice(0, 26) })
    },
    Mismatch: {
      cause: "`region` or `DSQL_REGION` is not the one in the endpoint",
      cure: "drop the region: the endpoint has it already",
      sample: new DsqlRegionError({ reason: "Mismatch", host, region: "eu-west-1", hostRegion: "us-east-1" })
    }
  }
}

export const credentials: Page<"DsqlCredentialsError"> = {
  means:
    "AWS credentials cannot be had. `profile` is the profile at fault, `command` what to run before trying again, where they are known; `cause` is the error of the AWS SDK or of your provider. A failure is not kept: the next statement asks again.",
  reasons: {
    NotFound: {
      cause: "no provider of the chain has credentials: no variables, no profile, no metadata service",
      cure: "`aws sso login`, or set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or pass a [credentials layer](../authentication.md#credentials)",
      sample: new DsqlCredentialsError({ reason: "NotFound" })
    },
    Expired: {
      cause: "the SSO session or the temporary credentials are over",
      cure: "run the command that the message gives; renew temporary credentials where they come from",
      sample: new DsqlCredentialsError({
        reason: "Expired",
        profile: "orders",
        command: "aws sso login --profile orders"
      })
    },
    ProfileNotFound: {
      cause: "no shared file has the profile, or the profile has no credentials",
      cure: "`aws configure list-profiles` lists those that exist; look at `AWS_PROFILE` and `DSQL_PROFILE`",
      sample: new DsqlCredentialsError({ reason: "ProfileNotFound", profile: "ordres" })
    },
    AccessDenied: {
      cause: "STS refuses the role, or SSO the account",
      cure: "allow `sts:AssumeRole` on the role to the caller, and name the caller in the trust policy of the role",
      sample: new DsqlCredentialsError({ reason: "AccessDenied" })
    },
    ProviderFailed: {
      cause: "the provider threw something else, gave nothing, or did not answer within 20 seconds",
      cure: "look at `cause`: the metadata service, STS, a program in `credential_process`, a function of yours",
      sample: new DsqlCredentialsError({
        reason: "ProviderFailed",
        cause: new Error("connect ECONNREFUSED 169.254.169.254:80")
      })
    }
  }
}

export const token: Page<"DsqlTokenError"> = {
  means:
    "The token could not be signed. Signing is local arithmetic without a network, so this is rare: credentials of a wrong form, or an installation with a part missing.",
  reasons: {
    SigningFailed: {
      cause: "a part of the credentials is missing at run time, or `@aws-sdk/dsql-signer` cannot be loaded",
      cure: "look at `cause`; check what your credentials layer gives, and run `npm ci` anew",
      sample: new DsqlTokenError({
        reason: "SigningFailed",
        host,
        cause: new Error("Resolved credential object is not valid")
      })
    }
  }
}
