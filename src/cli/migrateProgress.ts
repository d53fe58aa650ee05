/** What a person sees while migrations run: one line that changes on a terminal, plain lines otherwise. */
import * as Effect from "effect/Effect"
import type { MigrationEvent } from "../Migrator.js"

const shortened = (text: string, width: number): string => {
  const line = text.replaceAll(/\s+/g, " ")
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 2))} …`
}

const textOf = (event: MigrationEvent): string => {
  switch (event._tag) {
    case "Waiting":
      return `waiting for ${event.holder ?? "another deployer"}`
    case "Started":
      return `${event.id}_${event.name}`
    case "Finished":
      return `${event.id}_${event.name} done`
    case "Statement":
      return `${event.id}_${event.name} ${event.position}${event.of === undefined ? "" : `/${event.of}`} ${event.statement}`
    case "Job":
      return `${event.id}_${event.name} ${event.position} ${event.job.jobType} ${event.job.status}`
  }
}

/** Whether it is worth a line of its own where lines stay. */
const stays = (event: MigrationEvent): boolean =>
  event._tag === "Statement" ? event.state === "running" : event._tag !== "Started"

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly write: (text: string) => unknown
}

export const showProgress =
  (output: Output) =>
  (event: MigrationEvent): Effect.Effect<void> =>
    Effect.sync(() => {
      if (output.isTTY !== true) {
        if (stays(event)) output.write(`${shortened(textOf(event), 120)}\n`)
        return
      }
      const line = shortened(textOf(event), (output.columns ?? 80) - 1)
      // Carriage return, and erase to the end of the line.
      output.write(`\r\u001b[K${line}${event._tag === "Finished" ? "\n" : ""}`)
    })
