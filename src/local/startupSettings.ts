import { isSettable } from "../core/rules/settings.js"
import { storedSetting } from "./catalogs.js"
import type { Parameters } from "./wire.js"

/** What a start-up message holds beside settings. */
const noSettings: ReadonlySet<string> = new Set(["user", "database", "options", "replication"])

/** Names the cluster where the host name does not, as with an interface endpoint of PrivateLink; for the gateway alone. */
const clusterOption = "amzn_cluster_id"

/** A setting among the options of a start-up message, or a word there that is none. */
interface Option {
  /** With `_` for `-`, as PostgreSQL takes it. */
  readonly name: string | undefined
  readonly value: string
}

/** `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps a space within a word. */
const optionsIn = (text: string): ReadonlyArray<Option> => {
  const words = (text.match(/(?:\\[^]|[^\s\\])+/g) ?? []).map((word) => word.replaceAll(/\\([^])/g, "$1"))
  const joined = words.flatMap((word, index) =>
    words[index - 1] === "-c" ? [] : word === "-c" && index + 1 < words.length ? [`-c${words[index + 1]}`] : [word]
  )
  return joined.map((word) => {
    const [, name, value] = /^(?:-c|--)([^=]+)=([^]*)$/.exec(word) ?? []
    return name === undefined ? { name, value: word } : { name: name.replaceAll("-", "_"), value: value! }
  })
}

const textOf = (options: ReadonlyArray<Option>): string =>
  options
    .map(({ name, value }) => (name === undefined ? value : `-c${name}=${value}`).replaceAll(/[\s\\]/g, "\\$&"))
    .join(" ")

const settingsIn = (parameters: Parameters): ReadonlyArray<readonly [name: string, value: string]> =>
  parameters.flatMap(([name, value]) => {
    if (name !== "options") return noSettings.has(name) ? [] : [[name, value] as const]
    return optionsIn(value).flatMap(({ name, value }) => (name === undefined ? [] : [[name, value] as const]))
  })

const hasName = (name: string, wanted: string): boolean => name.toLowerCase() === wanted

/** The cluster that a client asks for by an option of its login, if it does. */
export const askedCluster = (parameters: Parameters): string | undefined =>
  settingsIn(parameters).findLast(([name]) => hasName(name, clusterOption))?.[1]

/** A setting of a login that a session may not have. */
export const refusedSetting = (parameters: Parameters): string | undefined =>
  settingsIn(parameters).find(([name]) => !isSettable(name) && !hasName(name, clusterOption))?.[0]

const ownSetting = "disable_sync_create_index"

/** Whether a login lets the session make indexes at once. */
export const mayBuildIndexes = (parameters: Parameters): boolean =>
  settingsIn(parameters).some(([name]) => hasName(name, ownSetting))

/** What PostgreSQL gets of a login: settings that are not its own under the names by which they are stored. */
export const storedParameters = (parameters: Parameters): Parameters =>
  parameters.map(([name, value]) => {
    if (hasName(name, ownSetting)) return [storedSetting, value]
    if (name !== "options") return [name, value]
    const options = optionsIn(value).filter(({ name }) => name === undefined || !hasName(name, clusterOption))
    const stored = options.map((option) =>
      option.name !== undefined && hasName(option.name, ownSetting) ? { ...option, name: storedSetting } : option
    )
    return [name, textOf(stored)]
  })
