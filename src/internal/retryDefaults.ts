/** In milliseconds. Where `base` and `cap` come from: docs/contention.md. */
export const defaults = { deadline: 60_000, base: 5, cap: 100 } as const
