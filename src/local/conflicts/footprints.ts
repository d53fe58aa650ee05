import type { Row } from "../internalSession.js"
import type { Observer } from "./observer.js"

/**
 * A lock leaves no trace in PostgreSQL once its transaction has committed, nor does a row that is gone stop another from
 * inserting its key; but on the service whoever commits first wins. So the rows that a transaction locked or removed are
 * remembered as long as another is open that was there before.
 */
interface Footprint {
  /** The rows by their table and key, with the strongest hold on each. */
  readonly rows: ReadonlyMap<string, Strength>
  /** When its COMMIT was answered, as a number of commits; infinite before. */
  committedAt: number
}

/** How strongly a row is held, in the order of the matrix that the service publishes. */
type Strength = "keyShare" | "update" | "keyUpdate"

/** PostgreSQL's names of its lock modes, as pgrowlocks gives them. */
const strengths: Readonly<Record<string, Strength>> = {
  "For Key Share": "keyShare",
  "Key Share": "keyShare",
  "For No Key Update": "update",
  "No Key Update": "update",
  "For Update": "keyUpdate",
  Update: "keyUpdate"
}

/** Other writes leave a trace: the new version of the row. */
const leavesNoTrace = (mode: string): boolean => mode !== "No Key Update"

/** Section "Concurrency control" of the service's guide. */
const areCompatible = (one: Strength, other: Strength): boolean =>
  one !== "keyUpdate" && other !== "keyUpdate" && (one === "keyShare" || other === "keyShare")

/** Rows as `table:key`, each with a mode of PostgreSQL's. */
export type Held = ReadonlyArray<readonly [row: string, mode: string]>

/** A transaction that is about to commit. */
export interface Holder {
  readonly processId: number
  readonly since: number | undefined
  /**
   * What only it sees of what it holds: of the given tables also what it has written, and of rows that it has updated those
   * that it has removed since. Rejects if it cannot tell.
   */
  readonly ownRows: (tables: ReadonlyArray<string>, updated: ReadonlyArray<string>) => Promise<Held>
}

export class Footprints {
  readonly #observer: Observer
  #footprints: ReadonlyArray<Footprint> = []

  constructor(observer: Observer) {
    this.#observer = observer
  }

  /** Forgets those that no open transaction can collide with any more. */
  forget(oldest: number): void {
    if (this.#footprints.length > 0) {
      this.#footprints = this.#footprints.filter(({ committedAt }) => committedAt > oldest)
    }
  }

  /**
   * What a transaction that is about to commit holds, as far as it can matter: to one that it does not see, or, if it may leave
   * something to be remembered, to those that come after. Rejects if it cannot be told.
   */
  async heldBy({ ownRows, processId, since }: Holder, mayLeave: boolean): Promise<Held> {
    const unseen = this.#unseenSince(since)
    if (unseen.length === 0 && !mayLeave) return []
    const tables = new Set(unseen.flatMap(({ rows }) => [...rows.keys()].map((row) => row.slice(0, row.indexOf(":")))))
    const rows = await this.#observer.query(`SELECT held, mode FROM _dsql.footprint(${processId})`)
    const held = rows.map(([row, mode]: Row) => [row ?? "", mode ?? ""] as const)
    const updated = held.flatMap(([row, mode]) => (leavesNoTrace(mode) ? [] : [row]))
    return [...held, ...(await ownRows([...tables], updated))]
  }

  /** Whether one of these rows is held against a transaction that has committed since. */
  collide(held: Held, since: number | undefined): boolean {
    const unseen = this.#unseenSince(since)
    return held.some(([row, mode]) =>
      unseen.some(({ rows }) => {
        const other = rows.get(row)
        return other !== undefined && !areCompatible(strengths[mode] ?? "keyUpdate", other)
      })
    )
  }

  /**
   * Remembers what of these rows a transaction that is about to commit has locked or removed. Must be told when it has, or that
   * it has not. `undefined` if there is nothing.
   */
  leave(held: Held): { readonly settle: (committedAt: number | undefined) => void } | undefined {
    const rows = new Map<string, Strength>()
    for (const [row, mode] of held) {
      if (leavesNoTrace(mode) && rows.get(row) !== "keyUpdate") rows.set(row, strengths[mode] ?? "keyUpdate")
    }
    if (rows.size === 0) return undefined
    const footprint: Footprint = { rows, committedAt: Number.POSITIVE_INFINITY }
    this.#footprints = [...this.#footprints, footprint]
    const settle = (committedAt: number | undefined): void => {
      if (committedAt !== undefined) footprint.committedAt = committedAt
      else this.#footprints = this.#footprints.filter((other) => other !== footprint)
    }
    return { settle }
  }

  #unseenSince(since = 0): ReadonlyArray<Footprint> {
    return this.#footprints.filter(({ committedAt }) => committedAt > since)
  }
}
