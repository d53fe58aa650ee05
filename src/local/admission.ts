import type { Faults } from "./faults/faults.js"
import type { Limits } from "./limits.js"
import { clusterWaking, connectRateExceeded, tooManyConnections } from "./refusals.js"
import type { SessionClock } from "./sessionClock.js"
import type { ErrorFields } from "./wire.js"

export interface AdmissionLimits extends Limits {
  /** After which a cluster without connections is inactive; `undefined` for never. */
  readonly idleTime: number | undefined
  /** How long it takes to wake up. */
  readonly wakeTime: number
}

export type Verdict =
  | { readonly _tag: "Admitted" }
  | { readonly _tag: "Refused"; readonly error: ErrorFields }
  /** The connection breaks. */
  | { readonly _tag: "Dropped" }

interface Closable {
  readonly once: (event: "close", listener: () => void) => unknown
  readonly destroy: () => unknown
  readonly destroyed: boolean
}

/** Decides who is let in of those who may log in, and until when. */
export class Admission {
  readonly #limits: AdmissionLimits
  readonly #clock: SessionClock
  readonly #faults: Faults
  #connections = 0
  /** How many may still come at once, as it was at a time. */
  #left: number
  #leftAt: number
  #idleSince: number
  #isInactive = false
  #wakesAt = Number.NEGATIVE_INFINITY

  constructor(limits: AdmissionLimits, clock: SessionClock, faults: Faults) {
    this.#limits = limits
    this.#clock = clock
    this.#faults = faults
    this.#left = limits.connectBurst
    this.#leftAt = this.#idleSince = clock.now()
  }

  /** From now on the cluster must be woken up. */
  inactivate(): void {
    this.#isInactive = true
  }

  async decide(client: Closable): Promise<Verdict> {
    const delay = this.#faults.takeDelay("connect")
    if (delay !== undefined) await new Promise<void>((resolve) => this.#clock.after(delay, resolve))
    if (client.destroyed) return { _tag: "Dropped" }
    const fault = this.#faults.take("connect")?.what
    if (fault?._tag === "Drop") return { _tag: "Dropped" }
    const error = fault?.error ?? this.#refusal()
    if (error !== undefined) return { _tag: "Refused", error }
    this.#admit(client)
    return { _tag: "Admitted" }
  }

  #refusal(): ErrorFields | undefined {
    if (this.#isAsleep()) return clusterWaking
    if (this.#connections >= this.#limits.connections) return tooManyConnections
    const { connectBurst, connectRate } = this.#limits
    const now = this.#clock.now()
    this.#left = Math.min(connectBurst, this.#left + ((now - this.#leftAt) * connectRate) / 1000)
    this.#leftAt = now
    if (this.#left < 1) return connectRateExceeded
    this.#left--
    return undefined
  }

  /** The first who comes to an inactive cluster wakes it up, and is refused like all others until it is awake. */
  #isAsleep(): boolean {
    const { idleTime, wakeTime } = this.#limits
    const now = this.#clock.now()
    const isIdle = idleTime !== undefined && this.#connections === 0 && now - this.#idleSince >= idleTime
    if (this.#isInactive || isIdle) {
      this.#isInactive = false
      this.#wakesAt = now + wakeTime
      this.#idleSince = this.#wakesAt
    }
    return now < this.#wakesAt
  }

  #admit(client: Closable): void {
    this.#connections++
    const callOff = this.#clock.after(this.#limits.connectionLifetime, () => void client.destroy())
    client.once("close", () => {
      callOff()
      this.#connections--
      this.#idleSince = this.#clock.now()
    })
  }
}
