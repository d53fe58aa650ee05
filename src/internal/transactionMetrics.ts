/** What operators count about transactions, and about statements that are run again. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { DsqlError } from "../Errors.js"
import * as metrics from "./metrics.js"
import { event } from "./spans.js"

export interface TransactionMetrics {
  /** Counts an attempt that is over, by what its server or connection has failed with. */
  readonly attempted: (name: string, failure: DsqlError | undefined) => Effect.Effect<void>
  /** Counts what has succeeded in the end, by how many attempts it took. */
  readonly committed: (name: string, attempts: number) => Effect.Effect<void>
}

const named = (name: string) => {
  const perCommit = metrics.labelled(metrics.attemptsPerCommit, { name })
  return {
    attempt: Metric.increment(metrics.labelled(metrics.attempts, { name })),
    committed: (attempts: number) => Metric.update(perCommit, attempts)
  }
}

type Lost = { readonly outcomeUnknown?: boolean | undefined }

const isUnknown = (failure: DsqlError): boolean =>
  failure._tag === "DsqlCommitOutcomeUnknownError" || (failure as Lost).outcomeUnknown === true

export const make = (): TransactionMetrics => {
  // Finding a labelled metric costs more than counting on it.
  const byName = new Map<string, ReturnType<typeof named>>()
  const of = (name: string) => {
    const known = byName.get(name) ?? named(name)
    byName.set(name, known)
    return known
  }
  return {
    attempted: (name, failure) => {
      const { attempt } = of(name)
      if (failure === undefined) return attempt
      if (failure._tag === "DsqlConflictError") {
        const { reason } = failure
        const conflict = Metric.increment(metrics.labelled(metrics.conflicts, { name, reason }))
        return Effect.all([attempt, conflict, event("dsql.conflict", { "dsql.reason": reason })], { discard: true })
      }
      return isUnknown(failure)
        ? Effect.zipRight(attempt, Metric.increment(metrics.labelled(metrics.unknownOutcomes, { name })))
        : attempt
    },
    committed: (name, attempts) => of(name).committed(attempts)
  }
}

/** Counts an attempt that is run again, and what time was lost with it, in milliseconds. */
export const repeated = (name: string, cause: DsqlError, lost: number): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(metrics.labelled(metrics.retries, { name, error: cause._tag })),
    Metric.incrementBy(metrics.labelled(metrics.retryTime, { name }), lost / 1000)
  )
