import { isSettable } from "../core/rules/settings.js"
import type { Parameters } from "./wire.js"

/** What a start-up message holds beside settings. */
const noSettings: ReadonlySet<string> = new Set(["user", "database", "options", "replication"])

/** A setting in the start-up message, or in its options, that a session may not have. */
export const refusedSetting = (parameters: Parameters): string | undefined =>
  parameters
    .flatMap(([name, value]) => (name === "options" ? settingsIn(value) : noSettings.has(name) ? [] : [name]))
    .find((name) => !isSettable(name))

/** The names in `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps a space within a word. */
const settingsIn = (options: string): ReadonlyArray<string> => {
  const words = (options.match(/(?:\\[^]|[^\s\\])+/g) ?? []).map((word) => word.replaceAll(/\\([^])/g, "$1"))
  return words.flatMap((word, index) => {
    const setting = word === "-c" ? words[index + 1] : (/^(?:-c|--)([^]+)$/.exec(word)?.[1] ?? undefined)
    // As in PostgreSQL, dashes in the name stand for underscores.
    return setting === undefined ? [] : [setting.split("=", 1)[0]!.replaceAll("-", "_")]
  })
}
