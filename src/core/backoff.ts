/**
 * Capped exponential backoff with full jitter: how long to wait after the n-th failed attempt, in the unit of `base` and
 * `cap`. `random` is in [0, 1).
 */
export const backoff = (attempts: number, base: number, cap: number, random: number): number =>
  random * Math.min(cap, base * 2 ** (attempts - 1))
