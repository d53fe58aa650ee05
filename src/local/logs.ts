import { open } from "node:fs/promises"
import { join } from "node:path"

/** How much is given back. */
const limit = 64 * 1024

/** The end of the log that the supervisor keeps in the folder of a cluster. */
export const readLogs = async (folder: string): Promise<string> => {
  const file = await open(join(folder, "postgres.log"))
  try {
    const { size } = await file.stat()
    const bytes = Buffer.alloc(Math.min(size, limit))
    await file.read(bytes, 0, bytes.length, size - bytes.length)
    const text = bytes.toString("utf8")
    // The first line is cut, unless it is the first of all.
    return size > limit ? text.slice(text.indexOf("\n") + 1) : text
  } finally {
    await file.close()
  }
}

/** What an error shows of the log, as far as there is one. */
export const lastLines = async (folder: string): Promise<string> => {
  const log = await readLogs(folder).catch(() => "")
  return log.trimEnd().split("\n").slice(-20).join("\n")
}
