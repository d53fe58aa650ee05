/** When a signed token may be used, and when it should be renewed. All times are milliseconds since the epoch. */

const second = 1000

/**
 * What is subtracted from a token's life so that the login still ends in time: a tenth of it, at least 1 s (the signing
 * time is cut to whole seconds) and at most 30 s (the time a slow login takes).
 */
export const margin = (duration: number): number => Math.max(second, Math.min(30 * second, duration / 10))

/**
 * The server counts from the date inside the token, which is cut to whole seconds, and a token is worth nothing once the
 * credentials that signed it have expired.
 */
export const usableUntil = (token: {
  readonly signedAt: number
  readonly duration: number
  readonly credentialsExpireAt: number | undefined
}): number => {
  const signedAt = Math.floor(token.signedAt / second) * second
  const end = Math.min(signedAt + token.duration, token.credentialsExpireAt ?? Infinity)
  return end - margin(end - signedAt)
}

/**
 * The moment to renew at: 80 % of the usable life, 5 points to either side so that many processes that started together
 * do not ask their credential provider together. `random` is in [0, 1).
 */
export const renewAt = (signedAt: number, usableUntil: number, random: number): number =>
  Math.round(signedAt + (usableUntil - signedAt) * (0.75 + 0.1 * random))
