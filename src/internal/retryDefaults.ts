import * as Duration from "effect/Duration"
import type { Resolved } from "../Config.js"

/** Where `base` and `cap` come from: docs/contention.md. The service ends a transaction after 300 s (AWS quotas page). */
export const defaults: Resolved["retry"] = {
  deadline: Duration.minutes(1),
  times: undefined,
  base: Duration.millis(5),
  cap: Duration.millis(100),
  maxAge: Duration.seconds(290)
}
