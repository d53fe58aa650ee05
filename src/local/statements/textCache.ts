/** How many texts are remembered, and how long they may be, in UTF-16 code units. */
const countLimit = 2_000
const shortLimit = 10_000

/** An INSERT with as many parameters as the protocol allows is shorter. */
const longLimit = 500_000

/**
 * Remembers what was found in texts of SQL, since clients send the same ones again and again: together some megabytes at the
 * most. Of the longer ones it remembers the last, which more than one asks about while it is run.
 */
export class TextCache<A> {
  readonly #find: (sql: string) => A
  readonly #known = new Map<string, A>()
  #lastLong: { readonly sql: string; readonly found: A } | undefined

  constructor(find: (sql: string) => A) {
    this.#find = find
  }

  /** How many texts it remembers now. */
  get size(): number {
    return this.#known.size
  }

  read(sql: string): A {
    if (sql.length <= shortLimit) return this.#readShort(sql)
    return sql.length <= longLimit ? this.#readLong(sql) : this.#find(sql)
  }

  #readShort(sql: string): A {
    if (this.#known.has(sql)) return this.#known.get(sql)!
    const found = this.#find(sql)
    if (this.#known.size >= countLimit) this.#known.clear()
    this.#known.set(sql, found)
    return found
  }

  #readLong(sql: string): A {
    if (this.#lastLong?.sql !== sql) this.#lastLong = { sql, found: this.#find(sql) }
    return this.#lastLong.found
  }
}
