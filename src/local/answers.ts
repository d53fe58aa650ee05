import type { Stage } from "./batches.js"

const headerLength = 5

/**
 * Follows what PostgreSQL answers, message by message. Messages of a type that a stage wants to see are held until they
 * are whole and pass the stages from the last to the first; all others go on as they come, in parts if they come so.
 */
export class AnswerStream {
  readonly #stages: ReadonlyArray<Stage>
  #held: Array<Buffer> = []
  #heldLength = 0
  #needed = 0
  #passing = 0

  constructor(stages: ReadonlyArray<Stage>) {
    this.#stages = stages
  }

  /** Whether the client stands between two messages. What is held it has not seen. */
  get isAtBoundary(): boolean {
    return this.#passing === 0
  }

  /** What goes on to the client now. */
  push(chunk: Buffer): Array<Buffer> {
    this.#held.push(chunk)
    this.#heldLength += chunk.length
    // Joined only when there is something to be seen: a long message in many chunks is copied once.
    if (this.#heldLength < this.#needed) return []
    const bytes = this.#held.length === 1 ? chunk : Buffer.concat(this.#held)
    const slices: Array<Buffer> = []
    const rest = this.#cut(bytes, slices)
    this.#held = rest.length === 0 ? [] : [rest]
    this.#heldLength = rest.length
    return slices
  }

  #cut(bytes: Buffer, slices: Array<Buffer>): Buffer {
    let offset = Math.min(this.#passing, bytes.length)
    let from = 0
    this.#passing -= offset
    this.#needed = 0
    while (bytes.length - offset >= headerLength) {
      const end = offset + 1 + bytes.readInt32BE(offset + 1)
      const type = String.fromCharCode(bytes.readUInt8(offset))
      if (!this.#stages.some((stage) => stage.answerTypes.includes(type))) {
        this.#passing = Math.max(0, end - bytes.length)
        offset = Math.min(end, bytes.length)
      } else {
        if (end > bytes.length) {
          this.#needed = end - offset
          break
        }
        if (offset > from) slices.push(bytes.subarray(from, offset))
        slices.push(...this.#judge(type, bytes.subarray(offset, end)))
        from = offset = end
      }
    }
    if (offset > from) slices.push(bytes.subarray(from, offset))
    return bytes.subarray(offset)
  }

  #judge(type: string, raw: Buffer): Array<Buffer> {
    let current: Buffer | undefined = raw
    for (const stage of this.#stages.toReversed()) {
      if (stage.answerTypes.includes(type)) current = stage.onAnswer({ type, raw: current })
      if (current === undefined) return []
    }
    return [current]
  }
}
