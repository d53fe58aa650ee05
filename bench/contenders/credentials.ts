import type { LocalAccess } from "effect-dsql/Local"
import { setTimeout as delay } from "node:timers/promises"
import type { Options } from "../contender.js"

/** Where those that sign their tokens get their credentials from: like a container's endpoint, it takes its time. */
export const providerOf =
  ({ accessKeyId, secretAccessKey }: LocalAccess, { credentials }: Options) =>
  async () => {
    credentials?.onAsked()
    if (credentials !== undefined && credentials.delay > 0) await delay(credentials.delay)
    return { accessKeyId, secretAccessKey }
  }
