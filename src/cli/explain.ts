/** What `effect-dsql local --explain-sql FILE` prints, and whether all of the file can be run. */
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import type { Explained } from "../local/judging/explain.js"
import { load } from "./load.js"

const widest = 100

const shortened = (text: string): string => (text.length > widest ? `${text.slice(0, widest - 1)}…` : text)

const describe = ({ line, statement, verdict }: Explained, file: string): string => {
  const place = `${file}:${line}`
  const shown = shortened(statement)
  switch (verdict._tag) {
    case "Accepted":
      return `${place}  accepted    ${shown}`
    case "Unjudged":
      return `${place}  unjudged    ${shown}`
    case "Unreadable":
      return `${place}  unreadable  ${shown}`
    case "Refused": {
      const { message, rule, sqlState } = verdict.refusal
      return `${place}  refused     ${shown}\n    ${sqlState} ${message} (rule ${rule.id}, ${rule.mark})`
    }
  }
}

const stops = ({ verdict }: Explained): boolean => verdict._tag === "Refused" || verdict._tag === "Unreadable"

/** One line for each statement, two for those that are refused. */
export const explainFile = (file: string) =>
  Effect.gen(function* () {
    const { explainSql } = yield* load(() => import("../local/judging/explain.js"))
    const explained = yield* Effect.tryPromise({
      try: async () => explainSql(await readFile(file, "utf8")),
      catch: (error) =>
        new Error(`${file} cannot be explained: ${error instanceof Error ? error.message : String(error)}`)
    })
    const stopping = explained.filter(stops).length
    const summary = `${explained.length} statements, ${stopping} of which Aurora DSQL would not run`
    return { text: [...explained.map((one) => describe(one, file)), summary].join("\n"), isFine: stopping === 0 }
  })
