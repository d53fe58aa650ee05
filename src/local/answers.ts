import type { Stage } from "./batches.js"

const headerLength = 5

/**
 * Follows what PostgreSQL answers, message by message. Messages of a type that a stage wants to see are held until they
 * are whole and pass the stages from the last to the first; all others go on as they come, in parts if they come so.
 */
export class AnswerStream {
  readonly #stages: ReadonlyArray<Stage>
  #held: Buffer = Buffer.alloc(0)
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
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const slices: Array<Buffer> = []
    let offset = Math.min(this.#passing, bytes.length)
    let from = 0
    this.#passing -= offset
    while (bytes.length - offset >= headerLength) {
      const end = offset + 1 + bytes.readInt32BE(offset + 1)
      const type = String.fromCharCode(bytes.readUInt8(offset))
      if (!this.#stages.some((stage) => stage.answerTypes.includes(type))) {
        this.#passing = Math.max(0, end - bytes.length)
        offset = Math.min(end, bytes.length)
      } else {
        if (end > bytes.length) break
        if (offset > from) slices.push(bytes.subarray(from, offset))
        slices.push(...this.#judge(type, bytes.subarray(offset, end)))
        from = offset = end
      }
    }
    if (offset > from) slices.push(bytes.subarray(from, offset))
    this.#held = bytes.subarray(offset)
    return slices
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
