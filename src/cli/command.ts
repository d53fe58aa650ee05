/** The tree of commands, and how it runs: errors on standard error as one line, exit code 1. */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { version } from "../internal/version.js"
import { bashCompletions, wantsBashCompletions } from "./completions.js"
import { doctor } from "./doctor.js"
import { local } from "./local.js"
import { migrate } from "./migrate.js"
import { roles } from "./roles.js"
import { token } from "./token.js"

const name = "effect-dsql"

const command = Command.make(name).pipe(
  Command.withDescription("Aurora DSQL from the command line."),
  Command.withSubcommands([doctor, local, migrate, roles, token])
)

const main = Command.run(command, {
  name,
  version,
  footer: HelpDoc.p(
    "Exit codes: 0 when all went well, 1 when not; standard error then says what was wrong. `doctor`, `migrate plan` and `migrate status` have more: see their --help."
  )
})

/** Standard output is for what was asked for. */
const logger = Logger.replace(Logger.defaultLogger, Logger.prettyLogger({ stderr: true }))

/** Who reads the output may have read enough, as `head` does: no error, but an end like any other, with all that was begun. */
const endWithReader = (): void => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error
    process.kill(process.pid, "SIGTERM")
  })
}

export const run = (argv: ReadonlyArray<string>): void => {
  endWithReader()
  const chosen = wantsBashCompletions(argv) ? bashCompletions(command, name) : main(argv)
  chosen.pipe(
    // What is wrong with the arguments has been printed by then; what nobody expected is shown whole.
    Effect.tapDefect((defect) => Console.error(Cause.pretty(defect))),
    Effect.tapError((error) => (ValidationError.isValidationError(error) ? Effect.void : Console.error(error.message))),
    Effect.provide([NodeContext.layer, logger]),
    NodeRuntime.runMain({ disableErrorReporting: true, disablePrettyLogger: true })
  )
}
