/** What operators count about transactions, and about statements that are run again. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { DsqlError } from "../Errors.js"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const attempts = counter("dsql_attempts_total", "Transactions and retried statements that were run, by name")
const retries = counter("dsql_retries_total", "Those of them that were run again, by name and by the error's tag")
const conflicts = counter("dsql_conflicts_total", "Those of them that lost a conflict, by name and reason")
const unknownOutcomes = counter("dsql_unknown_outcomes_total", "Those of them whose answer was lost, by name")

const add = (metric: Metric.Metric.Counter<number>, name: string, label?: readonly [key: string, value: string]) => {
  const named = Metric.tagged(metric, "name", name)
  return Metric.increment(label === undefined ? named : Metric.tagged(named, ...label))
}

/** Counts an attempt that is over, by what its server or connection has failed with. */
export type Attempted = (name: string, failure: DsqlError | undefined) => Effect.Effect<void>

export const makeAttempted = (): Attempted => {
  // Making a labelled metric costs more than counting on it.
  const byName = new Map<string, Effect.Effect<void>>()
  const attempt = (name: string): Effect.Effect<void> => {
    const known = byName.get(name) ?? add(attempts, name)
    byName.set(name, known)
    return known
  }
  return (name, failure) => {
    if (failure === undefined) return attempt(name)
    if (failure._tag === "DsqlConflictError") {
      return Effect.zipRight(attempt(name), add(conflicts, name, ["reason", failure.reason]))
    }
    const unknown = failure._tag === "DsqlCommitOutcomeUnknownError" || (failure as Lost).outcomeUnknown === true
    return unknown ? Effect.zipRight(attempt(name), add(unknownOutcomes, name)) : attempt(name)
  }
}

type Lost = { readonly outcomeUnknown?: boolean | undefined }

export const repeated = (name: string, cause: DsqlError): Effect.Effect<void> =>
  add(retries, name, ["error", cause._tag])
