/** The tree of commands, and how it runs: errors on standard error as one line, exit code 1. */
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { version } from "../internal/version.js"
import { local } from "./local.js"

const command = Command.make("effect-dsql").pipe(
  Command.withDescription("Aurora DSQL from the command line."),
  Command.withSubcommands([local])
)

const main = Command.run(command, { name: "effect-dsql", version })

export const run = (argv: ReadonlyArray<string>): void =>
  main(argv).pipe(
    // What is wrong with the arguments has been printed by then; what nobody expected is shown whole.
    Effect.tapDefect((defect) => Console.error(Cause.pretty(defect))),
    Effect.tapError((error) => (ValidationError.isValidationError(error) ? Effect.void : Console.error(error.message))),
    Effect.provide(NodeContext.layer),
    NodeRuntime.runMain({ disableErrorReporting: true })
  )
