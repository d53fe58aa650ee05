import type { Batch } from "../batches.js"
import type { Act } from "../statements/book.js"
import { type Expectation, SessionEnded } from "./dialogue.js"

type Answers = Parameters<Expectation["onAnswered"]>[0]

/** Batches that one Sync ends, what they run, and what became of them. Only whoever waits pays for a promise. */
export class PendingUnit implements Expectation {
  readonly batches: Array<Batch> = []
  readonly acts: Array<Act> = []
  readonly #settle: (unit: PendingUnit, answers: Answers) => void
  #state: "pending" | "failed" | "answered" | "ended" = "pending"
  #wakeUps: Array<() => void> = []

  /** `settle` is called before anybody who waits goes on. */
  constructor(settle: (unit: PendingUnit, answers: Answers) => void) {
    this.#settle = settle
  }

  answered(): Promise<void> {
    return this.#reached(() => this.#state === "answered")
  }

  /** Resolves also when only an error has come so far. */
  answeredOrFailed(): Promise<void> {
    return this.#reached(() => this.#state !== "pending")
  }

  onError(): void {
    this.#enter("failed")
  }

  onAnswered(answers: Answers): void {
    this.#settle(this, answers)
    this.#enter("answered")
  }

  onEnded(): void {
    this.#enter("ended")
  }

  #enter(state: "failed" | "answered" | "ended"): void {
    this.#state = state
    for (const wakeUp of this.#wakeUps.splice(0)) wakeUp()
  }

  async #reached(isReached: () => boolean): Promise<void> {
    while (this.#state !== "ended" && !isReached()) await new Promise<void>((resolve) => this.#wakeUps.push(resolve))
    if (this.#state === "ended") throw new SessionEnded()
  }
}
