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
