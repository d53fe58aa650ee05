import type { LocalAccess } from "effect-dsql/Local"

/** Credentials that are there at once, for those that sign their tokens. */
export const providerOf =
  ({ accessKeyId, secretAccessKey }: LocalAccess, onAsked = (): void => {}) =>
  async () => {
    onAsked()
    return { accessKeyId, secretAccessKey }
  }
