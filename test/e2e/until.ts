import { setTimeout as pause } from 'node:timers/promises'

/** Seconds that a step of the end-to-end tests may take before it counts as failed. */
export const PATIENCE = 90

/**
 * Asks `probe` ten times a second until it gives something other than `undefined`, and gives that.
 * Rejects after `seconds` with `what`, and with what `explain` knows by then. A probe that throws
 * ends the wait at once.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  explain: () => Promise<string> = async () => '',
  seconds = PATIENCE,
): Promise<T> {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const found = await probe()
    if (found !== undefined) return found
    if (performance.now() > end) {
      throw new Error(`${what}: got nothing in ${seconds} s. ${await explain()}`)
    }
    await pause(100)
  }
}
