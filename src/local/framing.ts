/** One message as it was received: type, length, body. */
export interface Message {
  readonly type: string
  readonly raw: Buffer
}

/** Why a stream of messages cannot be read on. */
export type FramingProblem =
  { readonly _tag: "InvalidType"; readonly type: number } | { readonly _tag: "InvalidLength" }

const headerLength = 5

const checkHeader = (type: number, length: number, types: string, limit: number): FramingProblem | undefined => {
  if (!types.includes(String.fromCharCode(type))) return { _tag: "InvalidType", type }
  return length < 4 || length > limit ? { _tag: "InvalidLength" } : undefined
}

/**
 * Cuts a stream of bytes into messages. A message is checked by its header, so nothing is ever kept that is longer than
 * the limit. After a problem nothing more comes out.
 */
export class MessageFramer {
  readonly #types: string
  readonly #limit: number
  #chunks: Array<Buffer> = []
  #pending = 0
  #needed = headerLength
  #problem: FramingProblem | undefined

  constructor(types: string, limit: number) {
    this.#types = types
    this.#limit = limit
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
    while (bytes.length - offset >= headerLength) {
      const type = bytes.readUInt8(offset)
      const length = bytes.readInt32BE(offset + 1)
      this.#problem = checkHeader(type, length, this.#types, this.#limit)
      if (this.#problem !== undefined) return Buffer.alloc(0)
      this.#needed = length + 1
      if (bytes.length - offset < this.#needed) return bytes.subarray(offset)
      messages.push({ type: String.fromCharCode(type), raw: bytes.subarray(offset, offset + this.#needed) })
      offset += this.#needed
      this.#needed = headerLength
    }
    return bytes.subarray(offset)
  }
}
