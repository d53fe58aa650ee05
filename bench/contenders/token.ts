import { DsqlSigner } from "@aws-sdk/dsql-signer"
import type { LocalAccess } from "effect-dsql/Local"

/** One token for as long as the benchmark runs: what who does not renew it has. */
export const tokenFor = ({ accessKeyId, host, secretAccessKey }: LocalAccess): Promise<string> =>
  new DsqlSigner({
    hostname: host,
    region: host.split(".")[2]!,
    credentials: { accessKeyId, secretAccessKey },
    expiresIn: 3600
  }).getDbConnectAdminAuthToken()
