/** Completion scripts where those of `@effect/cli` do not work. */
import * as Command from "@effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

/** Whether that is all that is asked for. The scripts for zsh and fish are left to `@effect/cli`. */
export const wantsBashCompletions = (argv: ReadonlyArray<string>): boolean =>
  /^--completions[= ](?:ba)?sh$/.test(argv.slice(2).join(" "))

/**
 * The script of `@effect/cli` 0.77 knows a command with a dash in its name by two names, as it is and with underscores in
 * its place, and never gets from the one to the other: nothing below the command is completed. Here it has one.
 */
export const bashCompletions = <Name extends string, R, E, A>(
  command: Command.Command<Name, R, E, A>,
  name: string
): Effect.Effect<void> => {
  const known = name.replaceAll("-", "__")
  return Effect.flatMap(Command.getBashCompletions(command, name), (lines) =>
    Console.log(
      lines
        .map((line) =>
          line.replace(`cmd="${name}"`, `cmd="${known}"`).replace(new RegExp(`^(\\s*)${name}\\)$`), `$1${known})`)
        )
        .join("\n")
    )
  )
}
