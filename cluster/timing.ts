/** When a watch asks, waits and gives up. Tests take shorter times. */
export type WatchTiming = {
  /** Seconds that the API server is asked to keep one watch open. */
  readonly watchSeconds: number
  /** Milliseconds beyond those before a silent connection counts as cut. */
  readonly graceMs: number
  /** Milliseconds for the first byte of an answer. */
  readonly answerMs: number
  /** Milliseconds before the second attempt; doubled from one to the next. */
  readonly leastDelayMs: number
  readonly mostDelayMs: number
  /** Milliseconds after which the whole list is read again, whatever the watch said. */
  readonly resyncMs: number
  /** Milliseconds between two looks for a kind that the API server does not know. */
  readonly absentMs: number
}

/**
 * A watch is short, so that a connection that was cut without a word, behind which changes would be
 * missed, is found within a minute: the API server pays one request for it.
 */
export const WATCH_TIMING: WatchTiming = {
  watchSeconds: 30,
  graceMs: 5_000,
  answerMs: 10_000,
  leastDelayMs: 250,
  mostDelayMs: 15_000,
  resyncMs: 600_000,
  absentMs: 20_000,
}

/**
 * Milliseconds to wait after so many failures in a row. `random`, from 0 to 1, spreads the clients of
 * an API server that comes back over the upper half of the delay.
 */
export function delayAfter(failures: number, timing: WatchTiming, random: number): number {
  const doubled = timing.leastDelayMs * 2 ** Math.min(failures - 1, 16)
  return Math.min(doubled, timing.mostDelayMs) * (0.5 + random / 2)
}
