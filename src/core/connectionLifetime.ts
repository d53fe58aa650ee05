/** How long a connection lives: up to `jitter`, as a part of it, shorter than it may. `random` is in [0, 1). */
export const connectionLifetime = (longest: number, jitter: number, random: number): number =>
  longest * (1 - jitter * random)
