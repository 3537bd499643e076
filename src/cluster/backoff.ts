/** The first wait after a failure; doubles with each further one. */
const firstMs = 500;

/** The longest wait: a control plane that is down for long is asked twice a minute. */
const longestMs = 30_000;

/**
 * How long to wait before the next attempt, in milliseconds: exponential, with full jitter over the upper half, so that replicas that
 * lost the API server together do not come back together.
 * @param attempt 1 for the first failure in a row.
 * @param random a number in [0, 1).
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(longestMs, firstMs * 2 ** Math.min(attempt - 1, 16));
  return ceiling / 2 + (ceiling / 2) * random;
}
