/** What may run again without harm, and is therefore not journaled where statements are. */
import * as FiberRef from "effect/FiberRef"

/** Whether the statements of a fiber are such. */
export const currentRepeatable: FiberRef.FiberRef<boolean> = FiberRef.unsafeMake(false)
