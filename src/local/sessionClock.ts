interface Timer {
  readonly time: number
  readonly task: () => void
}

/** The longest that Node's own timers wait, in milliseconds. */
const longestWait = 2 ** 31 - 1

const realTime = (): number => performance.timeOrigin + performance.now()

/**
 * The time that a cluster's ages, limits and jobs go by, in milliseconds since the epoch. It runs with the real time, ahead
 * of it by what a test has moved it. Whoever waits for a time waits here, so that moving the clock is enough to get there.
 */
export class SessionClock {
  readonly #realTime: () => number
  readonly #timers = new Set<Timer>()
  #ahead = 0
  #wakeUp: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(now: () => number = realTime) {
    this.#realTime = now
  }

  now(): number {
    return this.#realTime() + this.#ahead
  }

  /**
   * Moves the clock ahead. What is due on the way is done before this returns, each at its time and the earliest first,
   * also what is only asked for on the way.
   */
  advance(milliseconds: number): void {
    if (!(milliseconds >= 0 && milliseconds < Infinity))
      throw new RangeError(`The session clock moves ahead only, but was told ${milliseconds} ms.`)
    const target = this.now() + milliseconds
    for (let next = this.#earliest(); next !== undefined && next.time <= target; next = this.#earliest()) {
      this.#ahead += Math.max(0, next.time - this.now())
      this.#timers.delete(next)
      next.task()
    }
    this.#ahead += Math.max(0, target - this.now())
    this.#schedule()
  }

  /** Does something when that time has come. Gives back how to call it off. */
  at(time: number, task: () => void): () => void {
    const timer: Timer = { time, task }
    if (!this.#isClosed) this.#timers.add(timer)
    this.#schedule()
    return () => void this.#timers.delete(timer)
  }

  after(milliseconds: number, task: () => void): () => void {
    return this.at(this.now() + milliseconds, task)
  }

  /** Nothing comes due any more. */
  close(): void {
    this.#isClosed = true
    this.#timers.clear()
    clearTimeout(this.#wakeUp)
  }

  #earliest(): Timer | undefined {
    let earliest: Timer | undefined
    for (const timer of this.#timers) if (earliest === undefined || timer.time < earliest.time) earliest = timer
    return earliest
  }

  #schedule(): void {
    clearTimeout(this.#wakeUp)
    const next = this.#earliest()
    if (next === undefined) return
    // A process must not stay for it.
    this.#wakeUp = setTimeout(() => this.advance(0), Math.min(Math.ceil(next.time - this.now()), longestWait)).unref()
  }
}
