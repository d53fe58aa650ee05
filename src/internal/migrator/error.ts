/** The error of migrations. */
import * as Data from "effect/Data"
import { withoutPage, withPage } from "../pages.js"

/**
 * Why migrations stopped. What ran before stays as it is, and the next run goes on behind it.
 *
 * Before anything runs: `Loader` (a migration cannot be loaded), `Script` (a file that cannot be run as it stands),
 * `Duplicate` (two with one number), `Missing` (one that ran is gone), `OutOfOrder` (a new one in front of one that ran),
 * `Edited` (one was changed after it ran).
 *
 * While it runs: `Refused` (DSQL does not know the statement; `rule` names why, where that is known), `Statement` (it failed
 * otherwise), `Failed` (an Effect failed by itself), `Job` (its index or validation failed), `Uncertain` (nobody can tell
 * whether it took effect; the message says what to look at and what to do then).
 *
 * With others: `LeaseTimeout` (another deployer took longer than one would wait), `LeaseLost` (the same, after this one was
 * silent for so long that another took over).
 *
 * @since 0.1.0
 * @category errors
 */
export class DsqlMigrationError extends Data.TaggedError("DsqlMigrationError")<{
  readonly reason:
    | "Loader"
    | "Script"
    | "Duplicate"
    | "Missing"
    | "OutOfOrder"
    | "Edited"
    | "Refused"
    | "Statement"
    | "Failed"
    | "Job"
    | "Uncertain"
    | "LeaseTimeout"
    | "LeaseLost"
  /** What is wrong and what to do next, where `cause` does not say it. */
  readonly detail: string
  /** Its number and name, `3_add_orders`. */
  readonly migration?: string | undefined
  readonly file?: string | undefined
  /** Counted from 1. */
  readonly line?: number | undefined
  /** Which statement of the migration, counted from 1. */
  readonly position?: number | undefined
  readonly statement?: string | undefined
  /** The rule of the local cluster by which DSQL refuses the statement; docs/local-cluster-rules.md lists them. */
  readonly rule?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const at =
      this.file !== undefined
        ? `${this.file}${this.line === undefined ? "" : `:${this.line}`}: `
        : this.migration === undefined
          ? ""
          : `Migration ${this.migration}${this.position === undefined ? "" : `, statement ${this.position}`}: `
    const rule = this.rule === undefined ? "" : ` (rule ${this.rule})`
    const cause = this.cause instanceof Error && this.cause.message !== "" ? `: ${withoutPage(this.cause.message)}` : ""
    const statement = this.statement === undefined ? "" : `\n${shortened(this.statement)}`
    return `${withPage(this._tag, `${at}${this.detail}${rule}${cause}`)}${statement}`
  }
}

const longest = 300

/** Of a long statement the beginning is enough to find it. */
export const shortened = (text: string): string => (text.length <= longest ? text : `${text.slice(0, longest)} …`)
