/** Where a region comes from when neither the options nor the host name it. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { isRegion } from "../core/endpoint.js"
import { DsqlConfigError } from "../Errors.js"
import { exportsOf } from "./commonJs.js"
import { read, textVariable } from "./variables.js"

interface Found {
  readonly region: string | undefined
  /** Where it stands. */
  readonly source: string
}

const unreadable = (cause: unknown) =>
  new DsqlConfigError({
    reason: "InvalidOption",
    option: "region",
    detail: "the AWS config files, where a profile says its region, could not be read",
    cause
  })

/** In the order of the AWS SDK: what `~/.aws/credentials` says of a profile goes before `~/.aws/config`. */
const ofProfile = (profile: string | undefined): Effect.Effect<Found, DsqlConfigError> =>
  Effect.gen(function* () {
    const [environmentProfile, configFilepath, filepath] = yield* read(
      Config.all([
        textVariable("AWS_PROFILE"),
        textVariable("AWS_CONFIG_FILE"),
        textVariable("AWS_SHARED_CREDENTIALS_FILE")
      ])
    )
    const { configFile, credentialsFile } = yield* Effect.tryPromise({
      try: async () => {
        const { loadSharedConfigFiles } = exportsOf(await import("@smithy/core/config"))
        return loadSharedConfigFiles({
          ignoreCache: true,
          ...(configFilepath === undefined ? {} : { configFilepath }),
          ...(filepath === undefined ? {} : { filepath })
        })
      },
      catch: unreadable
    })
    const name = profile ?? environmentProfile ?? "default"
    return {
      region: credentialsFile[name]?.["region"] ?? configFile[name]?.["region"],
      source: `region (of the AWS profile ${name})`
    }
  })

const ofEnvironment: Effect.Effect<Found, DsqlConfigError> = Effect.map(
  read(Config.all([textVariable("AWS_REGION"), textVariable("AWS_DEFAULT_REGION")])),
  ([region, defaultRegion]) =>
    region === undefined ? { region: defaultRegion, source: "AWS_DEFAULT_REGION" } : { region, source: "AWS_REGION" }
)

/** `AWS_REGION`, `AWS_DEFAULT_REGION`, then the region of the profile that the credentials come from. */
export const regionElsewhere = (profile: string | undefined): Effect.Effect<string | undefined, DsqlConfigError> =>
  ofEnvironment.pipe(
    Effect.flatMap((found) => (found.region === undefined ? ofProfile(profile) : Effect.succeed(found))),
    Effect.filterOrFail(
      ({ region }) => region === undefined || isRegion(region),
      ({ region, source }) =>
        new DsqlConfigError({
          reason: "InvalidOption",
          option: source,
          detail: `"${region}" is not an AWS region; one looks like us-east-1`
        })
    ),
    Effect.map(({ region }) => region)
  )
