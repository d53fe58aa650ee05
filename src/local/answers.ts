import type { Conductor, Stage } from "./batches.js"
import type { Message } from "./framing.js"

const headerLength = 5

/**
 * Follows what PostgreSQL answers, message by message. Messages of a type that the conductor or a stage wants to see are
 * held until they are whole and pass them, the conductor first and the stages from the last to the first; all others go on
 * as they come, in parts if they come so.
 */
export class AnswerStream {
  readonly #stages: ReadonlyArray<Stage>
  readonly #conductor: Conductor | undefined
  #held: Array<Buffer> = []
  #heldLength = 0
  #needed = 0
  #passing = 0
  /** What goes on of the chunk that is looked at now. */
  #output: Output | undefined

  constructor(stages: ReadonlyArray<Stage>, conductor?: Conductor) {
    this.#stages = stages.toReversed()
    this.#conductor = conductor
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
    const output = (this.#output = new Output(bytes))
    const rest = this.#cut(bytes, output)
    this.#output = undefined
    this.#held = rest.length === 0 ? [] : [rest]
    this.#heldLength = rest.length
    return output.slices
  }

  /** What goes on to the client now of answers that the conductor gives; none while it is asked about another. */
  give(answers: ReadonlyArray<Message>): Array<Buffer> {
    const slices = answers.flatMap((answer) => this.#throughStages(answer) ?? [])
    if (this.#output === undefined) return slices
    this.#output.insert(slices)
    return []
  }

  #cut(bytes: Buffer, output: Output): Buffer {
    let offset = Math.min(this.#passing, bytes.length)
    this.#passing -= offset
    this.#needed = 0
    output.pass(offset)
    while (bytes.length - offset >= headerLength) {
      const end = offset + 1 + bytes.readInt32BE(offset + 1)
      const type = String.fromCharCode(bytes.readUInt8(offset))
      if (!this.#isWatched(type)) {
        this.#passing = Math.max(0, end - bytes.length)
        offset = Math.min(end, bytes.length)
        output.pass(offset)
      } else {
        if (end > bytes.length) {
          this.#needed = end - offset
          break
        }
        const raw = bytes.subarray(offset, end)
        offset = end
        const goesOn = this.#conductor?.answerTypes.includes(type) !== true || this.#conductor.onAnswer({ type, raw })
        const changed = goesOn ? this.#throughStages({ type, raw }) : undefined
        if (changed === raw) output.pass(end)
        else output.replace(end, changed)
      }
    }
    output.end(offset)
    return bytes.subarray(offset)
  }

  #isWatched(type: string): boolean {
    return (
      this.#conductor?.answerTypes.includes(type) === true ||
      this.#stages.some((stage) => stage.answerTypes.includes(type))
    )
  }

  #throughStages({ raw, type }: Message): Buffer | undefined {
    let current: Buffer | undefined = raw
    for (const stage of this.#stages) {
      if (stage.answerTypes.includes(type)) current = stage.onAnswer({ type, raw: current })
      if (current === undefined) return undefined
    }
    return current
  }
}

/** The part of a chunk that goes on: as it is wherever possible, so that it goes on in one. */
class Output {
  readonly slices: Array<Buffer> = []
  readonly #bytes: Buffer
  #from = 0
  #to = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Everything up to there goes on. */
  pass(to: number): void {
    this.#to = to
  }

  /** Goes on behind everything so far. */
  insert(slices: ReadonlyArray<Buffer>): void {
    this.end(this.#to)
    this.slices.push(...slices)
  }

  /** In the place of everything up to `to`. */
  replace(to: number, slice: Buffer | undefined): void {
    this.insert(slice === undefined ? [] : [slice])
    this.#from = this.#to = to
  }

  end(to: number): void {
    if (this.#to > this.#from) this.slices.push(this.#bytes.subarray(this.#from, this.#to))
    this.#from = this.#to = to
  }
}
