/** Why a local cluster could not start, or not do what it was told. */
export type LocalClusterErrorReason =
  | "MissingPackage"
  | "UnsupportedPlatform"
  | "CannotRun"
  | "PortInUse"
  | "DataInUse"
  | "DataUnusable"
  | "DataIncompatible"
  | "StartFailed"
  | "InvalidArn"
  | "ResetFailed"

/** The only error that a cluster fails with. Its message says what to do next. */
export class LocalClusterError extends Error {
  override readonly name = "LocalClusterError"
  readonly reason: LocalClusterErrorReason
  override readonly cause?: unknown

  constructor(reason: LocalClusterErrorReason, message: string, cause?: unknown) {
    super(message)
    this.reason = reason
    if (cause !== undefined) this.cause = cause
  }
}

/** The code of a Node system error (`ENOENT`, …), if it is one. */
export const systemErrorCode = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined
