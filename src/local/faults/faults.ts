import type { DropMoment, Step } from "../../core/faults.js"
import type { ErrorFields } from "../wire.js"
import { seeded } from "./seeded.js"

export type Fault =
  | { readonly _tag: "Fail"; readonly error: ErrorFields }
  /** The connection breaks. At any step but COMMIT that is before it is done. */
  | { readonly _tag: "Drop"; readonly moment: DropMoment }

export interface FaultOptions {
  /** How many steps it strikes. Default 1. */
  readonly times?: number | undefined
  /** How likely each step is struck, from 0 to 1; those that are not do not count. Default 1. */
  readonly probability?: number | undefined
  /** Where the random numbers for that begin. Default 0. */
  readonly seed?: number | undefined
}

/** A fault for one step, or a delay in milliseconds. */
export interface Claim<A> {
  readonly what: A
  /** It could not strike, so that the next step gets it. */
  readonly giveBack: () => void
}

/** What is still to come. */
export interface PendingFault {
  readonly step: Step
  readonly fault: Fault | { readonly _tag: "Delay"; readonly milliseconds: number }
  readonly times: number
  readonly probability: number
}

interface Entry<A> {
  readonly what: A
  readonly probability: number
  readonly strikes: () => boolean
  left: number
}

/** What waits for one step of whichever session comes to it, in the order in which it was asked for. */
class Line<A> {
  #entries: Array<Entry<A>> = []

  get entries(): ReadonlyArray<Entry<A>> {
    return this.#entries
  }

  add(what: A, { probability = 1, seed = 0, times = 1 }: FaultOptions): void {
    const random = seeded(seed)
    if (times > 0) this.#entries.push({ what, probability, strikes: () => random() < probability, left: times })
  }

  take(): Claim<A> | undefined {
    const entry = this.#entries.find(({ strikes }) => strikes())
    if (entry === undefined) return undefined
    if (--entry.left === 0) this.#entries.splice(this.#entries.indexOf(entry), 1)
    const giveBack = (): void => {
      if (entry.left++ === 0) this.#entries.unshift(entry)
    }
    return { what: entry.what, giveBack }
  }

  clear(): void {
    this.#entries = []
  }
}

const perStep = <A>(): Readonly<Record<Step, Line<A>>> => ({
  connect: new Line(),
  BEGIN: new Line(),
  statement: new Line(),
  COMMIT: new Line(),
  ROLLBACK: new Line()
})

/** What a test wants to go wrong in a cluster. All sessions ask here, and are struck in the order in which they come. */
export class Faults {
  readonly #faults = perStep<Fault>()
  readonly #delays = perStep<number>()

  failNext(step: Step, error: ErrorFields, options: FaultOptions = {}): void {
    this.#faults[step].add({ _tag: "Fail", error }, options)
  }

  /** Breaks the connection where the step would be done. */
  dropNext(step: Step, options: FaultOptions = {}): void {
    this.#faults[step].add({ _tag: "Drop", moment: "before" }, options)
  }

  dropAtCommit(moment: DropMoment, options: FaultOptions = {}): void {
    this.#faults.COMMIT.add({ _tag: "Drop", moment }, options)
  }

  delayNext(step: Step, milliseconds: number, options: FaultOptions = {}): void {
    this.#delays[step].add(milliseconds, options)
  }

  clear(): void {
    for (const line of [...Object.values(this.#faults), ...Object.values(this.#delays)]) line.clear()
  }

  /** Whether anything waits for a step of a session that is open. */
  get isArmed(): boolean {
    const waits = (lines: Readonly<Record<Step, Line<unknown>>>): boolean => {
      for (const step in lines) if (step !== "connect" && lines[step as Step].entries.length > 0) return true
      return false
    }
    return waits(this.#faults) || waits(this.#delays)
  }

  take(step: Step): Claim<Fault> | undefined {
    return this.#faults[step].take()
  }

  takeDelay(step: Step): number | undefined {
    return this.#delays[step].take()?.what
  }

  pending(): ReadonlyArray<PendingFault> {
    const steps = Object.keys(this.#faults) as ReadonlyArray<Step>
    return steps.flatMap((step) => [
      ...this.#faults[step].entries.map(({ left: times, probability, what: fault }) => ({
        step,
        fault,
        times,
        probability
      })),
      ...this.#delays[step].entries.map(({ left: times, probability, what: milliseconds }) => ({
        step,
        fault: { _tag: "Delay" as const, milliseconds },
        times,
        probability
      }))
    ])
  }
}
