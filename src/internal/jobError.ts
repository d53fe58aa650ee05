/** The error of asynchronous jobs. */
import * as Data from "effect/Data"
import { withPage } from "./pages.js"

const said = (details: string | undefined): string => (details === undefined || details === "" ? "" : `: ${details}`)

/**
 * An asynchronous job that failed (`Failed`, with the service's `details`), was not done in time (`Timeout`; it goes on all
 * the same), or is not known (`NotFound`; the service forgets jobs 30 minutes after their end). `dropped` is the index that
 * the job had left INVALID, if it was dropped.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlJobError extends Data.TaggedError("DsqlJobError")<{
  readonly reason: "Failed" | "Timeout" | "NotFound"
  readonly jobId: string
  readonly jobType?: string | undefined
  readonly objectName?: string | undefined
  readonly details?: string | undefined
  readonly dropped?: string | undefined
}> {
  override get message(): string {
    return withPage(this._tag, text(this))
  }
}

const text = (error: DsqlJobError): string => {
  const job = [error.jobType, error.jobId, error.objectName === undefined ? undefined : `for ${error.objectName}`]
  const what = `Job ${job.filter((word) => word !== undefined).join(" ")}`
  switch (error.reason) {
    case "Failed": {
      const next =
        error.dropped === undefined
          ? "mend what is said here, then start it anew (an INVALID index must be dropped first)"
          : `the INVALID index ${error.dropped} was dropped; mend what is said here, then create it anew`
      return `${what} failed${said(error.details)}; ${next}`
    }
    case "Timeout":
      return `${what} was not done in time; it goes on, so wait for it again, with a longer timeout`
    case "NotFound":
      return `${what} is not known: it never was, or it ended more than 30 minutes ago; look at the index or constraint itself`
  }
}
