import type { Row } from "../internalSession.js"
import type { Observer } from "./observer.js"

/**
 * A lock leaves no trace in PostgreSQL once its transaction has committed, but on the service whoever locked a row and
 * committed first wins. So the rows that a transaction locked and did not write are remembered as long as another is open
 * that was there before.
 */
interface Footprint {
  /** Whose they are. */
  readonly owner: object
  /** The rows by their table and key, with the strongest lock on each. */
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

/** Only locks without a write need to be remembered: a write is a new version of the row. */
const isLockOnly = (mode: string): boolean => mode.startsWith("For ") || mode === "Key Share"

/** Section "Concurrency control" of the service's guide. */
const areCompatible = (one: Strength, other: Strength): boolean =>
  one !== "keyUpdate" && other !== "keyUpdate" && (one === "keyShare" || other === "keyShare")

/** Locks of a whole table that PostgreSQL takes where rows are locked, and where they are written. */
const lockingModes = "{RowShareLock}"
const allModes = "{RowShareLock,RowExclusiveLock}"

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

  /** Whether a transaction holds a row against one that it does not see. Rejects if that cannot be told. */
  async collide(owner: object, processId: number, since: number): Promise<boolean> {
    const unseen = this.#footprints.filter((footprint) => footprint.owner !== owner && footprint.committedAt > since)
    if (unseen.length === 0) return false
    const held = await this.#rowsOf(processId, allModes)
    return held.some(([row, mode]) =>
      unseen.some(({ rows }) => {
        const other = rows.get(row)
        return other !== undefined && !areCompatible(strengths[mode] ?? "keyUpdate", other)
      })
    )
  }

  /**
   * Remembers what a transaction has locked that is about to commit. Must be told when it has, or that it has not.
   * `undefined` if it has locked nothing.
   */
  async leave(
    owner: object,
    processId: number
  ): Promise<{ readonly settle: (committedAt: number | undefined) => void } | undefined> {
    const rows = new Map<string, Strength>()
    for (const [row, mode] of await this.#rowsOf(processId, lockingModes)) {
      const strength = strengths[mode] ?? "keyUpdate"
      if (isLockOnly(mode) && rows.get(row) !== "keyUpdate") rows.set(row, strength)
    }
    if (rows.size === 0) return undefined
    const footprint: Footprint = { owner, rows, committedAt: Number.POSITIVE_INFINITY }
    this.#footprints = [...this.#footprints, footprint]
    const settle = (committedAt: number | undefined): void => {
      if (committedAt !== undefined) footprint.committedAt = committedAt
      else this.#footprints = this.#footprints.filter((other) => other !== footprint)
    }
    return { settle }
  }

  async #rowsOf(processId: number, tableLocks: string): Promise<ReadonlyArray<readonly [row: string, mode: string]>> {
    const rows = await this.#observer.query(
      `SELECT relation, key, mode FROM _dsql.footprint(${processId}, '${tableLocks}')`
    )
    return rows.map(([relation, key, mode]: Row) => [`${relation} ${key}`, mode ?? ""] as const)
  }
}
