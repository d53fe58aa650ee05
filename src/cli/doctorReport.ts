/** A report of the doctor as a person reads it. */
import type { Cure, Outcome, Report, Step, StepName } from "../Doctor.js"

/** Colours of a terminal (SGR), by number; 0 ends all. */
const colours: Readonly<Record<Outcome, number>> = { ok: 32, warning: 33, failed: 31, skipped: 90 }
const bold = 1
const faint = 2

const painted = (text: string, colour: number): string => `\u001b[${colour}m${text}\u001b[0m`

export interface Look {
  readonly colours: boolean
}

const widest = (words: ReadonlyArray<Outcome | StepName>): number => Math.max(...words.map(({ length }) => length))
const outcomeWidth = widest(["warning", "skipped"])
const nameWidth = widest(["configuration"])

/** Steps that are read off others take no time. */
const took = ({ duration }: Step): string =>
  duration === 0 ? "" : `  (${duration < 10 ? duration.toFixed(1) : Math.round(duration)} ms)`

const headings: Readonly<Record<Cure["kind"], string>> = {
  command: "run",
  sql: "as admin",
  policy: "allow",
  change: "change"
}

const indented = (heading: string, text: string): ReadonlyArray<string> => {
  const [first = "", ...rest] = text.split("\n")
  const margin = " ".repeat(outcomeWidth + 2)
  return [`${margin}${`${heading}:`.padEnd(10)}${first}`, ...rest.map((line) => `${margin}${" ".repeat(10)}${line}`)]
}

/** What stands in a line may come from a server: nothing of it may move the cursor or begin a line. */
const printable = (text: string): string => text.replaceAll(/[^\P{Cc}\n]/gu, " ")

const cureLines = ({ kind, text }: Cure): ReadonlyArray<string> =>
  indented(headings[kind], printable(kind === "sql" ? `${text};` : text))

export const stepLines = (step: Step, look: Look): string => {
  const { cause, cures, name, outcome, summary } = step
  const paint = (text: string, colour: number) => (look.colours && text !== "" ? painted(text, colour) : text)
  const head = `${paint(outcome.padEnd(outcomeWidth), colours[outcome])}  ${paint(name.padEnd(nameWidth), bold)}  ${printable(summary).replaceAll("\n", " ")}${paint(took(step), faint)}`
  const rest =
    cause === undefined
      ? []
      : [...indented("cause", printable(cause).replaceAll("\n", " ")), ...cures.flatMap(cureLines)]
  return [head, ...rest].join("\n")
}

const listed = (steps: ReadonlyArray<Step>, outcome: Outcome): string =>
  steps
    .filter((step) => step.outcome === outcome)
    .map(({ name }) => name)
    .join(", ")

/** The last line: the whole in one. */
export const verdictLine = ({ outcome, steps }: Report, look: Look): string => {
  const text =
    outcome === "ok"
      ? "All is well."
      : outcome === "warning"
        ? `It works; look at ${listed(steps, "warning")}.`
        : `It does not work: ${listed(steps, "failed")} failed.`
  return look.colours ? painted(text, colours[outcome]) : text
}

/** 1 is what every command ends with when it fails, as when its arguments are wrong. */
export const exitCodes: Readonly<Record<Report["outcome"], number>> = { ok: 0, failed: 1, warning: 2 }
