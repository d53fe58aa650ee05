import type { Duplex, Readable } from "node:stream"

/**
 * The next `length` bytes; `undefined` if the stream ends before. What comes behind them stays in the stream, so that
 * whoever reads next finds it.
 */
export const readExactly = (stream: Readable, length: number): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    if (length === 0) return resolve(Buffer.alloc(0))
    const settle = (bytes: Buffer | undefined): void => {
      stream.off("readable", attempt).off("end", giveUp).off("close", giveUp).off("error", giveUp)
      resolve(bytes)
    }
    const attempt = (): void => {
      const bytes: Buffer | null = stream.read(length)
      // At its end a stream gives what is left, even if that is too little.
      if (bytes !== null) settle(bytes.length === length ? bytes : undefined)
    }
    const giveUp = (): void => settle(undefined)
    if (stream.destroyed || stream.readableEnded) return giveUp()
    stream.on("readable", attempt).on("end", giveUp).on("close", giveUp).on("error", giveUp)
    attempt()
  })

/** Type and body of the next message; `undefined` if the stream ends or the length is out of bounds. */
export const readMessage = async (
  stream: Readable,
  limit: number
): Promise<{ readonly type: string; readonly body: Buffer } | undefined> => {
  const header = await readExactly(stream, 5)
  if (header === undefined) return undefined
  const length = header.readInt32BE(1)
  if (length < 4 || length > limit) return undefined
  const body = await readExactly(stream, length - 4)
  return body === undefined ? undefined : { type: String.fromCharCode(header.readUInt8(0)), body }
}

const lingerTime = 2_000

/**
 * Sends the last bytes and closes. What the peer still sends is read and dropped for a while: closing over unread input
 * would reset the connection and could take away the answer before the peer has read it.
 */
export const closeWith = (stream: Duplex, lastWords?: Buffer): void => {
  if (stream.destroyed || stream.writableEnded) return

  // Not before: whoever reads slowly gets everything.
  stream.end(lastWords, () => closeAfter(stream, lingerTime))
  stream.resume()
}

/** Destroys the stream unless it has closed by then. Gives back how to call it off. */
export const closeAfter = (stream: Duplex, milliseconds: number): (() => void) => {
  const timer = setTimeout(() => stream.destroy(), milliseconds).unref()
  const callOff = (): void => clearTimeout(timer)
  stream.once("close", callOff)
  return callOff
}

/** Below that, copying is cheaper than to write twice, which TLS makes two records of. */
const copyLimit = 64 * 1024

/** Writes bytes in as few parts as is sensible. */
export const writeAll = (stream: Duplex, slices: ReadonlyArray<Buffer>): void => {
  const joined = joinAdjacent(slices)
  if (joined.length === 0) return
  if (joined.reduce((length, part) => length + part.length, 0) <= copyLimit) {
    return void stream.write(joined.length === 1 ? joined[0]! : Buffer.concat(joined))
  }
  stream.cork()
  for (const slice of joined) stream.write(slice)
  stream.uncork()
}

/** The same bytes in fewer buffers, by no copying: messages that came in one chunk go on in one. */
const joinAdjacent = (buffers: ReadonlyArray<Buffer>): Array<Buffer> => {
  const joined: Array<Buffer> = []
  for (let from = 0, to = 0; from < buffers.length; from = to) {
    const first = buffers[from]!
    let end = first.byteOffset
    while (buffers[to]?.buffer === first.buffer && buffers[to]?.byteOffset === end) end += buffers[to++]!.length
    joined.push(to === from + 1 ? first : Buffer.from(first.buffer, first.byteOffset, end - first.byteOffset))
  }
  return joined
}
