import { randomBytes, randomInt } from "node:crypto"
import type { Identity } from "./iam.js"

const base32 = "abcdefghijklmnopqrstuvwxyz234567"

export const randomText = (length: number): string =>
  Array.from({ length }, () => base32.charAt(randomInt(base32.length))).join("")

/** Shaped as the service's ids. */
export const randomClusterId = (): string => randomText(26)

/** Shaped as a user's long-term credentials. */
export const randomIdentity = (): Identity => ({
  accessKeyId: `AKIA${randomText(16).toUpperCase()}`,
  secretAccessKey: randomBytes(30).toString("base64")
})

/** Shaped as the service's ids of jobs, which are UUIDs in base 32: the last two bits are none of it. */
export const randomJobId = (): string => randomText(25) + "aeimquy4".charAt(randomInt(8))
