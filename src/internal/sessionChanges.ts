/**
 * What the statements of one borrower have done to a session that the next one must not find. Most of it shows by the
 * server's command tags, in whatever way a statement was sent and whatever became of the rest of its text. What only its
 * text shows is taken as done even if it was not. A function that hides a change cannot be seen.
 */
import type { EventEmitter } from "node:events"

/** A role outlasts `RESET ALL`. */
const roles = /\brole\b|authorization/i

/** A change that hides in a SELECT or, on the view of the settings, in an UPDATE. */
const hidden = /set_config|pg_settings/i

/** A lone statement whose effect ends with its transaction. */
const passing = /^\s*SET\s+(?:LOCAL|TRANSACTION)\b[^;]*;?\s*$/i

/** What may hold any other statement, as does a procedure. */
const tags = new Set(["SET", "RESET", "DISCARD ALL", "DO", "CALL"])

export class SessionChanges {
  /** There is something for `RESET ALL` to undo. */
  any = false
  /** There is something that it cannot undo. */
  lasting = false
  private text = ""

  constructor(driver: EventEmitter) {
    driver.on("commandComplete", ({ text: tag }: { readonly text: string }) => {
      if (tag === "PREPARE") this.note(true)
      else if (tags.has(tag) && !passing.test(this.text)) this.note(roles.test(this.text))
    })
  }

  /** To be called with whatever is sent. */
  sending(text: string, values: ReadonlyArray<unknown> = []): void {
    this.text = text
    if (hidden.test(text)) this.note([text, ...values].some((part) => typeof part === "string" && roles.test(part)))
  }

  forget(): void {
    this.any = this.lasting = false
  }

  private note(lasting: boolean): void {
    this.any = true
    this.lasting ||= lasting
  }
}
