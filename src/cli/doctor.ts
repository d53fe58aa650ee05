/** `effect-dsql doctor`: why can't I connect? Prints what `DsqlDoctor` finds. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Report, Step } from "../Doctor.js"
import { connectionOptions, type ConnectionGiven, providerWith, variablesGiven } from "./connectionOptions.js"
import { exitCodes, stepLines, verdictLine } from "./doctorReport.js"
import { load } from "./load.js"

const options = {
  ...connectionOptions,
  local: Options.boolean("local").pipe(
    Options.withDescription(
      "Examine a local cluster that is started for it, to see that this machine can run one. Default: the cluster of DSQL_HOST or DSQL_URL."
    )
  ),
  json: Options.boolean("json").pipe(
    Options.withDescription("Print one line of JSON, for programs: docs/doctor.md describes it.")
  )
}

/** `NO_COLOR` as on no-color.org. */
const look = () => ({ colours: process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "" })

type OnStep = (step: Step) => Effect.Effect<void>

const examineLocal = (onStep: OnStep) =>
  Effect.gen(function* () {
    const { make } = yield* load(() => import("../Local.js"))
    const { examine } = yield* load(() => import("../Doctor.js"))
    const { layerStatic } = yield* load(() => import("../Auth.js"))
    const cluster = yield* make()
    return yield* examine(cluster.options, { credentials: layerStatic(cluster.credentials), onStep })
  }).pipe(Effect.scoped)

const examineEnvironment = (given: ConnectionGiven, onStep: OnStep) =>
  Effect.gen(function* () {
    const { examineEnvironment } = yield* load(() => import("../Doctor.js"))
    return yield* Effect.configProviderWith((current) =>
      Effect.withConfigProvider(examineEnvironment({ onStep }), providerWith(variablesGiven(given), current))
    )
  })

export const doctor = Command.make("doctor", options, ({ json, local, ...given }) =>
  Effect.gen(function* () {
    const onStep: OnStep = json ? () => Effect.void : (step) => Console.log(stepLines(step, look()))
    const report: Report = yield* local ? examineLocal(onStep) : examineEnvironment(given, onStep)
    yield* Console.log(json ? JSON.stringify(report) : verdictLine(report, look()))
    yield* Effect.sync(() => void (process.exitCode = exitCodes[report.outcome]))
  })
).pipe(
  Command.withDescription(
    "Walks the way of a connection, step by step: configuration, credentials, region, DNS, TCP, TLS, clock, token, login, role, settings, a statement, limits. Says of each whether it works and, where it does not, why and what mends it. Changes nothing and prints no secret. Exit codes: 0 when all is well, 1 when a step failed, 2 when there are only warnings."
  )
)
