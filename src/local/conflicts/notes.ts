import type { Message } from "../framing.js"
import type { Act } from "../statements/book.js"
import { type Block, digestOf } from "./block.js"
import { isVolatile, mayLeaveNoTrace } from "./facts.js"
import type { SessionParts } from "./repetition.js"

/** Takes note of what a block has done by one batch, and whether it could be done again. */
export const noteStep = async (
  parts: SessionParts,
  block: Block,
  acts: ReadonlyArray<Act>,
  answers: ReadonlyArray<Message>
): Promise<void> => {
  const isRepeatable = await judge(parts, block, acts)
  const calls = acts.flatMap(({ call }) => call ?? [])
  const targets = new Set(acts.flatMap(({ statement }) => [...(statement?.targets.names ?? [])]))
  // What a doomed block does leads to nothing, so it need not be done again exactly.
  if (block.doom !== undefined || isRepeatable) block.steps.push({ calls, targets, digest: digestOf(answers) })
  else block.pin()
}

/** Takes note of something that cannot be done again. */
export const noteForGood = async (parts: SessionParts, block: Block, acts: ReadonlyArray<Act>): Promise<void> => {
  await judge(parts, block, acts)
  block.pin()
}

const judge = async ({ coordinator }: SessionParts, block: Block, acts: ReadonlyArray<Act>): Promise<boolean> => {
  const facts = coordinator.facts ?? (await coordinator.learnFacts().catch(() => undefined))
  let isRepeatable = true
  for (const { call, statement } of acts) {
    block.mayLeaveNoTrace ||= facts === undefined || statement === undefined || mayLeaveNoTrace(statement, facts)
    block.changesSchema ||= statement?.kind === "ddl"
    isRepeatable &&=
      facts !== undefined &&
      call !== undefined &&
      statement !== undefined &&
      repeatableKinds.has(statement.kind) &&
      !isVolatile(statement, facts) &&
      // The facts say nothing of a table that nobody else sees yet.
      !(block.changesSchema && statement.targets.usesDefaults)
  }
  return isRepeatable
}

const repeatableKinds: ReadonlySet<string> = new Set(["empty", "read", "lock", "write", "ddl"])
