import type { Message } from "../framing.js"
import { run } from "../statements/messages.js"
import {
  type Block,
  digestOf,
  releaseInnerSavepoint,
  rollBackToInnerSavepoint,
  rollBackToSavepoint,
  setInnerSavepoint
} from "./block.js"
import type { Coordinator, Participant, Watched } from "./coordinator.js"
import type { Dialogue } from "./dialogue.js"
import { errorIn, type Failure, failureIn } from "./failures.js"

/** What belongs to one session. */
export interface SessionParts {
  readonly dialogue: Dialogue
  readonly coordinator: Coordinator
  readonly participant: Participant
}

/** How often it is tried to get a lock while others are asked to give it up. Each time waits for the lock probe at most. */
const attemptLimit = 10

/** How often in all: PostgreSQL may be too busy to be asked who holds it. */
const totalLimit = 50

/** Runs what may be blocked by other sessions. */
export const watched = async <A>(
  { coordinator, participant }: SessionParts,
  isSchemaChange: boolean,
  task: () => Promise<A>
): Promise<{ readonly result: A; readonly watch: Watched }> => {
  const watch = coordinator.watch(participant, isSchemaChange)
  try {
    return { result: await task(), watch }
  } finally {
    watch.done()
  }
}

/**
 * Runs `attempt` until it is not refused a lock any more, or it is no use. Between attempts `withdraw` gives up all locks, or
 * two that wait for each other would go on to do so.
 */
export const persistently = async (
  parts: SessionParts,
  isSchemaChange: boolean,
  attempt: () => Promise<Failure | undefined>,
  withdraw: () => Promise<void>
): Promise<Failure | undefined> => {
  let attempts = 0
  for (let total = 1; ; total++) {
    const { result, watch } = await watched(parts, isSchemaChange, attempt)
    if (watch.wasBlocked) attempts++
    if (result !== "refused" || watch.isHopeless || attempts >= attemptLimit || total >= totalLimit) return result
    await withdraw()
    await watch.helped()
  }
}

/** Gives up the locks that the steps of a block have taken. */
export const withdrawSteps = async ({ dialogue }: SessionParts, block: Block): Promise<void> => {
  await dialogue.command(rollBackToSavepoint)
  block.isEvicted = true
}

/** Does the steps of a block again, all in one go. */
export const repeatSteps = async ({ dialogue }: SessionParts, block: Block): Promise<Failure | undefined> => {
  if (!block.isEvicted) return undefined
  const repeating = dialogue.together(() =>
    block.steps.map(({ calls }) => calls.map((call) => dialogue.askPrivately(run(call))))
  )
  const repetitions = await Promise.all(repeating.map((answers) => Promise.all(answers)))
  for (const [place, repetition] of repetitions.entries()) {
    const answers = repetition.flat()
    const failure = failureIn(answers)
    // The first time there was none.
    if (failure !== undefined) return failure === "refused" ? failure : "lost"
    const { digest } = block.steps[place]!
    if (digest !== undefined && digest !== digestOf(answers)) return "lost"
  }
  block.isEvicted = false
  return undefined
}

/** Does the steps of a block again, one after the other; those that it can, if not all. */
export const repeatWhatGoes = async ({ dialogue }: SessionParts, block: Block): Promise<void> => {
  block.isBehind = false
  for (const step of block.steps) {
    const answers: Array<Message> = []
    await dialogue.command(setInnerSavepoint)
    for (const call of step.calls) answers.push(...(await dialogue.askPrivately(run(call))))
    const isDone = errorIn(answers) === undefined
    await dialogue.command(isDone ? releaseInnerSavepoint : rollBackToInnerSavepoint)
    block.isBehind ||= !isDone
    if (!isDone || (step.digest !== undefined && step.digest !== digestOf(answers))) block.doom ??= "data"
  }
  block.isEvicted = false
}

/**
 * Takes the locks of a block again, so that it is as it was. If that cannot be, it is doomed and PostgreSQL's block may be
 * aborted.
 */
export const restoreSteps = async (parts: SessionParts, block: Block): Promise<void> => {
  if (!block.isEvicted || block.doom !== undefined) return
  const failure = await parts.coordinator.inTurn(() =>
    persistently(
      parts,
      block.changesSchema,
      () => repeatSteps(parts, block),
      () => withdrawSteps(parts, block)
    )
  )
  if (failure === undefined) return
  block.doom = block.changesSchema ? "schema" : "data"
}
