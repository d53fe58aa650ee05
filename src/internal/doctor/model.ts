/** What a step of the examination comes to, and how long it took. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Cure, Facts, Step, StepName } from "../../Doctor.js"
import type { DsqlError } from "../../Errors.js"

/** A step that has done its work, `value` being what later ones need of it. */
export interface Done<A> {
  readonly value: A
  readonly summary: string
  readonly facts?: Facts
  /** What is not as it should be, although it works. */
  readonly warning?: { readonly cause: string; readonly cures: ReadonlyArray<Cure> } | undefined
}

/** What is wrong. */
export interface Trouble {
  readonly summary: string
  readonly cause: string
  readonly cures: ReadonlyArray<Cure>
  readonly facts?: Facts
  /** What it was made from, for who has to look closer. It is not handed out. */
  readonly error?: DsqlError
}

/** A step that has run, or that could not for the sake of another. */
export interface Attempt<A> {
  readonly name: StepName
  readonly duration: number
  readonly result: Either.Either<Done<A>, Trouble | { readonly waitsFor: StepName; readonly summary: string }>
}

/** What nobody expects, above all from layers and functions of users, is a trouble as well. */
const unexpected = (defect: unknown): Trouble => ({
  summary: "failed unexpectedly",
  cause: defect instanceof Error ? defect.message : String(defect),
  cures: [{ kind: "change", text: "mend what is said here, in a layer or function of your own" }]
})

export const attempt = <A, R>(
  name: StepName,
  work: Effect.Effect<Done<A>, Trouble, R>
): Effect.Effect<Attempt<A>, never, R> =>
  Effect.gen(function* () {
    const started = yield* Clock.currentTimeNanos
    const result = yield* work.pipe(
      Effect.catchAllDefect((defect) => Effect.fail(unexpected(defect))),
      Effect.either
    )
    const ended = yield* Clock.currentTimeNanos
    return { name, duration: Number((ended - started) / 1000n) / 1000, result }
  })

export const waiting = (name: StepName, waitsFor: StepName, summary = `waits for ${waitsFor}`): Attempt<never> => ({
  name,
  duration: 0,
  result: Either.left({ waitsFor, summary })
})

/** What a step comes to without any work of its own. */
export const settled = <A>(name: StepName, result: Either.Either<Done<A>, Trouble>): Attempt<A> => ({
  name,
  duration: 0,
  result
})

/** The step that all goes back to, if this one has not done its work. */
export const obstacle = ({ name, result }: Attempt<unknown>): StepName | undefined =>
  Either.match(result, { onLeft: (left) => ("waitsFor" in left ? left.waitsFor : name), onRight: () => undefined })

/** Runs a step with what an earlier one has found, if it has. */
export const after = <A, B, R>(
  earlier: Attempt<A>,
  name: StepName,
  work: (value: A) => Effect.Effect<Done<B>, Trouble, R>
): Effect.Effect<Attempt<B>, never, R> =>
  Either.isRight(earlier.result)
    ? attempt(name, work(earlier.result.right.value))
    : Effect.succeed(waiting(name, obstacle(earlier)!))

export const stepOf = ({ duration, name, result }: Attempt<unknown>): Step => {
  if (Either.isRight(result)) {
    const { facts = {}, summary, warning } = result.right
    return warning === undefined
      ? { name, outcome: "ok", duration, summary, facts, cures: [] }
      : { name, outcome: "warning", duration, summary, facts, ...warning }
  }
  if ("waitsFor" in result.left) {
    const { summary, waitsFor } = result.left
    return { name, outcome: "skipped", duration, summary, facts: {}, cures: [], waitsFor }
  }
  const { cause, cures, facts = {}, summary } = result.left
  return { name, outcome: "failed", duration, summary, facts, cause, cures }
}
