/** One message as it was received: type, length, body. */
export interface Message {
  readonly type: string
  readonly raw: Buffer
}

/** Why a stream of messages cannot be read on. */
export type FramingProblem =
  { readonly _tag: "InvalidType"; readonly type: number } | { readonly _tag: "InvalidLength"; readonly length: number }

const headerLength = 5

/**
 * Cuts a stream of bytes into messages. A message is checked by its type and then by its length as soon as they are there,
 * so nothing is ever kept that is longer than its limit. After a problem nothing more comes out.
 */
export class MessageFramer {
  readonly #types: string
  readonly #limitOf: (type: string) => number
  #chunks: Array<Buffer> = []
  #pending = 0
  #needed = 1
  #problem: FramingProblem | undefined

  constructor(types: string, limitOf: (type: string) => number) {
    this.#types = types
    this.#limitOf = limitOf
  }

  get problem(): FramingProblem | undefined {
    return this.#problem
  }

  /** The messages that `chunk` completes. Those that lie within the chunk are not copied. */
  push(chunk: Buffer): Array<Message> {
    const messages: Array<Message> = []
    this.#chunks.push(chunk)
    this.#pending += chunk.length
    // Joined only when there is something to be seen: a long message in many chunks is copied once.
    while (this.#problem === undefined && this.#pending >= this.#needed) {
      const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
      const rest = this.#cut(bytes, messages)
      this.#chunks = rest.length === 0 ? [] : [rest]
      this.#pending = rest.length
    }
    return messages
  }

  #cut(bytes: Buffer, messages: Array<Message>): Buffer {
    let offset = 0
    while (offset < bytes.length) {
      const left = bytes.length - offset
      const code = bytes.readUInt8(offset)
      const type = String.fromCharCode(code)
      if (!this.#types.includes(type)) return this.#stop({ _tag: "InvalidType", type: code })
      if (left >= headerLength) {
        const length = bytes.readInt32BE(offset + 1)
        if (length < 4 || length > this.#limitOf(type)) return this.#stop({ _tag: "InvalidLength", length })
        this.#needed = length + 1
      } else {
        this.#needed = headerLength
      }
      if (left < this.#needed) return bytes.subarray(offset)
      messages.push({ type, raw: bytes.subarray(offset, offset + this.#needed) })
      offset += this.#needed
      this.#needed = 1
    }
    return bytes.subarray(offset)
  }

  #stop(problem: FramingProblem): Buffer {
    this.#problem = problem
    return Buffer.alloc(0)
  }
}
