/** What all cold starts do in the end: tell that the first row is there, and how to reach the cluster. */
import type { LocalAccess } from "effect-dsql/Local"

export const access = JSON.parse(process.env["BENCH_ACCESS"] ?? "{}") as LocalAccess

export const got = (rows: ReadonlyArray<object>): void => void process.stdout.write(`${rows.length} row\n`)
