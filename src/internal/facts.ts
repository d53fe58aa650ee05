import * as Cause from "effect/Cause"

/** What is counted of a failure, and written on its span: never its message, of which there are as many as failures. */
export const factsOf = (error: unknown): { readonly error: string; readonly reason: string | undefined } => {
  const { _tag, reason } = (typeof error === "object" && error !== null ? error : {}) as Readonly<
    Record<string, unknown>
  >
  return {
    error: typeof _tag === "string" ? _tag : "Error",
    reason: typeof reason === "string" ? reason : undefined
  }
}

export const factsOfCause = (cause: Cause.Cause<unknown>): Partial<ReturnType<typeof factsOf>> => {
  const failure = Cause.failureOption(cause)
  if (failure._tag === "Some") return factsOf(failure.value)
  return { error: Cause.isInterruptedOnly(cause) ? "Interrupted" : "Defect" }
}
