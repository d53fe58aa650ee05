/** Something that can be held shut for a while, and whoever comes then waits. */
export class Gate {
  #opened: Promise<void> | undefined
  #release = (): void => {}
  readonly #listeners = new Set<() => void>()

  get isClosed(): boolean {
    return this.#opened !== undefined
  }

  close(): void {
    if (this.isClosed) return
    this.#opened = new Promise((resolve) => (this.#release = resolve))
    this.#notify()
  }

  open(): void {
    this.#opened = undefined
    this.#release()
    this.#notify()
  }

  /** Resolves at once unless the gate is closed. */
  async opened(): Promise<void> {
    while (this.#opened !== undefined) await this.#opened
  }

  /** Calls `listener` whenever the gate opens or closes. Gives back how to call it off. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }
}
