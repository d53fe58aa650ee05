/** The report while it is written: each step is told as soon as it is known. */
import * as Effect from "effect/Effect"
import type { Outcome, Report, Step } from "../../Doctor.js"
import { type Attempt, stepOf } from "./model.js"
import { withoutSecrets } from "./secrets.js"

const severity: Readonly<Record<Outcome, number>> = { ok: 0, skipped: 0, warning: 1, failed: 2 }

const worse = (worst: Report["outcome"], { outcome }: Step): Report["outcome"] =>
  outcome !== "skipped" && severity[outcome] > severity[worst] ? outcome : worst

export interface ReportRecord {
  /** Keeps these out of all that is added from now on. */
  readonly hide: (secrets: ReadonlyArray<string>) => void
  readonly add: (...attempts: ReadonlyArray<Attempt<unknown>>) => Effect.Effect<void>
  readonly report: () => Report
}

export const makeRecord = (onStep: (step: Step) => Effect.Effect<void> = () => Effect.void): ReportRecord => {
  const steps: Array<Step> = []
  const hidden: Array<string> = []
  return {
    hide: (secrets) => void hidden.push(...secrets),
    add: (...attempts) =>
      Effect.forEach(
        attempts,
        (attempt) =>
          Effect.suspend(() => {
            const step = withoutSecrets(stepOf(attempt), hidden)
            steps.push(step)
            return onStep(step)
          }),
        { discard: true }
      ),
    report: () => ({ version: 1, outcome: steps.reduce(worse, "ok"), steps: [...steps] })
  }
}
