import { setTimeout as delay } from "node:timers/promises"
import { Gate } from "../gate.js"

/** How long a COMMIT waits for statements outside of transactions, in milliseconds. */
const patience = 100

/**
 * Statements outside of transactions commit by themselves, so nobody can look what they have done before they do. Where that
 * matters none of them may be under way.
 */
export class AutocommitGate {
  readonly #gate = new Gate()
  readonly #running = new Set<Promise<unknown>>()
  #exclusions = 0

  get isAnyRunning(): boolean {
    return this.#running.size > 0
  }

  /** Runs a statement as soon as it may. */
  async run<A>(statement: () => Promise<A>): Promise<A> {
    await this.#gate.opened()
    const running = statement()
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  /** Runs `task` while there are none, and gives `undefined` if that does not come about in time. */
  async without<A>(task: () => Promise<A>): Promise<A | undefined> {
    this.#exclusions++
    this.#gate.close()
    try {
      const isFree = await Promise.race([Promise.allSettled(this.#running), delay(patience, undefined, { ref: false })])
      return isFree === undefined ? undefined : await task()
    } finally {
      if (--this.#exclusions === 0) this.#gate.open()
    }
  }
}
