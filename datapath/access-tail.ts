/** The access log of a running Envoy, read on from where it was read to. */
import { setTimeout as wait } from 'node:timers/promises'
import { readAccessLine, type AccessLine } from './access-line.ts'
import type { Running } from './sidecar.ts'

/** A line as it was written, and what it says; nothing where it is none of the mesh's format. */
export type LogLine = { readonly text: string; readonly said: AccessLine | undefined }

/**
 * Gives the lines that came since it was asked before: every line once, so that none is overlooked. It waits until
 * there are as many as expected, and then until none came for `calm` milliseconds.
 */
export type Tail = (expected: number, calm: number) => Promise<readonly LogLine[]>

/** How long lines are waited for, milliseconds. */
const PATIENCE = 3000

/** Follows the log from the beginning. Where the mesh asks for none, any output is a line too many. */
export function followLog({ proxy, envoy }: Pick<Running, 'proxy' | 'envoy'>): Tail {
  const { accessLog } = proxy
  const isAmongComplaints = accessLog?.file === '/dev/stderr'
  let done = 0
  const look = (): { readonly lines: readonly LogLine[]; readonly end: number } => {
    const text = (isAmongComplaints ? envoy.complaints() : envoy.output()).slice(done)
    // What has no end yet is left for the next time.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    const lines = whole
      .split('\n')
      .slice(0, -1)
      .map((line) => ({
        text: line,
        said: accessLog === undefined ? undefined : readAccessLine(accessLog.format, line),
      }))
      .filter(({ said }) => !isAmongComplaints || said !== undefined)
    return { lines, end: done + whole.length }
  }
  return async (expected, calm) => {
    const end = performance.now() + PATIENCE
    while (look().lines.length < expected && performance.now() < end) await wait(10)
    for (let found = look(); ;) {
      await wait(calm)
      const later = look()
      if (later.end === found.end) {
        done = found.end
        return found.lines
      }
      found = later
    }
  }
}
