/**
 * Transactions that read one row and write it back, by workers that do nothing else, against a store that decides as DSQL
 * does: at COMMIT, and for the first to commit. Time is simulated, chance is seeded.
 */

import { seeded } from "../../test/support/random.js"

/** How long to wait after the n-th failed attempt, in milliseconds; `undefined` gives up. `random` is in [0, 1). */
export interface Policy {
  readonly name: string
  readonly waitAfter: (attempts: number, random: number) => number | undefined
  /** No attempt begins later than this after the first, in milliseconds. */
  readonly deadline: number
}

export interface Setting {
  readonly workers: number
  /** The rows that the workers choose from, all equally likely. */
  readonly rows: number
  readonly seed: number
  /** How long workers begin new transactions, in simulated milliseconds. Those begun are played to their end. */
  readonly duration: number
}

export interface Result {
  readonly committed: number
  readonly givenUp: number
  readonly attempts: number
  /** From the first BEGIN to the answer of the last COMMIT, of committed transactions, sorted, in milliseconds. */
  readonly latencies: ReadonlyArray<number>
  /** Simulated milliseconds until the last worker stopped. */
  readonly elapsed: number
}

/** In milliseconds. Assumed, not measured: an application in the cluster's Region, and a COMMIT that is made durable. */
export const latency = { roundTrip: 1, roundTripTail: 0.5, commit: 6, commitTail: 3 } as const

interface Worker {
  readonly row: number
  readonly begun: number
  readonly attempts: number
  readonly snapshot: number
}

interface Event extends Worker {
  readonly at: number
  readonly kind: "Begin" | "Commit"
}

/** Events in order of time: a binary heap. */
class Agenda {
  readonly #heap: Array<Event> = []

  push(event: Event): void {
    const heap = this.#heap
    let index = heap.push(event) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (heap[parent]!.at <= event.at) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = event
  }

  pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let index = 0
    for (;;) {
      const left = 2 * index + 1
      if (left >= heap.length) break
      const least = left + 1 < heap.length && heap[left + 1]!.at < heap[left]!.at ? left + 1 : left
      if (heap[least]!.at >= last.at) break
      heap[index] = heap[least]!
      index = least
    }
    heap[index] = last
    return first
  }
}

export const simulate = (policy: Policy, { duration, rows, seed, workers }: Setting): Result => {
  const random = seeded(seed)
  const tail = (mean: number): number => -mean * Math.log(1 - random())
  const roundTrip = (): number => latency.roundTrip + tail(latency.roundTripTail)

  const agenda = new Agenda()
  const committedAt = new Float64Array(rows).fill(-1)
  const latencies: Array<number> = []
  let givenUp = 0
  let attempts = 0
  let elapsed = 0

  const startNew = (at: number): void => {
    elapsed = Math.max(elapsed, at)
    if (at < duration) {
      agenda.push({ kind: "Begin", at, row: Math.floor(random() * rows), begun: at, attempts: 1, snapshot: 0 })
    }
  }
  for (let worker = 0; worker < workers; worker++) startNew(random())

  for (let event = agenda.pop(); event !== undefined; event = agenda.pop()) {
    if (event.kind === "Begin") {
      attempts++
      const snapshot = event.at + roundTrip() / 2
      // The rest of BEGIN, then SELECT and UPDATE, and COMMIT on its way to the server.
      agenda.push({ ...event, kind: "Commit", snapshot, at: snapshot + roundTrip() + roundTrip() + roundTrip() })
      continue
    }
    if (committedAt[event.row]! <= event.snapshot) {
      committedAt[event.row] = event.at
      const answered = event.at + latency.commit + tail(latency.commitTail) + roundTrip() / 2
      latencies.push(answered - event.begun)
      startNew(answered)
      continue
    }
    const refused = event.at + roundTrip() / 2
    const wait = policy.waitAfter(event.attempts, random())
    const next = refused + (wait ?? 0)
    if (wait === undefined || next > event.begun + policy.deadline) {
      givenUp++
      startNew(refused)
    } else {
      agenda.push({ ...event, kind: "Begin", at: next, attempts: event.attempts + 1 })
    }
  }
  return { committed: latencies.length, givenUp, attempts, latencies: latencies.sort((a, b) => a - b), elapsed }
}
