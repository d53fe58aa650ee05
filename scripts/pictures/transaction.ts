/** Two transactions that change one row, and what `withRetry` does about it. */
import * as Duration from "effect/Duration"
import { serverWords } from "../../src/core/faults.js"
import { defaults } from "../../src/internal/retryDefaults.js"
import { arrow, box, type Kind, line, picture, text } from "./drawing.js"

const lanes = { first: 140, cluster: 430, second: 720 } as const
type Lane = keyof typeof lanes

const note = (lane: Lane, y: number, words: string, kind: Kind = "box"): string => {
  const width = 232
  return [
    box(lanes[lane] - width / 2, y - 16, width, 26, kind),
    text(lanes[lane], y + 2, words, { anchor: "middle", code: true })
  ].join("\n")
}

const says = (lane: "first" | "second", y: number, words: string): string => {
  const inward = lane === "first" ? 1 : -1
  return [
    arrow(lanes[lane] + inward * 118, y - 3, lanes.cluster - inward * 2, y - 3),
    text((lanes[lane] + inward * 118 + lanes.cluster) / 2, y - 10, words, { anchor: "middle", quiet: true })
  ].join("\n")
}

const answers = (lane: "first" | "second", y: number, words: string): string => {
  const inward = lane === "first" ? 1 : -1
  return [
    arrow(lanes.cluster - inward * 2, y - 3, lanes[lane] + inward * 118, y - 3),
    text((lanes[lane] + inward * 118 + lanes.cluster) / 2, y - 10, words, { anchor: "middle", quiet: true })
  ].join("\n")
}

const base = Duration.format(defaults.base)
const cap = Duration.format(defaults.cap)
const deadline = Duration.format(defaults.deadline)

export const transactionPicture = (): string =>
  picture(860, 640, "A transaction with a retry", [
    text(lanes.first, 36, "one fiber", { anchor: "middle", bold: true }),
    text(lanes.cluster, 36, "Aurora DSQL", { anchor: "middle", bold: true }),
    text(lanes.second, 36, "another fiber, in withRetry", { anchor: "middle", bold: true }),
    line(lanes.first, 48, lanes.first, 600, { dashed: true }),
    line(lanes.cluster, 48, lanes.cluster, 600, { dashed: true }),
    // Leaves room for the words between the attempts.
    line(lanes.second, 48, lanes.second, 349, { dashed: true }),
    line(lanes.second, 412, lanes.second, 600, { dashed: true }),
    note("first", 80, "BEGIN"),
    note("second", 80, "BEGIN"),
    note("first", 124, "UPDATE … WHERE id = 1"),
    says("first", 124, "n = 0 → 1"),
    note("second", 124, "UPDATE … WHERE id = 1"),
    says("second", 124, "n = 0 → 1"),
    box(lanes.cluster - 105, 142, 210, 46),
    text(lanes.cluster, 161, "two snapshots, no locks:", { anchor: "middle" }),
    text(lanes.cluster, 179, "nobody waits", { anchor: "middle" }),
    note("first", 224, "COMMIT"),
    says("first", 224, "first"),
    answers("first", 258, "done"),
    note("first", 258, "n = 1", "good"),
    note("second", 302, "COMMIT"),
    says("second", 302, "second"),
    answers("second", 336, serverWords.OC000.sqlState),
    note("second", 336, "DsqlConflictError (OC000)", "bad"),
    text(lanes.second, 370, "ROLLBACK; the connection goes back;", { anchor: "middle", quiet: true }),
    text(lanes.second, 386, `a random wait below ${base},`, { anchor: "middle", quiet: true }),
    text(lanes.second, 402, `twice that, … up to ${cap}`, { anchor: "middle", quiet: true }),
    note("second", 432, "BEGIN", "way"),
    text(lanes.cluster + 87, 436, "all of it again, anew", { anchor: "middle" }),
    note("second", 476, "UPDATE … WHERE id = 1", "way"),
    says("second", 476, "n = 1 → 2"),
    note("second", 520, "COMMIT", "way"),
    says("second", 520, ""),
    answers("second", 554, "done"),
    note("second", 554, "n = 2, attempts: 2", "good"),
    text(
      430,
      622,
      `No attempt begins later than ${deadline} after the first. Mails and calls of other services belong behind, not inside.`,
      {
        anchor: "middle"
      }
    )
  ])
