import { Texts } from "../statements/texts.js"
import { AutocommitGate } from "./autocommitGate.js"
import { type Facts, readFacts } from "./facts.js"
import { Footprints } from "./footprints.js"
import { Observer } from "./observer.js"

/** One of the sessions of a cluster, as the others have to deal with it. */
export interface Participant {
  readonly processId: number
  /** Since when it is in a transaction, as a number of commits; `undefined` if it is in none. */
  readonly since: number | undefined
  /** Whether PostgreSQL is at work for it, or about to be. */
  readonly isBusy: boolean
  /** Makes it give up its locks until it needs them again; resolves when it has. `undefined` if it cannot. */
  readonly yieldLocks: () => Promise<void> | undefined
  /** Ends its transaction for the sake of a change of the schema. */
  readonly endForSchema: () => void
  /** Its client asks PostgreSQL to cancel what it does. */
  readonly expectCancel: () => void
  /** Learns of the schema as it is now. */
  readonly knowSchema: () => void
}

/** A participant that waits for PostgreSQL and may be blocked by others. */
export interface Watched {
  /** Whether it is blocked by somebody who will not get out of the way. */
  readonly isHopeless: boolean
  /** Whether it was seen that somebody blocks it. */
  readonly wasBlocked: boolean
  /** Resolves when those who were asked to get out of the way have done so. */
  readonly helped: () => Promise<unknown>
  readonly done: () => void
}

interface Watch {
  readonly isSchemaChange: boolean
  readonly since: number
  isHopeless: boolean
  looks: number
  readonly helpers: Array<Promise<void>>
}

/** How often it is looked whether somebody is blocked, in milliseconds. */
const lookInterval = 1

/** After so many looks a change of the schema does not wait any more for statements that are at work. */
const patience = 3

/** How one session of a cluster knows of the others. */
export class Coordinator {
  readonly texts = new Texts()
  readonly footprints: Footprints
  readonly autocommits = new AutocommitGate()
  readonly #observer: Observer
  readonly #participants = new Map<number, Participant>()
  readonly #watches = new Map<Participant, Watch>()
  #timer: NodeJS.Timeout | undefined
  #lastTurn: Promise<unknown> = Promise.resolve()
  #facts: Facts | undefined
  #commits = 0
  #schemaChanges = 0

  constructor(socketPath: string, user: string, database: string) {
    this.#observer = new Observer(socketPath, user, database)
    this.footprints = new Footprints(this.#observer)
  }

  join(participant: Participant): void {
    this.#participants.set(participant.processId, participant)
  }

  leave(participant: Participant): void {
    // PostgreSQL may have given its process id to another since.
    if (this.#participants.get(participant.processId) === participant) {
      this.#participants.delete(participant.processId)
    }
    this.#watches.delete(participant)
  }

  /** By the body of a CancelRequest, which begins with the process id. */
  expectCancel(key: Buffer): void {
    if (key.length >= 4) this.#participants.get(key.readUInt32BE(0))?.expectCancel()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#observer.close()
  }

  /** How many transactions have committed a write so far. */
  get commits(): number {
    return this.#commits
  }

  /** How often the schema has changed so far. */
  get schemaChanges(): number {
    return this.#schemaChanges
  }

  countCommit(): number {
    return ++this.#commits
  }

  /** Whoever made it knows of it; a job that did is no participant. */
  countSchemaChange(participant?: Participant): void {
    this.#facts = undefined
    this.#schemaChanges++
    this.countCommit()
    participant?.knowSchema()
  }

  /** What is known of the schema as it is now, if it is known. */
  get facts(): Facts | undefined {
    return this.#facts
  }

  async learnFacts(): Promise<Facts> {
    for (;;) {
      const schema = this.#schemaChanges
      const facts = this.#facts ?? (await readFacts(this.#observer))
      if (schema === this.#schemaChanges) return (this.#facts = facts)
    }
  }

  /** Whether another participant is in a transaction. */
  isAnyOpenBeside(participant: Participant): boolean {
    for (const other of this.#participants.values()) {
      if (other !== participant && other.since !== undefined) return true
    }
    return false
  }

  /** Whether another participant may be writing at this moment. */
  isAnyAtWorkBeside(participant: Participant): boolean {
    return this.#watches.size > (this.#watches.has(participant) ? 1 : 0)
  }

  forgetFootprints(): void {
    let oldest = this.#commits
    for (const { since } of this.#participants.values()) oldest = Math.min(oldest, since ?? oldest)
    this.footprints.forget(oldest)
  }

  /** Asks the observer for one value. */
  async ask(sql: string): Promise<string | undefined> {
    const [row] = await this.#observer.query(sql)
    return row?.[0] ?? undefined
  }

  /** Runs tasks in which locks are taken anew one after the other, or they would take them from one another for ever. */
  inTurn<A>(task: () => Promise<A>): Promise<A> {
    const turn = this.#lastTurn.then(task, task)
    this.#lastTurn = turn.catch(() => {})
    return turn
  }

  /** Gets those out of the way that block a participant, until it is done. */
  watch(participant: Participant, isSchemaChange = false): Watched {
    const watch: Watch = { isSchemaChange, since: performance.now(), isHopeless: false, looks: 0, helpers: [] }
    this.#watches.set(participant, watch)
    if (this.#watches.size > 1 || this.isAnyOpenBeside(participant)) this.#lookSoon()
    return {
      get isHopeless() {
        return watch.isHopeless
      },
      get wasBlocked() {
        return watch.looks > 0
      },
      helped: () => Promise.all(watch.helpers),
      done: () => void (this.#watches.get(participant) === watch && this.#watches.delete(participant))
    }
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => this.#look(), lookInterval)
  }

  async #look(): Promise<void> {
    const latest = performance.now() - lookInterval
    const watched = [...this.#watches].flatMap(([{ processId }, { since }]) => (since <= latest ? processId : []))
    if (watched.length > 0) {
      const blocked = await this.#observer
        .query(`SELECT id, pg_blocking_pids(id) FROM unnest('{${watched.join(",")}}'::int[]) AS id`)
        .catch(() => [])
      for (const [id, blockers] of blocked) this.#help(Number(id), (blockers ?? "").match(/\d+/g) ?? [])
    }
    this.#timer = undefined
    if (this.#watches.size > 0) this.#lookSoon()
  }

  #help(id: number, blockers: ReadonlyArray<string>): void {
    const participant = this.#participants.get(id)
    const watch = participant === undefined ? undefined : this.#watches.get(participant)
    if (watch === undefined) return
    watch.isHopeless = false
    // Those that are not known here are about to end: a client that has gone, or a job that will try again.
    const others = blockers.flatMap((blocker) => this.#participants.get(Number(blocker)) ?? [])
    if (others.length > 0) watch.looks++
    for (const other of others) {
      if (other.isBusy) {
        if (watch.isSchemaChange && watch.looks > patience) this.#cancel(other)
      } else if (watch.isSchemaChange) other.endForSchema()
      else {
        const yielded = other.yieldLocks()
        if (yielded === undefined) watch.isHopeless = true
        else watch.helpers.push(yielded)
      }
    }
  }

  /** Whatever it does now fails; it takes that for what it is. */
  #cancel(participant: Participant): void {
    participant.endForSchema()
    this.#observer.query(`SELECT pg_cancel_backend(${participant.processId})`).catch(() => {})
  }
}
