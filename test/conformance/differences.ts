/** The probes that the local cluster does not answer as recorded, and why. */
export const differences: Readonly<Record<string, string>> = {}
