import type { Batch } from "../batches.js"

/** Follows the data of a COPY from the client, which PostgreSQL takes as they come. */
export class CopyPhase {
  readonly #onBegin: () => void
  #state: "off" | "expected" | "on" | "ending" = "off"
  #isSimple = false
  #sawEnd = false

  /** `onBegin` is called when data may go on. */
  constructor(onBegin: () => void) {
    this.#onBegin = onBegin
  }

  /** Whether data go on. */
  get isOn(): boolean {
    return this.#state === "on"
  }

  /** A batch that asks for data has been sent. Unless it may end in another way, they may come at once. */
  expect({ end }: Batch): void {
    this.#isSimple = end === "Query"
    this.#sawEnd = false
    this.#state = "expected"
    if (end !== "Query" && end !== "Sync") this.begin()
  }

  /** PostgreSQL takes data now. */
  begin(): void {
    if (this.#state !== "expected") return
    this.#state = "on"
    this.#onBegin()
  }

  /** PostgreSQL has answered the whole. */
  end(): void {
    this.#state = "off"
  }

  /**
   * Whether a batch goes on at once. PostgreSQL ignores a Sync among the data, and has words of its own for what else does
   * not belong there.
   */
  takes({ end, messages }: Batch, hasFailed: boolean): boolean {
    if (this.#state !== "on") return false
    this.#sawEnd ||= hasFailed || messages.some(({ type }) => type === "c" || type === "f")
    // A simple query is answered when the data end, an extended one at the Sync behind them.
    if (this.#sawEnd && (this.#isSimple || end === "Sync" || end === "Query")) this.#state = "ending"
    return true
  }
}
