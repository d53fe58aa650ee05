/** Settings, credentials and signing: what fails before anything is dialled. */
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { DsqlAuth, DsqlConfig, type DsqlErrors, DsqlLayer, DsqlLive } from "effect-dsql"
import { environment, home, refused, server } from "../support/aws.js"
import { build, type Rows } from "./cases.js"

const id = "abcdefghijklmnopqrstuvwxyz"
const host = `${id}.dsql.us-east-1.on.aws`
const options = (options: DsqlConfig.Options) => build(DsqlConfig.layer(options))

const variables = (variables: ReadonlyArray<readonly [string, string]>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(variables), { pathDelim: "_" }))

export const config: Rows<"DsqlConfigError"> = {
  Missing: [
    {
      when: "the environment names no cluster",
      fails: build(Layer.provide(DsqlLive, variables([]))),
      facts: { option: "DSQL_HOST" },
      next: /Set it to the cluster's endpoint or id/
    },
    {
      when: "an option is undefined at run time",
      fails: options({ host: undefined as unknown as string }),
      facts: { option: "host" },
      next: /Set it to the cluster's endpoint or id/
    }
  ],
  InvalidHost: [
    {
      when: "the host is no cluster",
      fails: options({ host: "localhost" }),
      facts: { option: "host" },
      next: /"localhost" is not a cluster.*hostaddr/
    }
  ],
  InvalidOption: [
    {
      when: "a number is out of range",
      fails: options({ host, port: 70_000 }),
      facts: { option: "port" },
      next: /from 1 to 65535, not 70000/
    },
    {
      when: "a variable has the wrong form",
      fails: build(
        Layer.provide(
          DsqlLive,
          variables([
            ["DSQL_HOST", host],
            ["DSQL_PORT", "https"]
          ])
        )
      ),
      facts: { option: "DSQL_PORT" },
      next: /must be a whole number, not "https"/
    },
    {
      when: "the file of certificates is not there",
      fails: build(DsqlLayer.layer({ host, tls: { caFile: "/no/such/ca.pem" } })),
      facts: { option: "tls.caFile (DSQL_SSLROOTCERT)" },
      next: /cannot read \/no\/such\/ca\.pem.*: ENOENT: no such file/,
      origin: { name: "Error", code: "ENOENT" }
    },
    {
      when: "the file of certificates holds none",
      fails: build(DsqlLayer.layer({ host, tls: { caFile: import.meta.filename } })),
      facts: { option: "tls.caFile (DSQL_SSLROOTCERT)" },
      next: /settings\.ts holds no certificate in PEM form \(-----BEGIN CERTIFICATE-----\)/,
      origin: { name: "Error", code: "ERR_OSSL_PEM_NO_START_LINE" }
    },
    {
      when: "the text of a certificate is none",
      fails: build(DsqlLayer.layer({ host, tls: { ca: "" } })),
      facts: { option: "tls.ca" },
      next: /the text holds no certificate in PEM form/,
      origin: { name: "Error", code: "ERR_OSSL_PEM_NO_START_LINE" }
    },
    {
      when: "a role to assume has no ARN",
      fails: build(DsqlLayer.layer(host, { credentials: DsqlAuth.layerAssumedRole({ roleArn: "orders" }) })),
      facts: { option: "roleArn" },
      next: /such as arn:aws:iam::111122223333:role\/orders, not "orders"/
    }
  ],
  InvalidConnectionString: [
    {
      when: "a parameter has a slip in it",
      fails: build(DsqlConfig.layer(`postgresql://${host}/postgres?aplication_name=x`)),
      facts: { option: "aplication_name" },
      next: /Did you mean application_name\?/
    },
    {
      when: "it holds a password",
      fails: build(DsqlConfig.layer(`postgresql://admin:sesame@${host}/postgres`)),
      facts: { option: "connection string" },
      next: /token signed with AWS credentials\. Take it out/
    },
    {
      when: "the one in the environment asks for no TLS",
      fails: build(Layer.provide(DsqlLive, variables([["DSQL_URL", `postgresql://${host}/postgres?sslmode=disable`]]))),
      facts: { option: "DSQL_URL" },
      next: /sslmode: must be require, verify-ca or verify-full/
    }
  ]
}

export const region: Rows<"DsqlRegionError"> = {
  Missing: [
    {
      when: "a cluster id comes without a region",
      fails: Effect.zipRight(home(), Effect.provide(options({ host: id }), variables([]))),
      facts: { host: id, region: undefined },
      next: /set the region: as option, DSQL_REGION, AWS_REGION, or in the AWS profile/
    }
  ],
  Mismatch: [
    {
      when: "the region is not that of the host name",
      fails: options({ host, region: "eu-west-1" }),
      facts: { host, region: "eu-west-1", hostRegion: "us-east-1" },
      next: /drop the region \(option or DSQL_REGION\), or correct one of the two/
    }
  ]
}

/** A client that never gets as far as dialling, with nothing of AWS on this machine but these files and variables. */
const withCredentials = (
  credentials: Layer.Layer<DsqlAuth.DsqlCredentials, DsqlErrors.DsqlConfigError, DsqlConfig.DsqlConfig>,
  files: Parameters<typeof home>[0] = {},
  variables: Parameters<typeof environment>[0] = {}
) =>
  Effect.zipRight(Effect.zipRight(home(files), environment(variables)), build(DsqlLayer.layer(host, { credentials })))

const secret = Redacted.make("secret")

export const credentials: Rows<"DsqlCredentialsError"> = {
  NotFound: [
    {
      when: "there are none on the machine",
      fails: withCredentials(DsqlAuth.layerCredentials),
      next: /aws sso login.*AWS_ACCESS_KEY_ID/,
      origin: { name: "CredentialsProviderError" }
    }
  ],
  Expired: [
    {
      when: "fixed ones are over",
      fails: withCredentials(
        DsqlAuth.layerStatic({ accessKeyId: "AKIAEXPIRED", secretAccessKey: secret, expiration: 1 })
      ),
      facts: { command: undefined },
      next: /renew them where they come from/
    },
    {
      when: "nobody has logged in by SSO",
      fails: withCredentials(DsqlAuth.layerProfile("orders"), {
        config: `[profile orders]
sso_account_id = 111122223333
sso_role_name = orders
sso_session = work
[sso-session work]
sso_region = us-west-2
sso_start_url = https://example.awsapps.com/start`
      }),
      facts: { profile: "orders", command: "aws sso login --profile orders" },
      next: /run `aws sso login --profile orders`/,
      origin: { name: "CredentialsProviderError" }
    }
  ],
  ProfileNotFound: [
    {
      when: "no file has the profile",
      fails: withCredentials(DsqlAuth.layerProfile("nowhere")),
      facts: { profile: "nowhere" },
      next: /`aws configure list-profiles` tells which there are/,
      origin: { name: "CredentialsProviderError" }
    }
  ],
  AccessDenied: [
    {
      when: "STS refuses the role",
      fails: Effect.flatMap(
        server(() => refused("AccessDenied", "User: ops is not authorized")),
        (sts) =>
          withCredentials(
            DsqlAuth.layerAssumedRole({
              roleArn: "arn:aws:iam::111122223333:role/orders",
              base: DsqlAuth.layerStatic({ accessKeyId: "AKIABASE", secretAccessKey: secret })
            }),
            {},
            { AWS_ENDPOINT_URL_STS: sts.url }
          )
      ),
      next: /allow sts:AssumeRole.*trust policy.*User: ops is not authorized/,
      origin: { name: "AccessDenied" }
    }
  ],
  ProviderFailed: [
    {
      when: "a provider throws",
      fails: withCredentials(DsqlAuth.layerProvider(() => Promise.reject(new RangeError("no route to the vault")))),
      next: /look at what it asks.*: no route to the vault/,
      origin: { name: "RangeError" }
    },
    {
      when: "a provider gives nothing",
      fails: withCredentials(DsqlAuth.layerProvider(async () => ({ accessKeyId: "", secretAccessKey: "" }))),
      next: /it gave no accessKeyId and secretAccessKey/,
      origin: { name: "Error" }
    }
  ]
}

export const token: Rows<"DsqlTokenError"> = {
  SigningFailed: [
    {
      when: "a part of fixed credentials is missing at run time",
      fails: withCredentials(
        DsqlAuth.layerStatic({ accessKeyId: undefined as unknown as string, secretAccessKey: secret })
      ),
      facts: { host },
      next: /check that the credentials are complete.*: \w/,
      origin: { name: "Error" }
    }
  ]
}
