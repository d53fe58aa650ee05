import type { Workload } from "../workload.js"
import { coldStarts } from "./coldStart.js"
import { credentials } from "./credentials.js"
import { hundredRows } from "./hundredRows.js"
import { idleMemory } from "./idleMemory.js"
import { openConnections } from "./openConnections.js"
import { pointSelect } from "./pointSelect.js"
import { renewals } from "./renewals.js"
import { stream } from "./stream.js"
import { transaction } from "./transaction.js"

export const workloads: ReadonlyArray<Workload> = [
  pointSelect,
  hundredRows,
  transaction,
  stream,
  openConnections,
  ...coldStarts,
  idleMemory,
  renewals,
  credentials
]
