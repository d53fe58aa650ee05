/** Settings from the environment, through Effect's `Config`, with errors that name the variable. */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { DsqlConfigError } from "../Errors.js"
import { missingHost } from "./checks.js"

/** The variable and what is wrong with it, out of the tree that a `ConfigError` is. */
const leafOf = (error: ConfigError.ConfigError): { readonly path: string; readonly text: string; missing: boolean } => {
  if (error._op === "And" || error._op === "Or") {
    const left = leafOf(error.left)
    return left.missing ? leafOf(error.right) : left
  }
  return { path: error.path.join("_"), text: error.message, missing: error._op === "MissingData" }
}

const fromConfigError = (error: ConfigError.ConfigError): DsqlConfigError => {
  const leaf = leafOf(error)
  if (!leaf.missing) {
    const reason = leaf.path === "DSQL_URL" ? "InvalidConnectionString" : "InvalidOption"
    return new DsqlConfigError({ reason, option: leaf.path, detail: leaf.text })
  }
  return leaf.path === "DSQL_HOST"
    ? missingHost(leaf.path)
    : new DsqlConfigError({ reason: "Missing", option: leaf.path, detail: "is not set" })
}

export const read = <A>(config: Config.Config<A>): Effect.Effect<A, DsqlConfigError> =>
  Effect.mapError(config, fromConfigError)

/** An empty variable counts as one that is not set, as shells and containers often spell it. */
export const parsedVariable = <A>(
  name: string,
  parse: (text: string) => Either.Either<A, string>
): Config.Config<A | undefined> =>
  Config.string(name).pipe(
    Config.withDefault(""),
    Config.mapOrFail((text) => {
      const trimmed = text.trim()
      return trimmed === ""
        ? Either.right(undefined)
        : Either.mapLeft(parse(trimmed), (detail) => ConfigError.InvalidData([name], detail))
    })
  )

export const variable = <A>(name: string, form: string, parse: (text: string) => Option.Option<A>) =>
  parsedVariable(name, (text) => Either.fromOption(parse(text), () => `must be ${form}, not "${text}"`))

export const textVariable = (name: string) => variable(name, "text", Option.some)

export const integerVariable = (name: string) =>
  variable(name, "a whole number", (text) => (/^\d{1,9}$/.test(text) ? Option.some(Number(text)) : Option.none()))
